"""Types a section of a page: the process that `test_blocks.py` starts, in a network of its own.

There every port is free, and no other process can be reached, so that a block runs as it stands on the page. stdin has
the steps, each line of stdout says how one has ended. What it starts, it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def bring_loopback_up() -> None:
    """A new network has it down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = bytearray(struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        name, flags = struct.unpack("16sh14x", request)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | _IFF_UP))


def answers(url: str) -> bool:
    """Whether a server is up."""
    try:
        urllib.request.urlopen(url, timeout=30).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def end(server: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C in a terminal does: the whole group."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
            server.wait(5)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
        break
    server.wait()


def run(command: list[str]) -> dict[str, Any]:
    """Run to the end."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return {"status": done.returncode, "said": done.stdout.decode(errors="replace")}


def serve(command: list[str], url: str, patience: float) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """Start it, and wait until it answers."""
    with open("server.log", "wb") as log:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    give_up = time.monotonic() + patience
    while not (up := answers(url)) and server.poll() is None and time.monotonic() < give_up:
        time.sleep(0.1)
    with open("server.log", errors="replace") as text:
        return server, {"status": 0 if up else 1, "said": text.read()}


def main() -> None:
    bring_loopback_up()
    server = None
    try:
        for step in json.load(sys.stdin):
            if step["url"]:
                if server:
                    end(server)
                server, result = serve(step["command"], step["url"], step["patience"])
            else:
                result = run(step["command"])
            print(json.dumps(result), flush=True)
            if (result["status"] != 0) != step["fails"]:
                break
    finally:
        if server:
            end(server)


if __name__ == "__main__":
    main()
