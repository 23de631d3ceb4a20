"""What rasyncio set out to reach, and the table of what a run of `python -m benches.speed` reached of it."""

from collections.abc import Mapping

from benches.report import tables

# C's time / rasyncio's, and the best peer's time / rasyncio's.
_OWN_LOOP = {
    "sleep0": (8.0, 2.0),
    "sleep0_tasks": (4.3, 1.5),
    "future": (13.0, 1.5),
    "pingpong": (12.0, 1.5),
    "create_task": (7.0, 2.0),
    "gather": (8.0, 4.0),
    "taskgroup": (7.0, 3.0),
    "taskgroup_eager": (3.5, 2.4),
    "queue": (6.0, 3.0),
    "event": (5.5, 2.5),
    "lock": (6.5, 3.0),
    "call_soon": (12.0, 1.0),
    "timers": (5.0, 1.0),
    "timeout": (4.6, 2.0),
    "wait_for": (6.3, 3.0),
    "cancel": (3.7, 1.0),
    "gather_tree": (6.0, 3.3),
    "threadsafe": (15.0, 1.0),
    "async_tree": (3.5, 2.5),
    "async_tree_tg": (3.5, 3.0),
    "async_tree_io": (4.0, 2.0),
}
# The names are those of `python -m benches.speed`'s columns: how many times as fast the second is as the first.
TARGETS = {
    "c / rasyncio": {name: target for name, (target, _) in _OWN_LOOP.items()},
    "best peer / rasyncio": {name: target for name, (_, target) in _OWN_LOOP.items()},
    "c / swap only": {"sleep0": 1.4, "future": 1.3, "create_task": 1.6, "gather": 1.8},
}


def tabulate(title: str, reached: Mapping[str, Mapping[str, float]]) -> tables.Report | None:
    """The table: of the targets, those that were measured, if any; by column and workload."""
    targets = {column: targets for column, targets in TARGETS.items() if reached.get(column)}
    rows, met, missed = [], 0, 0
    for workload in dict.fromkeys(name for column in targets for name in reached[column]):
        row = [workload]
        for column, wanted in targets.items():
            target, figure = wanted.get(workload), reached[column].get(workload)
            if target is None or figure is None:
                row += ["", ""]
                continue
            enough = round(figure, 2) >= target  # as it is shown
            met, missed = met + enough, missed + (not enough)
            row += [f"{target:g}", f"{figure:.2f}" if enough else f"{figure:.2f}, missed"]
        if any(row[1:]):
            rows.append(row)
    if not rows:
        return None
    header = ["workload"]
    for column in targets:
        header += [f"{column}: target", "reached"]
    return tables.Report(title, header, rows, [f"{met} targets reached, {missed} missed"])
