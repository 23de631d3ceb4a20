"""Celery's tasks that run asyncio, and Temporal's workflows, on loops of Temporal's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.children import PATIENCE
from support.redis_server import redis_path

__all__ = ["redis_path"]

CELERY = """\
import asyncio
from celery import Celery

app = Celery("program", broker="redis+socket://PATH", backend="redis+socket://PATH")
app.conf.broker_connection_retry_on_startup = True

async def main():
    import rasyncio
    status = rasyncio.status()
    return status.running, sum(await asyncio.gather(*(asyncio.sleep(0.001, n) for n in range(10))))

@app.task
def work():
    return asyncio.run(main())
"""
ASK_CELERY = f"from program import work; print(work.delay().get(timeout={30 * PATIENCE}))"

WORKFLOW = """\
import asyncio, sys
from temporalio import workflow

async def one(number):
    await asyncio.sleep(0 if number else 1)
    return number

@workflow.defn(sandboxed="sandboxed" in sys.argv)
class Workflow:
    @workflow.run
    async def run(self, count: int) -> None:
        said = await asyncio.gather(*map(one, range(count)))
        queue, never, lock = asyncio.Queue(), asyncio.Event(), asyncio.Lock()
        async def taken():
            async with lock:
                return await queue.get()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(taken())
            await queue.put("taken")
        try:
            async with asyncio.timeout(1):
                await never.wait()
        except TimeoutError:
            said.append("timeout")
        if [*said, task.result()] != [0, 1, 2, "timeout", "taken"]:
            raise RuntimeError(said)  # which is not what the server has kept
"""
# What a server keeps of a workflow's run: started, two timers, completed. To replay it runs the workflow again.
REPLAY = """\
import asyncio
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from workflow import Workflow

kept = History()

def add(name):
    event = kept.events.add(event_id=len(kept.events) + 1, event_type=EventType.Value(f"EVENT_TYPE_{name}"))
    event.event_time.FromSeconds(1_700_000_000 + event.event_id)
    return event.event_id, getattr(event, f"{name.lower()}_event_attributes")

def steps():
    scheduled, facts = add("WORKFLOW_TASK_SCHEDULED")
    facts.task_queue.name = "queue"
    started, facts = add("WORKFLOW_TASK_STARTED")
    facts.scheduled_event_id = scheduled
    completed, facts = add("WORKFLOW_TASK_COMPLETED")
    facts.scheduled_event_id, facts.started_event_id = scheduled, started
    return completed

_, facts = add("WORKFLOW_EXECUTION_STARTED")
facts.workflow_type.name, facts.task_queue.name = "Workflow", "queue"
facts.original_execution_run_id = facts.first_execution_run_id = "run"
facts.workflow_task_timeout.FromSeconds(10)
facts.input.payloads.add(data=b"3").metadata["encoding"] = b"json/plain"
completed = steps()
for number in ("1", "2"):
    started, facts = add("TIMER_STARTED")
    facts.timer_id, facts.workflow_task_completed_event_id = number, completed
    facts.start_to_fire_timeout.FromSeconds(1)
    _, facts = add("TIMER_FIRED")
    facts.timer_id, facts.started_event_id = number, started
    completed = steps()
_, facts = add("WORKFLOW_EXECUTION_COMPLETED")
facts.workflow_task_completed_event_id = completed

async def main():
    replayed = await Replayer(workflows=[Workflow]).replay_workflow(WorkflowHistory("workflow", kept.events))
    import rasyncio
    print(replayed.replay_failure, type(asyncio.get_running_loop()).__module__, asyncio.Task is rasyncio.Task)

asyncio.run(main())
"""


def environment(value: str) -> dict[str, str]:
    return os.environ | {"RASYNCIO": value}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pool", ["solo", "prefork", "threads"])
def test_celery(tmp_path: Path, redis_path: Path, pool: str) -> None:
    """A worker's processes are reached by the variable: what its tasks run by asyncio.run() is on our loop."""
    pytest.importorskip("celery")
    (tmp_path / "program.py").write_text(CELERY.replace("PATH", str(redis_path)))
    worker = [sys.executable, "-m", "celery", "-A", "program", "worker", "--pool", pool, "--concurrency", "1"]
    with (
        (tmp_path / "log").open("w+") as log,
        subprocess.Popen(worker, cwd=tmp_path, env=environment("1"), stdout=log, stderr=log) as running,
    ):
        try:
            asked = subprocess.run(
                [sys.executable, "-c", ASK_CELERY], cwd=tmp_path, capture_output=True, text=True, timeout=60 * PATIENCE
            )
            assert asked.returncode == 0, asked.stderr + (tmp_path / "log").read_text()
        finally:
            running.terminate()
    assert asked.stdout.strip() == "['rasyncio.EventLoop', 45]"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("value", ["1", "tasks"])
@pytest.mark.parametrize("sandboxed", [True, False], ids=["sandboxed", "not sandboxed"])
def test_temporal(tmp_path: Path, value: str, sandboxed: bool) -> None:
    """A workflow replays, on Temporal's loop with our tasks, as its server has kept it, and nothing is warned of."""
    pytest.importorskip("temporalio")
    (tmp_path / "workflow.py").write_text(WORKFLOW)
    (tmp_path / "replay.py").write_text(REPLAY)
    command = [sys.executable, "replay.py", *(["sandboxed"] if sandboxed else [])]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(value), capture_output=True, text=True, timeout=60 * PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["None", "rasyncio._loop" if value == "1" else "asyncio.unix_events", "True"]
    assert done.stderr == ""
