"""What the stages of scenarios have in common: a loop, and what was said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class LoopStage:
    """A loop on which a callback, the place, does something, the action; and what has happened."""

    def __init__(self, new_loop: Callable[[], Any], place: str, action: str) -> None:
        self.said: list[str] = []
        self.place, self.action = place, action
        self.acted = 0
        self.loop = new_loop()
        self.loop.set_exception_handler(self.handle)

    def say(self, text: str) -> None:
        self.said.append(text)

    def handle(self, loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        # Whether a handle that was cancelled meanwhile still knows its callback is not looked at.
        self.say(f"handler: {type(error).__name__} {context['message'].partition(' callback ')[0]}")

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            if self.loop.is_closed():
                return
            self.loop.call_soon(self.loop.stop)
            try:
                self.loop.run_forever()
            except BaseException as error:
                self.say(f"out of the loop: {type(error).__name__}")
