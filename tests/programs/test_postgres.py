"""asyncpg, unmodified, with a real PostgreSQL of our own, over a Unix socket."""

from __future__ import annotations

import pytest

from support.loops import run_fresh
from support.postgres import postgres

__all__ = ["postgres"]  # the fixture

pytest.importorskip("asyncpg", reason="there is no asyncpg for this Python")
ENGINES = ("stock", "ours", "ours-c")


@pytest.mark.parametrize("name", ENGINES)
def test_asyncpg(name: str, postgres: str) -> None:
    """A pool, transactions, megabytes, COPY both ways, a query that is cancelled, notifications."""

    def body(place: str, prefix: str) -> None:
        import asyncio
        import io

        import asyncpg

        async def main() -> None:
            options = {"host": place, "user": "tester", "database": "postgres"}
            async with asyncpg.create_pool(min_size=3, max_size=5, **options) as pool:

                async def one(number: int) -> int:
                    async with pool.acquire() as connection:
                        value: int = await connection.fetchval("SELECT $1::int * 2", number)
                        return value

                print(await asyncio.gather(*map(one, range(50))) == [2 * number for number in range(50)])
                async with pool.acquire() as connection:
                    table = f"table_{prefix}"
                    await connection.execute(f"CREATE TABLE {table} (id int, data bytea)")
                    try:
                        async with connection.transaction():
                            await connection.execute(f"INSERT INTO {table} VALUES (1, 'x')")
                            raise ZeroDivisionError
                    except ZeroDivisionError:
                        print(await connection.fetchval(f"SELECT count(*) FROM {table}"))
                    large = bytes(range(256)) * 8000
                    await connection.executemany(
                        f"INSERT INTO {table} VALUES ($1, $2)", [(number, large[:number]) for number in range(1000)]
                    )
                    await connection.execute(f"INSERT INTO {table} VALUES (5000, $1)", large)
                    print(await connection.fetchval(f"SELECT data FROM {table} WHERE id = 5000") == large)
                    out = io.BytesIO()
                    print(await connection.copy_from_table(table, output=out, format="binary"))
                    out.seek(0)
                    print(await connection.copy_to_table(table, source=out, format="binary"))
                    try:
                        await asyncio.wait_for(connection.fetch("SELECT pg_sleep(60)"), 0.1)
                    except TimeoutError:
                        print("timed out", await connection.fetchval("SELECT 7"))
                    heard: asyncio.Queue[str] = asyncio.Queue()
                    await connection.add_listener(prefix, lambda *what: heard.put_nowait(what[-1]))
                    await pool.execute(f"NOTIFY {prefix}, 'hello'")
                    print(await heard.get())

        run(main())  # type: ignore[name-defined]  # noqa: F821

    prefix = name.replace("-", "_")
    expected = "True\n0\nTrue\nCOPY 1001\nCOPY 1001\ntimed out 7\nhello\n"
    assert run_fresh(name, body, postgres, prefix, flags=()) == expected
