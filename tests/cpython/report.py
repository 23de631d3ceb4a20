"""Render what run.py wrote as Markdown: python tests/cpython/report.py RESULTS.json... [--modules] [--update FILE]"""

import argparse
import json
from pathlib import Path
from typing import Any

KEYS = ("run", "passed", "skipped", "failed")
MODES = {
    "startup": "Future, Task",
    "runtime": "the same at run time",
    "loop": "and the event loop",
    "alone": "the event loop alone",
}


def cells(*values: object) -> str:
    """A table's row."""
    return "| " + " | ".join(map(str, values)) + " |"


def counts(with_swap: dict[str, Any], without: dict[str, Any]) -> list[str]:
    """Each count with the swap and without it."""
    return [f"{with_swap[key]} / {without[key]}" for key in KEYS]


def table(reports: list[dict[str, Any]], modules: bool) -> list[str]:
    """A row per Python and mode, or per module of each."""
    lines = [
        cells("Python", "swapped in", *(["module"] if modules else []), *KEYS, "ran our loop"),
        cells(*["---"] * (2 + modules), *["---:"] * (len(KEYS) + 1)),
    ]
    for report in reports:
        for mode, result in report["modes"].items():
            first = [report["python"], MODES[mode]]
            if modules:
                lines += [
                    cells(*first, name, *counts(row, row["without"]), row["on_our_loop"])
                    for name, row in result["modules"].items()
                ]
            else:
                row = counts(result["total"], result["total_without"])
                lines.append(cells(*first, *row, result["on_our_loop"]))
    return lines


START, END = "<!-- cpython-table:start -->", "<!-- cpython-table:end -->"


def replace_table(document: Path, text: str) -> None:
    """Put the text between the two marks of the document."""
    before, rest = document.read_text().split(START)
    document.write_text(f"{before}{START}\n{text}\n{END}{rest.split(END)[1]}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--modules", action="store_true", help="a row for each test module")
    parser.add_argument("--update", type=Path, metavar="FILE", help=f"also write the table into FILE, behind {START}")
    options = parser.parse_args()
    reports = [json.loads(path.read_text()) for path in options.results]
    reports.sort(key=lambda report: [int(part) for part in report["python"].split(".") if part.isdigit()])
    text = "CPython's own tests, with the swap / without it:\n\n" + "\n".join(table(reports, options.modules))
    expected = {test for report in reports for r in report["modes"].values() for test in r["verdict"]["expected"]}
    if expected:
        text += f"\n\nExpected to fail, with the reasons in `tests/cpython/expectations.toml`: {len(expected)} tests."
    print(text)
    if options.update:
        replace_table(options.update, text)
    notes = {
        "flaky": "failed at first, not when run again alone",
        "expected": "expected failure",
        "baseline_failures": "fails without the swap too",
    }
    for report in reports:
        for mode, result in report["modes"].items():
            for key, meaning in notes.items():
                for test, text in result["verdict"][key].items():
                    print(f"\n{report['python']} {mode}, {meaning}: `{test}` ({text})")


if __name__ == "__main__":
    main()
