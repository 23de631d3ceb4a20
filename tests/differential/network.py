"""Random programs of connections; what a program is, programs.py says.

Its connections are numbered as they come, and each has a peer: a plain socket, which the program drives between the
loop's turns, or a second connection of the same loop. What a protocol does in its callbacks is part of its description.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from .programs import ERROR, MESSAGE, VALUE, Operation, Program, operation

#: An index of a connection; -1 is the one whose protocol is being called.
CONNECTION = st.integers(-1, 2)
#: No more than a peer's buffer holds, and more than any does.
SMALL = st.sampled_from([0, 1, 7, 1000, 4096, 5001, 20_000])
HUGE = 3_000_000
BYTES = st.tuples(
    st.sampled_from(["bytes", "bytes", "bytes", "bytearray", "bytearray changed", "memoryview", "bytes subclass"]),
    st.one_of(SMALL, SMALL, SMALL, st.just(70_000), st.just(HUGE)),
).map(list)
ODD = st.sampled_from(["of ints", "strided", "two dimensions", "released", "str", "None", "int", "array", "list"])
PAYLOAD = st.one_of(BYTES, BYTES, BYTES, st.tuples(ODD, st.sampled_from([0, 1, 1000])).map(list))
CALLBACKS = [
    "connection_made",
    "connection_lost",
    "data_received",
    "get_buffer",
    "buffer_updated",
    "eof_received",
    "pause_writing",
    "resume_writing",
]
LIMIT = st.sampled_from([None, None, 0, 1, 65_536, 10_000_000, -1])
INFO = st.sampled_from(["socket", "sockname", "peername", "sslcontext", "nothing", 5])
WHICH = st.sampled_from(["unix", "unix", "tcp4", "tcp6"])
#: In which of its steps an attempt is cancelled.
STEPS_TAKEN = st.integers(0, 6)
ATTEMPT = st.sampled_from(
    [
        "create_connection",
        "create_connection sock",
        "create_server",
        "create_unix_connection",
        "create_unix_server",
        "connect_accepted_socket",
        "sock_connect",
        "sock_accept",
        "sock_recv",
        "sock_sendall",
        "create_datagram_endpoint",
    ]
)

#: What can be done in callbacks, too.
ON_A_CONNECTION = st.one_of(
    operation("write", CONNECTION, PAYLOAD),
    operation("write", CONNECTION, PAYLOAD),
    operation("write", CONNECTION, PAYLOAD),
    operation("writelines", CONNECTION, st.sampled_from(["list", "generator", "tuple"]), st.lists(PAYLOAD, max_size=3)),
    operation("write_eof", CONNECTION),
    operation("close", CONNECTION),
    operation("abort", CONNECTION),
    operation("pause_reading", CONNECTION),
    operation("resume_reading", CONNECTION),
    operation("limits", CONNECTION, LIMIT, LIMIT),
    operation("look", CONNECTION),
    operation("extra", CONNECTION, INFO),
    operation("peer_send", CONNECTION, SMALL),
    operation("peer_eof", CONNECTION),
)
RARE = st.one_of(
    operation("stop"),
    operation("collect"),
    operation("raise", ERROR, st.booleans()),
    operation("set_variable", VALUE),
    operation("forget", CONNECTION),
    operation("close_socket", CONNECTION, st.sampled_from(["close", "detach", "shutdown"])),
)


def protocol(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """A protocol: its kind, what it answers, what it does."""
    anything = st.one_of(ON_A_CONNECTION, ON_A_CONNECTION, RARE)
    if depth:
        anything = st.one_of(anything, operation("set_protocol", CONNECTION, protocol(depth - 1)))
    return st.fixed_dictionaries(
        {
            "buffered": st.booleans(),
            "eof": st.sampled_from([None, True, False]),
            "buffer": st.sampled_from(
                ["bytearray", "bytearray", "memoryview", "short", "empty", "read-only", "none", "strided", "of ints"]
            ),
            "does": st.dictionaries(st.sampled_from(CALLBACKS), st.lists(anything, max_size=3), max_size=2),
        }
    )


ACTIONS = st.lists(st.one_of(ON_A_CONNECTION, RARE), max_size=3)
CONNECT = st.one_of(
    operation("connect", WHICH, st.sampled_from(["client", "accepted", "server", "pair"]), protocol(1), protocol(0))
)
STEP: st.SearchStrategy[Operation] = st.one_of(
    ON_A_CONNECTION,
    ON_A_CONNECTION,
    operation("turn"),
    operation("turn"),
    operation("peer_send", CONNECTION, st.one_of(SMALL, st.just(60_000))),
    operation("peer_receive", CONNECTION, st.sampled_from([1, 1000])),
    operation("peer_drain", CONNECTION),
    operation("peer_end", CONNECTION, st.sampled_from(["close", "reset", "shutdown both"])),
    operation("set_protocol", CONNECTION, protocol(1)),
    operation("state", CONNECTION),
    operation("call_soon", ACTIONS, st.none()),
    operation("send_file", CONNECTION, st.sampled_from([100, 5000, HUGE]), st.booleans()),
    operation("add_reader", CONNECTION),
    operation("cancelled", ATTEMPT, STEPS_TAKEN, MESSAGE),
    CONNECT,
    RARE,
)
SETUP = st.fixed_dictionaries(
    {
        "network": st.just(True),
        "futures": st.just(0),
        "debug": st.sampled_from([False, False, False, False, True]),
        "factory": st.just(""),
        "handler": st.sampled_from(["", "", "", "raises", "none"]),
        "overrides": st.just([]),
        "reentry": st.just([]),
    }
)
NETWORK: st.SearchStrategy[Program] = st.fixed_dictionaries(
    {"setup": SETUP, "steps": st.tuples(CONNECT, st.lists(STEP, max_size=12)).map(lambda both: [both[0], *both[1]])}
)
