"""What rasyncio set out to reach, and the table of what a run of `python -m benches.speed` reached of it."""

from collections.abc import Mapping

from benches.report import tables

_SEVEN = ("sleep0", "sleep0_tasks", "future", "pingpong", "create_task", "gather", "taskgroup")
_OWN_LOOP = {
    "sleep0": 8.0,
    "sleep0_tasks": 4.3,
    "future": 13.0,
    "pingpong": 12.0,
    "create_task": 9.5,
    "gather": 3.3,
    "taskgroup": 3.7,
    "taskgroup_eager": 2.0,
    "queue": 4.0,
    "event": 4.7,
    "lock": 3.8,
    "call_soon": 12.0,
    "timers": 5.0,
    "timeout": 3.3,
    "wait_for": 3.2,
    "cancel": 3.7,
    "gather_tree": 2.4,
    "threadsafe": 15.0,
}
# The names are those of `python -m benches.speed`'s columns: how many times as fast the second is as the first.
TARGETS = {
    "c / rasyncio": _OWN_LOOP,
    "best peer / rasyncio": {name: 1.5 if name in _SEVEN else 1.0 for name in _OWN_LOOP},
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
