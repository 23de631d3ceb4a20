"""Build the extension with maturin, for the Python that runs this, and print the directory to import it from.

Everything goes into the project's .cache and stays there: the second time, cargo has nothing to do.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "tokio_bridge"


def build() -> Path:
    """The directory with the extension and its stub."""
    maturin = shutil.which("maturin", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if not maturin or not shutil.which("cargo"):
        sys.exit("the extension is built by maturin (pip install maturin) and cargo (https://rustup.rs)")
    directory = CACHE / str(sysconfig.get_config_var("SOABI"))
    wheels, imported = directory / "wheels", directory / "imported"
    shutil.rmtree(wheels, ignore_errors=True)
    command = [maturin, "build", "--release", "--locked", "--quiet", "--interpreter", sys.executable]
    paths = ["--out", str(wheels), "--target-dir", str(directory / "target")]
    done = subprocess.run([*command, *paths], cwd=HERE, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(imported)
    return imported


if __name__ == "__main__":
    print(build())
