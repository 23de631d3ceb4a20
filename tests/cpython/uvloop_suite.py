"""A second opinion: uvloop's own tests, the half of them that uvloop has for asyncio's loop, on that loop and on ours.

They come with uvloop's source distribution, which pip downloads. uvloop itself is installed too, since the tests import
it, but no test runs its loop.

Of the tests of TLS many are skipped on asyncio's loop: they were written when asyncio had another `sslproto`.
Since 3.11 it has uvloop's. So these tests are run once more where they do not know whose loop it is.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from run import HERE, Module, Venv, clean_env, make_venv, output_of, run_all, site_packages, tell
from verdict import Run, judge

UVLOOP = "uvloop==0.23.0"
NEEDED = ("aiohttp", "psutil", "pyOpenSSL")
"""What the tests import or are skipped without."""
CLASS = "AIOTestCase"
"""The base of the classes of tests that make asyncio's default loop; the others make uvloop's."""
MATCH = "*AIO*"
"""The names of these classes."""
IS_ASYNCIO = 'BaseTestCase.is_asyncio_loop = lambda self: self.implementation != "uvloop"'
"""By this the tests know what asyncio does otherwise than uvloop. They go by the module of the loop's class."""
TLS = "_TestSSL"
"""The base of the classes of tests of TLS."""
NEVER_END = (
    "test_start_tls_client_buf_proto_1",  # a get_buffer() counts as one only in a BufferedProtocol
    "test_shutdown_timeout_handler_not_set",  # a protocol that does not read is not told that nothing more will come
)
"""Of these tests, those that wait for what asyncio does not do."""
ONCE_MORE = f"""
class Test_AIO_SSL_of_3_11({TLS}, tb.AIOTestCase):
    implementation = "asyncio since 3.11"

for name in {NEVER_END}:  # their metaclass refuses this in the class
    setattr(Test_AIO_SSL_of_3_11, name, None)
"""
"""Another of these classes, that leaves nothing else out."""


def pip(*arguments: str | Path) -> None:
    """Run our own Python's pip."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, env=clean_env())


def download_tests(work: Path) -> Path:
    """Put the tests into the directory, made anew."""
    shutil.rmtree(work, ignore_errors=True)
    pip("download", "-q", "--no-deps", "--no-binary", "uvloop", "--dest", work, UVLOOP)
    (archive,) = work.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(work, filter="data")
    (tests,) = work.glob("*/tests")
    for module in tests.glob("test_*.py"):
        if f"class {TLS}(" in module.read_text():
            with module.open("a") as file:
                file.write(ONCE_MORE)
    return tests


def run_on(venv: Venv, modules: list[Module], jobs: int, before: Run | None) -> Run:
    """Run the tests in a venv, which gets what they need."""
    pip("--python", venv.python, "install", "-q", "--only-binary", ":all:", UVLOOP, *NEEDED)
    with (site_packages(venv) / "uvloop" / "_testbase.py").open("a") as file:
        file.write(f"\n{IS_ASYNCIO}\n")
    return run_all(venv, modules, jobs, before)


def main() -> int:
    """The command line; without --python it is the Python that runs this."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, default=Path(sys.executable), metavar="PATH", help="Python to test on")
    parser.add_argument("--wheel", type=Path, required=True, help="rasyncio's wheel, or a directory with it")
    parser.add_argument("--jobs", type=int, default=2, help="modules at a time")
    parser.add_argument("--limit", type=float, default=60, help="seconds that a test may take")
    parser.add_argument("--work", type=Path, default=HERE.parents[1] / ".cache" / "uvloop", help="venvs, the tests")
    options = parser.parse_args()

    work: Path = options.work.absolute()
    files = sorted(download_tests(work / "source").glob("test_*.py"))
    modules = [
        Module(file.stem, ("--testdir", str(file.parent), file.stem), MATCH)
        for file in files
        if CLASS in file.read_text()
    ]
    start = time.monotonic()
    stock = run_on(
        make_venv(options.python, "baseline", options.wheel, work, options.limit), modules, options.jobs, None
    )
    ours = run_on(make_venv(options.python, "loop", options.wheel, work, options.limit), modules, options.jobs, stock)
    verdict = judge(stock, ours, [], version="", mode="loop", whole=False)
    version = output_of(options.python, "-c", "import platform; print(platform.python_version())").strip()
    tell("loop", version, stock, ours, verdict, time.monotonic() - start)
    print(f"{sum(result.on_our_loop for result in ours.values())} tests ran a loop of ours")
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
