"""Packages that replace parts of an event loop: each does on our loop what it does on asyncio's.

looptime is not among them: it is a plugin of pytest's that cannot be loaded without pytest-asyncio. It was tried by
hand, and its loop is one more subclass with a clock and a selector of its own.
"""

from __future__ import annotations

import pytest

from support.loops import run_fresh

#: What each program says, on any loop.
PROGRAMS = {
    "freezegun": (
        """
        import datetime, freezegun
        async def main():
            loop = asyncio.get_running_loop()
            with freezegun.freeze_time("2020-01-01") as frozen:
                start = loop.time()
                print(loop.time() == start, datetime.datetime.now())
                loop.call_later(10, print, "due")
                frozen.tick(20)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                print(loop.time() - start)
            with freezegun.freeze_time("2020-01-01", real_asyncio=True):
                start = loop.time()
                await asyncio.sleep(0.01)
                print(loop.time() > start)
        run(main())
        """,
        "True 2020-01-01 00:00:00\ndue\n20.0\nTrue\n",
    ),
    "time_machine": (
        """
        import datetime, time, time_machine
        async def main():
            loop = asyncio.get_running_loop()
            with time_machine.travel("2020-01-01", tick=False) as traveller:
                print(datetime.datetime.now())
                await asyncio.sleep(0.001)
                traveller.shift(100)
                print(round(time.time()), abs(loop.time() - time.monotonic()) < 1)
        run(main())
        """,
        "2020-01-01 00:00:00\n1577836900 True\n",
    ),
    "aiotools": (
        """
        from aiotools.timer import VirtualClock
        async def main():
            clock = VirtualClock()
            with clock.patch_loop():
                await asyncio.sleep(3600)
                print(clock.vtime >= 3600)
            await asyncio.sleep(0.001)
        run(main())
        """,
        "True\n",
    ),
    **{
        name: (
            f"""
            import {name}
            async def inner():
                await asyncio.sleep(0.001)
                return 1
            async def main():
                loop = asyncio.get_running_loop()
                {name}.apply(loop)
                print(loop.run_until_complete(inner()))
                print(asyncio.run(inner()))
                print(await asyncio.gather(inner(), inner()))
            loop = new_loop()
            asyncio.set_event_loop(loop)
            loop.run_until_complete(main())
            loop.close()
            """,
            "1\n1\n[1, 1]\n",
        )
        for name in ("nest_asyncio", "nest_asyncio2")
    },
    "pytest": (
        """
        import pytest, time
        with pytest.MonkeyPatch.context() as patch:
            loop = new_loop()
            patch.setattr(time, "monotonic", lambda: 7.0)
            print(loop.time())
            patch.setattr(asyncio.BaseEventLoop, "call_soon", lambda *_, **__: print("call_soon"))
            loop.call_soon(None)
        print(loop.time() != 7.0, loop.run_until_complete(asyncio.sleep(0, "ran")))
        loop.close()
        """,
        "7.0\ncall_soon\nTrue ran\n",
    ),
}


@pytest.mark.parametrize("package", PROGRAMS)
def test_package(engine_name: str, package: str) -> None:
    pytest.importorskip(package, reason=f"there is no {package} for this Python")
    program, says = PROGRAMS[package]
    assert run_fresh(engine_name, program, flags=("-Wignore",)) == says


@pytest.mark.parametrize("order", ["before", "after"])
def test_gevent(engine_name: str, order: str) -> None:
    """`patch_all()` replaces threads, sockets and selectors; those of a loop that is made afterwards."""
    pytest.importorskip("gevent", reason="there is no gevent for this Python")
    patch = "import gevent.monkey; gevent.monkey.patch_all()"
    program = """
async def serve(reader, writer):
    writer.write(await reader.readline())
    writer.close()
async def main():
    print(await asyncio.to_thread(int, 5))
    await asyncio.sleep(0.001)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"line")
    writer.write_eof()
    print(await reader.read())
    writer.close()
    server.close()
"""
    if order == "before":
        program = f"{patch}\nimport asyncio{program}"
    else:
        program = f"import asyncio, selectors, socket, threading{program}{patch}\n"
    assert run_fresh(engine_name, f"{program}run(main())\n", flags=("-Wignore",)) == "5\nb'line'\n"
