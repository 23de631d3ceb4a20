"""Install the event loops to compare with (the group `peers` of pyproject.toml), one by one.

What cannot be had for this Python is named, and does not keep the others away: the benchmarks show it as absent.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parent.with_name("pyproject.toml")


def main() -> None:
    """Install what can be installed."""
    for text in tomllib.loads(PROJECT.read_text())["dependency-groups"]["peers"]:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate():
            print(f"{requirement.name} is left out: it is for {requirement.marker}", file=sys.stderr)
            continue
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", text]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            last_words = done.stderr.strip().rpartition("\n")[2]
            print(f"{requirement.name} cannot be installed: {last_words}", file=sys.stderr)


if __name__ == "__main__":
    main()
