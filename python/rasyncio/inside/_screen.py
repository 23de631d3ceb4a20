"""The terminal view of `python -m rasyncio top`, with rich.

All text of the program's is shown as Text, never as markup, after `_schema.py` has taken out what a terminal would act
upon.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ._keys import pressed
from ._rates import Rates
from ._view import View, amount, clock, duration, in_the_loop

#: Above so many seconds, lag is shown as something to look at, and as bad.
_NOTED, _BAD = 0.01, 0.05
_KEYS = "↑ ↓ choose a task   q quit"
_QUIT = ("q", "\x03", "\x04")
_STEPS = {"\x1b[A": -1, "\x1bOA": -1, "k": -1, "\x1b[B": 1, "\x1bOB": 1, "j": 1}
_STEPS_MAX = 6
_BAR = 10
#: A load above which a loop has no time left.
_FULL = 0.9
#: A terminal of so many columns has room for all figures.
_WIDE = 100


def follow(view: View, every: float) -> None:
    """Show the program until q is pressed. Raises Unreachable when it has ended."""
    console = Console()
    with pressed() as keys, Live(screen(view), console=console, screen=True, auto_refresh=False) as live:
        looked = time.monotonic()
        while True:
            step = 0
            for key in keys(max(looked + every - time.monotonic(), 0.0)):
                if key in _QUIT:
                    return
                step += _STEPS.get(key, 0)
            if step:
                view.choose(step)
            if time.monotonic() - looked >= every:
                looked = time.monotonic()
                view.look()
            live.update(screen(view), refresh=True)


def show(view: View) -> None:
    """Print all of it once."""
    Console().print(page(view))


def screen(view: View) -> RenderableType:
    """All of it, for a terminal of any size."""
    steps = _slow_steps(view)
    layout = Layout()
    layout.split_column(
        Layout(_head(view), size=1),
        Layout(_Loops(view), size=3 + max(len(view.rates), 1)),
        Layout(name="tasks", ratio=2, minimum_size=8),
        Layout(steps, ratio=1, minimum_size=6),
        Layout(Text(_KEYS, style="dim"), size=1),
    )
    layout["tasks"].split_row(
        Layout(_Fitting(view), ratio=3),
        Layout(Panel(_tree(view), title="who awaits whom", border_style="blue", title_align="left"), ratio=4),
    )
    return layout


def page(view: View) -> RenderableType:
    """All of it once, as long as it is: for a file, or a pipe."""
    return Group(
        _head(view),
        _Loops(view),
        *([] if view.snapshot["functions"] is None else [_functions(view, 20)]),
        _coroutines(view, 20),
        Panel(_tree(view), title="who awaits whom", border_style="blue", title_align="left"),
        _slow_steps(view),
    )


class _Fitting:
    """Coroutines and tasks, as many as there is room for."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        room = max((options.height or console.height) - 8, 4)
        is_profiled = self._view.snapshot["functions"] is not None
        coroutines = min(len(self._view.snapshot["functions" if is_profiled else "coroutines"]), room // 2)
        yield _functions(self._view, coroutines) if is_profiled else _coroutines(self._view, coroutines)
        yield _tasks(self._view, room - coroutines)


def _head(view: View) -> Text:
    said = view.snapshot
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(f" {said['program']} ", style="bold reverse")
    head.append(
        f"  process {said['pid']:.0f}   Python {said['python']}   rasyncio {said['rasyncio']}   {clock(said['time'])}"
    )
    if view.silence is not None:
        head.append(f"  {view.silence}", style="bold red")
    return head


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", expand=True, box=None, pad_edge=False)
    for name in columns:
        is_text = name.startswith("=")
        table.add_column(
            name.removeprefix("="),
            justify="left" if is_text else "right",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if is_text else None,
            header_style="dim",
        )
    return table


def _level(seconds: float) -> str:
    return "bold red" if seconds >= _BAD else "yellow" if seconds >= _NOTED else "green"


class _Loops:
    """The loops, with as many figures of each as there is room for."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        is_wide = options.max_width >= _WIDE
        names = ["=thread", "load", "longest", "lag p99", "blocked", "ready", "tasks", "callbacks/s"]
        more = ["timers", "files", "conns", "in/s", "out/s", ""] if is_wide else []
        table = _table("Event loops", *names, *more)
        for each in self._view.rates:
            cells = self._figures(each) + (self._more(each) if is_wide else [])
            table.add_row(Text(each["name"]), *cells)
        yield table
        if not self._view.rates:
            yield Text("no event loop of rasyncio's is there: start the program with RASYNCIO=1", "yellow")

    def _figures(self, of: Rates) -> list[RenderableType]:
        return [
            Text(f"{of['load']:.0%}", style="red" if of["load"] > _FULL else "green"),
            Text(duration(of["lag_most"]), style=_level(of["lag_most"])),
            Text(duration(of["lag"]), style=_level(of["lag"])),
            Text(duration(of["blocked"]) if of["blocked"] >= _NOTED else "-", style=_level(of["blocked"])),
            amount(of["ready"]),
            amount(of["tasks"]),
            amount(of["callbacks"]),
        ]

    def _more(self, of: Rates) -> list[RenderableType]:
        full = round(of["load"] * _BAR)
        return [
            amount(of["timers"]),
            amount(of["files"]),
            amount(of["connections"]),
            amount(of["received"]),
            amount(of["sent"]),
            Text("█" * full + "░" * (_BAR - full), style="red" if of["load"] > _FULL else "green"),
        ]


def _coroutines(view: View, most: int) -> Table:
    table = _table("Coroutines", "tasks", "=coroutine", "=where it is")
    for each in view.snapshot["coroutines"][:most]:
        table.add_row(amount(each["tasks"]), Text(each["coroutine"]), _place(each["place"]))
    return table


def _functions(view: View, most: int) -> Table:
    table = _table("Busiest (profiled)", "busy", "longest step", "steps", "=function", "=where it is")
    for each in view.snapshot["functions"][:most]:
        table.add_row(
            duration(each["seconds_busy"]),
            Text(duration(each["seconds_longest"]), style=_level(each["seconds_longest"])),
            amount(each["steps"]),
            Text(each["name"]),
            _place(each["place"]),
        )
    return table


def _tasks(view: View, most: int) -> Table:
    table = _table(f"Tasks ({amount(view.alive)})", "", "=name", "state", "=coroutine")
    chosen = view.place or 0
    first = max(0, min(chosen - most // 2, len(view.tasks) - most))
    for number, each in enumerate(view.tasks[first : first + most], first):
        style = "reverse" if number == chosen else ""
        state = {"running": "bold green", "ready": "yellow"}.get(each["state"], "dim")
        table.add_row(
            "▸" if style else " ", Text(each["name"]), Text(each["state"], state), Text(each["coroutine"]), style=style
        )
    return table


def _place(place: str) -> Text:
    """`file:line in function`, shortened to the file's name."""
    file, _, function = place.partition(" in ")
    return Text.assemble((os.path.basename(file), "cyan"), f" {function}")


def _tree(view: View) -> RenderableType:
    if view.tree is None:
        return Text("no task", style="dim")
    tree = Tree(_node(view, view.tree), guide_style="dim")
    _grow(view, tree, view.tree)
    return tree


def _grow(view: View, tree: Tree, node: dict[str, Any]) -> None:
    for each in node["awaits"]:
        _grow(view, tree.add(_node(view, each)), each)


def _node(view: View, node: dict[str, Any]) -> Text:
    is_chosen = node["id"] == view.chosen
    text = Text.assemble((node["name"], "bold reverse" if is_chosen else "bold"), f" {node['coroutine']}")
    if node["state"] != "waiting":
        text.append(f" {node['state']}", style="bold green")
    elif not node["awaits"]:
        text.append(f" waits for a {node['waits_for']}", style="dim")
    for place in node["stack"] if is_chosen else filter(None, [node["place"]]):
        text.append("\n  ").append_text(_place(place))
    return text


def _slow_steps(view: View) -> RenderableType:
    steps = view.snapshot["slow_steps"][::-1]
    watched = view.snapshot["watched"]
    if watched is None:
        says = Text("not watched: `--watch 0.1` (with a process id), RASYNCIO_WATCH=0.1, or rasyncio.watch()", "dim")
    else:
        says = Text(f"none was longer than {duration(watched)}", style="dim")
    if not steps:
        return Panel(says, title="Slow steps", title_align="left", border_style="dim")
    rows: list[RenderableType] = []
    for each in steps[:_STEPS_MAX]:
        rows.append(_slow_step(each))
    rows[1:1] = [Text("\n".join(in_the_loop(steps[0]["stack"])[-4:]), style="dim", no_wrap=True, overflow="ellipsis")]
    return Panel(Group(*rows), title="Slow steps", title_align="left", border_style="red")


def _slow_step(step: dict[str, Any]) -> Text:
    text = Text(f"{clock(step['time'])} ", no_wrap=True, overflow="ellipsis")
    text.append(f"{duration(step['seconds']):>8} ", style="bold red" if not step["is_over"] else "red")
    text.append("so far " if not step["is_over"] else "")
    text.append(step["task"] or ("a callback" if step["place"] is not None else "nobody could see whose"), style="bold")
    text.append(f" {step['coroutine'] or ''} ")
    text.append_text(_place(step["place"] or ""))
    if step["called_at"] not in (None, step["place"]):
        text.append(" called at ", style="dim").append_text(_place(step["called_at"]))
    if step["repeats"]:
        text.append(f" and {amount(step['repeats'])} more since", style="bold")
    return text
