"""What the line in `rasyncio.pth` costs each process that was not asked to run on rasyncio, counted in instructions.

Most of it is what Python needs for any such file and any line in it (benches/README.md, "Start-up"); the bound is there
so that nothing is added to it unnoticed. A `.start` file (PEP 829) would be above it by far, see `_startup`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rasyncio
from benches.footprint import start_up

#: Of one look at the file, with room for what versions and builds of Python differ by. Python looks twice in a virtual
#: environment, up to 3.14.
LIMIT = 300_000
LOOKS = 1 if sys.version_info >= (3, 15) else 2


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs Debian's valgrind")
@pytest.mark.timeout(300)
def test_instructions(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (site,) = tmp_path.glob("venv/lib/python3.*/site-packages")
    (site / "another.pth").write_text("# nothing\n")
    (site / "rasyncio").symlink_to(Path(rasyncio.__file__).parent)
    command = [str(tmp_path / "venv" / "bin" / "python"), "-c", ""]
    environment = start_up._environment(None)

    def count() -> float:
        subprocess.run(command, env=environment, check=True)  # what has to be compiled is compiled
        return start_up._instructions(command, environment, tmp_path)

    without = count()
    line = shutil.copy(start_up._PTH, site)
    added = count() - without
    assert 0 < added < LOOKS * LIMIT
    with open(line, "a") as file:
        file.write("import decimal\n")
    assert count() - without > LOOKS * LIMIT  # what must not happen would be seen
