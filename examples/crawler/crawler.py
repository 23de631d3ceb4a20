"""A crawler: all pages of a site, a few at a time, each with a timeout.

    python crawler.py http://127.0.0.1:8000/ [--at-once 10] [--seconds 5] [--pages 1000]

A TaskGroup of workers takes addresses from a queue, and puts in those that it finds on their pages. A page that does
not come in time, or is not there, is named at the end; it stops nobody. Ctrl-C ends all, and tells what was found.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import aiohttp


class Links(HTMLParser):
    """The addresses on a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag."""
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


@dataclass
class Crawl:
    """One site, and what came of it."""

    start: str
    seconds: float
    pages_most: int
    seen: set[str] = field(default_factory=set)
    fetched: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self.add(self.start)

    def add(self, address: str) -> None:
        """Enter a page that is of the site, and new."""
        address = urldefrag(address).url
        of_the_site = urlsplit(address)[:2] == urlsplit(self.start)[:2]
        if of_the_site and address not in self.seen and len(self.seen) < self.pages_most:
            self.seen.add(address)
            self.queue.put_nowait(address)

    async def fetch(self, session: aiohttp.ClientSession, address: str) -> None:
        """One page."""
        try:
            async with asyncio.timeout(self.seconds), session.get(address) as answer:
                answer.raise_for_status()
                text = await answer.text() if answer.content_type == "text/html" else ""
        except TimeoutError:
            self.failed[address] = f"nothing within {self.seconds:g} s"
        except aiohttp.ClientResponseError as error:
            self.failed[address] = f"{error.status} {error.message}"
        except aiohttp.ClientError as error:
            self.failed[address] = str(error) or type(error).__name__
        else:
            self.fetched[address] = len(text)
            links = Links()
            links.feed(text)
            for link in links.found:
                self.add(urljoin(address, link))

    async def work(self, session: aiohttp.ClientSession) -> None:
        """Take one page after the other, for ever."""
        while True:
            address = await self.queue.get()
            try:
                await self.fetch(session, address)
            finally:
                self.queue.task_done()

    async def run(self, at_once: int) -> None:
        """All pages."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            workers = [group.create_task(self.work(session)) for _ in range(at_once)]
            await self.queue.join()
            for worker in workers:
                worker.cancel()


def main() -> None:
    """Crawl, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", help="the address of the first page; others of that host are followed")
    parser.add_argument("--at-once", type=int, default=10, help="workers (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for a page (default: %(default)s)")
    parser.add_argument("--pages", type=int, default=1000, help="at most (default: %(default)s)")
    arguments = parser.parse_args()

    async def crawl() -> Crawl:
        found = Crawl(arguments.start, arguments.seconds, arguments.pages)
        try:
            await found.run(arguments.at_once)
        finally:
            loop = type(asyncio.get_running_loop()).__module__
            print(f"{len(found.fetched)} pages, {sum(found.fetched.values()):,} characters, on {loop}")
            for address, why in sorted(found.failed.items()):
                print(f"  {address}: {why}")
        return found

    started = time.perf_counter()
    found = None
    try:
        found = asyncio.run(crawl())
    except KeyboardInterrupt:
        print("stopped")
    print(f"{time.perf_counter() - started:.2f} s")
    if found and not found.fetched:
        raise SystemExit("no page could be fetched")


if __name__ == "__main__":
    main()
