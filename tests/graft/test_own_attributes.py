"""A future or a task that a program has given attributes of its own, which hide methods: asyncio calls those."""

from __future__ import annotations

import pytest

from support.impls import run_fresh


@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize("values", [0, 40])  # few are kept beside the object, many in a dict
def test_a_result_of_ones_own(installed: bool, values: int) -> None:
    def body(installed: bool, values: int) -> None:
        import asyncio
        from typing import Any

        async def seven() -> int:
            await asyncio.sleep(0)
            return 7

        async def main() -> None:
            loop = asyncio.get_running_loop()
            done, later = loop.create_future(), loop.create_future()
            done.set_result("before")
            loop.call_soon(later.set_result, "later")
            task = asyncio.create_task(seven())
            made: list[Any] = [done, later, task]
            for each in made:
                for number in range(values):
                    setattr(each, f"attribute_{number}", number)
                each.result = lambda: "its own"
            print(await asyncio.gather(*made, seven()))

        if installed:
            import rasyncio

            rasyncio.install()
        asyncio.run(main())

    assert run_fresh("c", body, installed, values) == "['its own', 'its own', 'its own', 7]\n"
