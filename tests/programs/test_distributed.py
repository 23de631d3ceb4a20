"""dask's workers and ray's actors: processes that a cluster on this machine starts, each with a loop of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.children import PATIENCE

OURS = "('rasyncio', 'rasyncio.EventLoop')"
LOOK = """\
async def look():
    import rasyncio
    status = rasyncio.status()
    return status.future_and_task, status.running
"""
#: A function of a client's process, by a nanny in a worker's process, and in the worker's own loop.
DASK = f"""\
{LOOK}
if __name__ == "__main__":
    from distributed import Client, LocalCluster
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, protocol="tcp") as cluster,
        Client(cluster) as client,
    ):
        print(*{{client.submit(look).result(), *client.run(look).values()}})
"""
DASK_CLIENT = f"""\
import sys
from distributed import Client
{LOOK}
if __name__ == "__main__":
    with Client(scheduler_file=sys.argv[1]) as client:
        client.wait_for_workers(1, timeout=60)
        print(*{{client.submit(look).result(), *client.run(look).values(), client.run_on_scheduler(look)}})
"""
RAY = f"""\
import asyncio, ray
{LOOK}
@ray.remote
class Actor:
    async def look(self):
        return await look()

@ray.remote
def work():
    return asyncio.run(look())

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
print(ray.get(Actor.remote().look.remote()))
print(ray.get(work.remote()))
ray.shutdown()
"""


def environment(value: str | None, folder: Path) -> Mapping[str, str]:
    variables = {name: text for name, text in os.environ.items() if name != "RASYNCIO"}
    variables |= {"HOME": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    return variables | ({} if value is None else {"RASYNCIO": value})


def said(folder: Path, code: str, *before: str, value: str | None = None, arguments: tuple[str, ...] = ()) -> str:
    """What the program prints; it must end well."""
    (folder / "program.py").write_text(code)
    done = subprocess.run(
        [sys.executable, *before, "program.py", *arguments],
        cwd=folder,
        env=environment(value, folder),
        capture_output=True,
        text=True,
        timeout=100 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def skip_without(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} has no wheel for Python {sys.version_info[0]}.{sys.version_info[1]}")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("before", "value", "expected"),
    [
        ((), "1", OURS),
        (("-m", "rasyncio"), None, OURS),
        ((), None, OURS.replace("rasyncio.EventLoop", "asyncio.unix_events._UnixSelectorEventLoop")),
    ],
    ids=["by the variable", "by the runner", "without"],
)
def test_dask(tmp_path: Path, before: tuple[str, ...], value: str | None, expected: str) -> None:
    skip_without("distributed")
    if expected != OURS:
        expected = expected.replace("'rasyncio'", "'CPython'")
    assert said(tmp_path, DASK, *before, value=value) == expected


@pytest.mark.timeout(120)
def test_dask_by_its_own_commands(tmp_path: Path) -> None:
    """`dask scheduler` and `dask worker`, which finds it by a file; the worker's nanny spawns the real one."""
    skip_without("distributed")
    address = ["--scheduler-file", "scheduler.json"]
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str, *arguments: str) -> None:
        line = [sys.executable, "-m", "dask", command, *address, *arguments]
        with (tmp_path / command).open("wb") as log:
            started.append(subprocess.Popen(line, cwd=tmp_path, env=environment("1", tmp_path), stdout=log, stderr=log))

    try:
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--dashboard-address", ":0")
        give_up = time.monotonic() + 60 * PATIENCE
        while not (tmp_path / "scheduler.json").exists() and time.monotonic() < give_up:
            assert started[0].poll() is None, (tmp_path / "scheduler").read_text()
            time.sleep(0.05)
        start("worker", "--nworkers", "1", "--nthreads", "1", "--no-dashboard")
        assert said(tmp_path, DASK_CLIENT, value="1", arguments=("scheduler.json",)) == OURS
        logs = (tmp_path / "scheduler").read_text() + (tmp_path / "worker").read_text()
        assert "rasyncio:" not in logs
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30 * PATIENCE)


@pytest.mark.timeout(240)
def test_ray(tmp_path: Path) -> None:
    """Its workers set uvloop's policy by themselves: `RASYNCIO=uvloop` is what reaches them."""
    skip_without("ray")
    assert said(tmp_path, RAY, value="uvloop").splitlines() == [OURS, OURS]
