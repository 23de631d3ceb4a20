"""A chat: a page, and a WebSocket for each member of the room.

    python chat.py [--port 8080]

Each member has a bounded queue and a task that sends what is in it: a member who reads slowly loses messages of his
own, and holds up nobody. A member whose connection is dead is found by the heartbeat.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from aiohttp import WSMsgType, web

PAGE = Path(__file__).with_name("page.html")
WAITING_MOST = 100  # messages that a member may be behind
LENGTH_MOST = 500  # characters of a message


class Room:
    """Who is there, and what is said."""

    def __init__(self) -> None:
        self.members: dict[asyncio.Queue[str], str] = {}

    def say(self, kind: str, name: str, text: str = "") -> None:
        """Tell everybody."""
        message = json.dumps({"kind": kind, "name": name, "text": text, "members": len(self.members)})
        for queue in self.members:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(message)


ROOM = web.AppKey("room", Room)


async def page(request: web.Request) -> web.StreamResponse:
    """What the browser shows."""
    return web.FileResponse(PAGE)


async def member(request: web.Request) -> web.WebSocketResponse:
    """One member, from coming to going."""
    socket = web.WebSocketResponse(heartbeat=30.0)
    await socket.prepare(request)
    room, name = request.app[ROOM], request.query.get("name", "")[:30] or "somebody"
    queue: asyncio.Queue[str] = asyncio.Queue(WAITING_MOST)

    async def send() -> None:
        while True:
            await socket.send_str(await queue.get())

    room.members[queue] = name
    room.say("came", name)
    sender = asyncio.create_task(send())
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT and (text := message.data.strip()[:LENGTH_MOST]):
                room.say("said", name, text)
    finally:
        sender.cancel()
        del room.members[queue]
        room.say("went", name)
    return socket


def application() -> web.Application:
    """The chat, with a room of its own."""
    app = web.Application()
    app[ROOM] = Room()
    app.add_routes([web.get("/", page), web.get("/room", member)])
    return app


def main() -> None:
    """Serve it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8080, help="(default: %(default)s)")
    web.run_app(application(), host="127.0.0.1", port=parser.parse_args().port)


if __name__ == "__main__":
    main()
