"""The pictures of docs/seeing-inside.md, of the program on that page: `make pictures`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console

from rasyncio.inside import _screen
from rasyncio.inside._client import Client
from rasyncio.inside._view import View

PAGE = Path(__file__).parents[1] / "docs" / "seeing-inside.md"
PICTURES = PAGE.parent / "pictures"
#: In seconds: for how long the program is followed.
LONG = 45


def main() -> None:
    text = re.search(r'```python title="shop.py"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    assert text is not None
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "shop.py").write_text(text[1])
        path = os.path.join(folder, "stats")
        # The picture shows how the program was called; Python looks for its environment by that name.
        search = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        variables = {"RASYNCIO_STATS": path, "RASYNCIO_WATCH": "0.1", "PATH": search}
        command = ["python", "-m", "rasyncio", "shop.py"]
        program = subprocess.Popen(
            command,
            executable=sys.executable,
            cwd=folder,
            env={**os.environ, **variables},
            stderr=subprocess.DEVNULL,
        )
        viewer = None
        try:
            while not os.path.exists(path):
                time.sleep(0.1)
                assert program.poll() is None, "the program has ended"
            command = [sys.executable, "-m", "rasyncio", "top", path, "--web", "0"]
            viewer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert viewer.stdout is not None
            url = viewer.stdout.readline().split()[0]
            time.sleep(LONG)
            with Client(path) as client:
                terminal(client)
            browser(url)
        finally:
            for process in filter(None, (viewer, program)):
                process.kill()


def terminal(client: Client) -> None:
    """What `top` shows, as an SVG file: of four seconds, in which a report is written."""
    view = View(client)
    time.sleep(4)
    view.look()
    while not any(task["coroutine"] == "order" for task in view.tasks):
        view.look()
    view.chosen = next(task["id"] for task in view.tasks if task["coroutine"] == "order")
    view.look_at_tree()
    console = Console(record=True, width=124, height=38, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(_screen.screen(view))
    svg = console.export_svg(title="python -m rasyncio top")
    svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)  # which would be fetched from elsewhere
    (PICTURES / "top.svg").write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


def browser(url: str) -> None:
    """The page, in the light and in the dark."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1160, "height": 1320})
        page.goto(url)
        page.click(".step summary")
        page.click(".task:has-text('order')")
        page.wait_for_selector("#tree .chosen")
        page.wait_for_timeout(1500)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=PICTURES / f"page-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main()
