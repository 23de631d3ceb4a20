"""A very short soak, and that soak.py finds what it is there to find."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SOAK), "--minutes", "0.03", "--seed", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.timeout(120)
def test_nothing_is_lost_or_piles_up() -> None:
    done = soak()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on <class 'rasyncio." in done.stdout
    assert done.stderr == ""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("leak", "told"),
    [
        ("fd", " fds, not "),
        ("task", " tasks, not "),
        ("message", "messages sent, but"),
        ("memory", "rss_kib grew by"),
    ],
)
def test_a_leak_is_found(leak: str, told: str) -> None:
    done = soak("--leak", leak)
    assert done.returncode == 1, done.stdout + done.stderr
    assert told in done.stdout
