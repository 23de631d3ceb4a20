"""A service with a database: short links, with a count of how often each was followed.

    uvicorn app:app                                       # SQLite, in the file links.db
    DATABASE_URL=postgresql+asyncpg://user@host/db uvicorn app:app

    POST /links {"target": "https://..."}     a new link, with its name
    GET /{name}                               goes there, and counts
    GET /links/{name}                         what is known of it
    GET /health                               what the process runs on

Links that are given many at a time (POST /links/many) are checked by a TaskGroup, each with a timeout.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import RedirectResponse
from pydantic import AnyHttpUrl, BaseModel
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, update
from sqlalchemy.ext.asyncio import create_async_engine

DATABASE_URL = os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///links.db")
CHECK_SECONDS = 2.0
metadata = MetaData()
links = Table(
    "links",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("target", String(2000), nullable=False),
    Column("followed", Integer, nullable=False, default=0),
)
engine = create_async_engine(DATABASE_URL)


class NewLink(BaseModel):
    """What a client sends."""

    target: AnyHttpUrl


class Link(BaseModel):
    """What a client gets."""

    name: str
    target: str
    followed: int = 0


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The table is made where there is none; connections are closed at the end."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(title="Short links", lifespan=lifespan)


async def save(target: str) -> Link:
    """Enter it under a name of its own."""
    link = Link(name=secrets.token_urlsafe(6), target=target)
    async with engine.begin() as connection:
        await connection.execute(insert(links).values(link.model_dump()))
    return link


@app.get("/health")
async def health() -> dict[str, str]:
    """What the process runs on, in the loop's own words."""
    return {
        "loop": type(asyncio.get_running_loop()).__module__,
        "task": type(asyncio.current_task()).__module__,
        "database": engine.dialect.name,
    }


@app.post("/links", status_code=201)
async def add(new: NewLink) -> Link:
    """One link."""
    return await save(str(new.target))


@app.post("/links/many", status_code=201)
async def add_many(new: list[NewLink]) -> list[Link]:
    """Many, at the same time; all of them, or an error."""
    try:
        async with asyncio.timeout(CHECK_SECONDS), asyncio.TaskGroup() as group:
            tasks = [group.create_task(save(str(each.target))) for each in new]
    except TimeoutError:
        raise HTTPException(503, "the database is too slow") from None
    return [task.result() for task in tasks]


@app.get("/links/{name}")
async def look(name: str) -> Link:
    """What is known of a link."""
    async with engine.connect() as connection:
        found = (await connection.execute(select(links).where(links.c.name == name))).one_or_none()
    if found is None:
        raise HTTPException(404, "there is no such link")
    return Link(name=found.name, target=found.target, followed=found.followed)


@app.get("/{name}")
async def follow(name: str) -> RedirectResponse:
    """Go there."""
    link = await look(name)
    async with engine.begin() as connection:
        await connection.execute(update(links).where(links.c.name == name).values(followed=links.c.followed + 1))
    return RedirectResponse(link.target, 307)
