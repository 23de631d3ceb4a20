"""What viewers turn on in a process: on as long as one of them looks, and never in the way of the program."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import pytest

import rasyncio
from rasyncio._watch import watched
from rasyncio.inside._lent import give_back, lend
from rasyncio.inside._snapshot import snapshot
from rasyncio.inside._wishes import Wishes

FIRST, SECOND = Wishes(2.0, profile=True), Wishes(1.0, profile=True)


def is_profiled() -> bool:
    return snapshot()["functions"] is not None


@pytest.fixture(autouse=True)
def nothing_is_on() -> Iterator[None]:
    assert (watched(), is_profiled()) == (None, False)
    yield
    assert (watched(), is_profiled()) == (None, False)


def test_as_long_as_somebody_looks() -> None:
    lend(FIRST)
    assert (watched(), is_profiled()) == (2.0, True)
    lend(SECOND)
    assert watched() == 1.0, "what is enough for both"
    lend(Wishes())
    give_back(FIRST)
    assert (watched(), is_profiled()) == (1.0, True)
    give_back(SECOND)
    assert (watched(), is_profiled()) == (None, False)
    give_back(Wishes())


def test_what_the_program_has_turned_on_stays() -> None:
    with rasyncio.watch(3.0) as own, rasyncio.profile():
        lend(FIRST)
        assert (watched(), own.is_on) == (3.0, True)
        give_back(FIRST)
        assert (watched(), own.is_on, is_profiled()) == (3.0, True, True)


def test_what_the_program_turns_on_meanwhile() -> None:
    lend(FIRST)
    with rasyncio.watch(3.0) as own, rasyncio.profile():
        give_back(FIRST)
        assert (watched(), own.is_on, is_profiled()) == (3.0, True, True)
        lend(SECOND)
    # The program's are over; who comes next gets what it wishes for.
    lend(FIRST)
    assert (watched(), is_profiled()) == (1.0, True)
    give_back(FIRST)
    give_back(SECOND)


def test_what_cannot_be_turned_on_is_not_held() -> None:
    with pytest.raises(ValueError, match="the threshold must be a positive number"):
        lend(Wishes(-1.0))
    lend(FIRST)
    give_back(FIRST)


def test_a_child_has_nothing_of_it() -> None:
    lend(FIRST)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # since 3.12, of a process with several threads
            child = os.fork()
        if not child:
            os._exit(0 if (watched(), is_profiled()) == (None, False) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (watched(), is_profiled()) == (2.0, True)
    finally:
        give_back(FIRST)
