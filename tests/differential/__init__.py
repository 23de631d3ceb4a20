"""Random programs of asyncio's operations, which must come out the same on CPython's Future, Task and loop and on ours.

`programs` says what a program is and makes random ones; `interpreter`, `operations` and `blocks` run one and write down
all that can be seen of it, its trace. `network`, `connections` and `network_operations` do the same for programs of
connections: their transports, protocols and peers. `engines` does that in a process for each implementation;
`comparison` compares the traces and has the table of what CPython's own two implementations differ in.
tests/test_differential.py runs a fixed number of programs; `make fuzz` (fuzz.py) runs as many as there is time for.
"""
