"""Objects that do harm on purpose: the historical bugs of CPython's module, and depth without a bound.

Each body runs in an interpreter of its own, since what it looks for is a crash.
"""

from __future__ import annotations

import pytest

from support.impls import MINOR, Fix, run_fresh

OWNED = Fix("gh-125966, gh-125984, gh-126080, gh-126138", {(3, 12): 8, (3, 13): 1, (3, 14): 0, (3, 15): 0})
INIT_ONCE = MINOR >= (3, 15)


def skip_crash(name: str, fix: Fix) -> None:
    """The running CPython's own module is known to crash there: it is not run, and the report says why."""
    if name == "c" and not fix.in_c():
        pytest.skip(f"this CPython's own module crashes here, before the fix of {fix.reason}")


# --- comparison of callbacks


def test_eq_frees_the_first_callback(name: str) -> None:
    """gh-125966: the stored callback is compared while nothing else keeps it."""

    def body() -> None:
        import asyncio
        import gc

        from support.fakes import QuietLoop

        class Evil:
            def __eq__(self, other):
                future.remove_done_callback(junk)
                list(map(bytearray, [64] * 100))
                gc.collect()
                return False

        class Junk:
            def __eq__(self, other):
                return True

        junk = Junk()
        for others in range(3):
            future = asyncio.Future(loop=QuietLoop())
            future.add_done_callback(Evil())
            for _ in range(others):
                future.add_done_callback(Junk())
            try:
                print(future.remove_done_callback(Evil()) >= 0)
            except RecursionError:
                print(True)

    skip_crash(name, OWNED)
    assert run_fresh(name, body) == "True\n" * 3


def test_eq_changes_the_list(name: str) -> None:
    """bpo-28963, gh-97592: the list shrinks, grows or goes away while it is searched."""

    def body() -> None:
        import asyncio

        from support.fakes import QuietLoop

        def nobody(future):
            """Fill the list."""

        for action in ("clear", "append", "finish", "cancel", "init"):
            for position in range(4):
                future = asyncio.Future(loop=QuietLoop())

                class Evil:
                    busy = False

                    def __eq__(self, other, action=action, future=future):
                        if type(self).busy:
                            return False
                        type(self).busy = True
                        if action == "clear":
                            while future.remove_done_callback(nobody):
                                """Again."""
                        elif action == "append":
                            for _ in range(50):
                                future.add_done_callback(nobody)
                        elif action == "finish":
                            future.done() or future.set_result(1)
                        elif action == "cancel":
                            future.cancel()
                        else:
                            try:
                                future.__init__(loop=QuietLoop())
                            except RuntimeError:
                                """3.15 refuses."""
                        return True

                for place in range(4):
                    future.add_done_callback(Evil() if place == position else nobody)
                removed = future.remove_done_callback(Evil())
                print(action, position, removed in range(60))

    lines = run_fresh(name, body).splitlines()
    # Pure Python counts by the list's length before and after, which may make a negative number.
    assert len(lines) == 20 and (name == "python" or all(line.endswith("True") for line in lines))


# --- the loop


@pytest.mark.parametrize("method", ["set_result", "set_exception", "cancel"])
def test_getattribute_of_the_loop_frees_the_callback(name: str, method: str) -> None:
    """gh-125984: the callback and its context are freed while `call_soon` is looked up."""

    def body(method: str) -> None:
        import asyncio
        import contextvars
        import gc

        from support.fakes import QuietLoop

        class Loop(QuietLoop):
            def __getattribute__(self, attribute):
                if attribute == "call_soon":
                    for callback, _ in list(future._callbacks or ()):
                        future.remove_done_callback(callback)
                    try:
                        future.__init__(loop=QuietLoop())
                    except RuntimeError:
                        """3.15 refuses."""
                    [bytearray(64) for _ in range(200)], [contextvars.Context() for _ in range(200)]
                    gc.collect()
                return object.__getattribute__(self, attribute)

            def call_soon(self, callback, *args, context=None):
                print(callback(*args), type(context).__name__)

        future = asyncio.Future(loop=Loop())
        future.add_done_callback(lambda f: "first", context=contextvars.Context())
        future.add_done_callback(lambda f: "second", context=contextvars.Context())
        argument = {"set_result": (1,), "set_exception": (ValueError(),), "cancel": ()}[method]
        getattr(future, method)(*argument)
        future._log_traceback = False

    skip_crash(name, OWNED)
    if method == "set_exception" and name == "c" and not INIT_ONCE:
        pytest.skip("the newest patches still crash: the flag is set on a future that has no exception any more")
    assert run_fresh(name, body, method).startswith("first Context\n")


def test_call_soon_changes_the_list(name: str) -> None:
    """gh-125969."""

    def body() -> None:
        import asyncio

        from support.fakes import QuietLoop

        called = []

        class Loop(QuietLoop):
            def call_soon(self, callback, *args, context=None):
                called.append(callback)
                future.remove_done_callback(pad)
                for _ in range(3):
                    future.add_done_callback(pad) if len(called) < 20 else None

        def pad(future):
            """Fill the list."""

        def bottom(future):
            """Be the last."""

        future = asyncio.Future(loop=Loop())
        for _ in range(3):
            future.add_done_callback(pad)
        future.add_done_callback(bottom)
        future.set_result(1)
        print(called[0] is pad)

    skip_crash(name, OWNED)
    assert run_fresh(name, body) == "True\n"


def test_is_running_and_get_debug_restart_the_task(name: str) -> None:
    def body() -> None:
        import asyncio
        import sys

        from support.fakes import QuietLoop

        async def nothing():
            """Finish at once."""

        class Loop(QuietLoop):
            depth = 0

            def again(self, where):
                if self.depth < 3:
                    self.depth += 1
                    coro = nothing()
                    try:
                        task.__init__(coro, loop=self)
                    except RuntimeError:
                        coro.close()

            def get_debug(self):
                self.again("debug")
                return False

            def is_running(self):
                self.again("running")
                return False

        task = asyncio.Task.__new__(asyncio.Task)
        options = {"eager_start": True} if sys.version_info >= (3, 12) else {}
        task.__init__(nothing(), loop=Loop(), **options)
        print(task._state)
        task._log_destroy_pending = False

    assert run_fresh(name, body, flags=()) == "PENDING\n"


# --- the parts of a task


def test_name_aborts_the_constructor(name: str) -> None:
    """gh-126080: `__str__` of a name fails, the task is started again, and the context is freed in `call_soon`."""

    def body() -> None:
        import asyncio
        import contextvars
        import gc
        import types

        from support.fakes import QuietLoop

        @types.coroutine
        def give():
            while True:
                yield None

        async def main():
            await give()

        class EvilName:
            def __str__(self):
                raise KeyError("name")

        class Loop(QuietLoop):
            restart = False

            def is_running(self):
                return True

            def call_soon(self, callback, *args, context=None):
                self.last, self.context = callback, context

            def __getattribute__(self, attribute):
                if attribute == "call_soon" and object.__getattribute__(self, "restart"):
                    coro = main()
                    try:
                        task.__init__(coro, loop=Loop(), name=EvilName())
                    except (KeyError, RuntimeError):
                        coro.close()
                    [contextvars.Context() for _ in range(500)]
                    gc.collect()
                return object.__getattribute__(self, attribute)

        loop = Loop()
        task = asyncio.Task(main(), loop=loop, context=contextvars.copy_context())
        asyncio._set_running_loop(loop)
        step = loop.last
        loop.restart = True
        try:
            step()
        except RuntimeError:
            print("RuntimeError", end=" ")
        loop.restart = False
        asyncio._set_running_loop(None)
        print(type(loop.context).__name__)
        task._log_destroy_pending = False

    skip_crash(name, OWNED)
    assert run_fresh(name, body, flags=()).endswith("Context\n")


def test_half_made_task(name: str) -> None:
    """The same with nothing in between: what a failed constructor leaves is usable or refuses, in every entry point."""

    def body() -> None:
        import asyncio
        import sys

        from support.fakes import QuietLoop

        class EvilName:
            def __str__(self):
                raise KeyError("name")

        async def nothing():
            """Never run."""

        task = asyncio.Task.__new__(asyncio.Task)
        coro = nothing()
        try:
            task.__init__(coro, loop=QuietLoop(), name=EvilName())
        except KeyError:
            print("KeyError")
        coro.close()
        for attribute in dir(asyncio.Task):
            if not attribute.startswith("__"):
                value = getattr(task, attribute, None)
                if attribute in (
                    "get_coro",
                    "get_name",
                    "cancelling",
                    "uncancel",
                    "cancel",
                    "done",
                    "result",
                    "get_stack",
                ):
                    try:
                        value()
                    except (asyncio.InvalidStateError, AttributeError, RuntimeError):
                        """Refuses."""
        try:
            repr(task)
        except (RuntimeError, AttributeError):
            """Refuses."""
        print(sys.getrefcount(task) > 0)

    assert run_fresh(name, body, flags=()) == "KeyError\nTrue\n"


def test_cancel_of_the_awaited_object_frees_the_message(name: str) -> None:
    """gh-126138: the message is replaced while `cancel` is looked up."""

    def body() -> None:
        import asyncio
        import types

        from support.fakes import QuietLoop

        class Loop(QuietLoop):
            def call_soon(self, callback, *args, context=None):
                self.last = callback

        class Message:
            """Freed at once when nobody keeps it."""

        class Evil:
            _asyncio_future_blocking = True

            def get_loop(self):
                return loop

            def add_done_callback(self, callback, *, context):
                """Never call it."""

            def __getattribute__(self, attribute):
                if attribute == "cancel":
                    task._cancel_message = None
                    [bytearray(48) for _ in range(500)]
                return object.__getattribute__(self, attribute)

            def cancel(self, msg):
                print(type(msg).__name__)
                return True

        @types.coroutine
        def give(value):
            yield value

        async def main():
            task.cancel(Message())
            await give(Evil())

        loop = Loop()
        task = asyncio.Task(main(), loop=loop)
        asyncio._set_running_loop(loop)
        loop.last()
        asyncio._set_running_loop(None)
        task._log_destroy_pending = False

    if name == "python":
        pytest.skip("looks up `cancel` first, and the message after it, which is gone by then")
    skip_crash(name, OWNED)
    assert run_fresh(name, body) == "Message\n"


@pytest.mark.parametrize("method", ["set_result", "cancel", "set_exception", "init"])
def test_exception_class_finishes_the_future(name: str, method: str) -> None:
    """The state is looked at again after the exception was made."""

    def body(method: str) -> None:
        import asyncio

        from support.fakes import QuietLoop

        class Loop(QuietLoop):
            def call_soon(self, callback, *args, context=None):
                print("called", callback.__name__)

        class Error(Exception):
            def __init__(self):
                if method == "init":
                    try:
                        future.__init__(loop=Loop())
                    except RuntimeError:
                        """3.15 refuses."""
                else:
                    getattr(future, method)(*{"set_result": (5,), "cancel": (), "set_exception": (KeyError(),)}[method])

        def callback(future):
            """Is called once or never."""

        future = asyncio.Future(loop=Loop())
        future.add_done_callback(callback)
        try:
            future.set_exception(Error)
        except asyncio.InvalidStateError:
            print("InvalidStateError")
        print(future._state)
        future._log_traceback = False

    said = run_fresh(name, body, method)
    if method == "init":
        called = "called callback\n" if INIT_ONCE else ""
        assert said == f"{called}FINISHED\n"
    elif name == "python":
        # does not look again: the second outcome wins, and no callback is left to be called
        assert said == "called callback\nFINISHED\n"
    else:
        state = "CANCELLED" if method == "cancel" else "FINISHED"
        assert said == f"called callback\nInvalidStateError\n{state}\n"


def test_attributes_deleted(name: str) -> None:
    def body() -> None:
        import asyncio

        from support.fakes import QuietLoop

        async def nothing():
            """Never run."""

        coro = nothing()
        task = asyncio.Task(coro, loop=QuietLoop())
        count = 0
        for owner in (asyncio.Future(loop=QuietLoop()), task):
            for attribute in dir(owner):
                if attribute.startswith("_") and not attribute.startswith("__"):
                    try:
                        delattr(owner, attribute)
                    except (AttributeError, TypeError):
                        count += 1
        print(count > 10)
        coro.close()
        task._log_destroy_pending = False

    if name == "python":
        pytest.skip("has an ordinary instance dict, whose attributes can be deleted")
    assert run_fresh(name, body) == "True\n"


def test_class_lies_about_what_it_is(name: str) -> None:
    """`__class__` of the yielded object, of the coroutine and of the exception is an ordinary attribute."""

    def body() -> None:
        import asyncio
        import types

        from support.fakes import MockLoop

        class Liar:
            __class__ = asyncio.Future

        @types.coroutine
        def give(value):
            return (yield value)

        async def main():
            try:
                await give(Liar())
            except RuntimeError as error:
                return str(error)[:18]

        loop = MockLoop()
        task = asyncio.Task(main(), loop=loop)
        loop.run()
        print(task.result())
        for function in ("_register_task", "_unregister_task"):
            try:
                getattr(asyncio.tasks, function)(Liar())
            except TypeError:
                """Refuses."""
        try:
            asyncio.all_tasks(loop)
        except (AttributeError, RuntimeError, TypeError):
            """Refuses."""
        for method in (asyncio.Future.result, asyncio.Future.done, asyncio.Task.cancel, asyncio.Future.__init__):
            try:
                method(Liar())
            except (TypeError, AttributeError, RuntimeError):
                print("refused")

    assert run_fresh(name, body, flags=()).startswith("Task got bad yield\n")


# --- depth


def test_two_tasks_waiting_for_each_other(name: str) -> None:
    """gh-80637: cancelling goes round and round, until a RecursionError."""

    def body() -> None:
        import asyncio

        async def main():
            async def waits(index):
                await tasks[1 - index]

            tasks = [asyncio.ensure_future(waits(0)), asyncio.ensure_future(waits(1))]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            try:
                tasks[0].cancel()
            except RecursionError:
                print("RecursionError")
            for task in tasks:
                task._log_destroy_pending = False
            asyncio.get_running_loop().stop()

        loop = asyncio.new_event_loop()
        task = loop.create_task(main())
        loop.run_forever()
        task.result()
        loop.close()

    assert run_fresh(name, body) == "RecursionError\n"


@pytest.mark.parametrize("length", [1, 3, 50])
def test_a_ring_of_tasks(name: str, length: int) -> None:
    def body(length: int) -> None:
        import asyncio
        import gc

        async def main():
            async def waits(index):
                await tasks[(index + 1) % length]

            tasks = []
            tasks += [asyncio.ensure_future(waits(index)) for index in range(length)]
            for _ in range(3):
                await asyncio.sleep(0)
            if length == 1:
                print(str(tasks[0].exception()).startswith("Task cannot await on itself"))
            else:
                try:
                    tasks[0].cancel("round and round")
                    print(False)
                except RecursionError:
                    print(True)
            print(all(task.done() for task in tasks) is (length == 1))
            for task in tasks:
                task._log_destroy_pending = False

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        gc.collect()
        loop.close()

    assert run_fresh(name, body, length) == "True\nTrue\n"


def test_a_future_that_cancels_itself(name: str) -> None:
    def body() -> None:
        import asyncio

        class Ring(asyncio.Future):
            def cancel(self, msg=None):
                return task.cancel(msg)

        async def main():
            await ring

        loop = asyncio.new_event_loop()
        ring = Ring(loop=loop)
        task = loop.create_task(main())
        loop.call_soon(loop.stop)
        loop.run_forever()
        try:
            task.cancel()
        except RecursionError:
            print("RecursionError")
        task._log_destroy_pending = False
        loop.close()

    assert run_fresh(name, body) == "RecursionError\n"


def test_repr_of_futures_in_each_other(name: str) -> None:
    def body() -> None:
        import asyncio
        import itertools

        loop = asyncio.new_event_loop()
        futures = [asyncio.Future(loop=loop) for _ in range(2000)]
        for inner, outer in itertools.pairwise(futures):
            outer.set_result(inner)
        futures[0].set_result(futures[-1])
        print(len(repr(futures[-1])) < 100_000)
        loop.close()

    assert run_fresh(name, body) == "True\n"


CHAIN = 100_000


def chain(operation: str, length: int) -> None:
    """A long chain of tasks, each awaiting the next; then one operation on it."""
    import asyncio
    import gc

    from support.fakes import QuietLoop

    class Loop(QuietLoop):
        def __init__(self):
            self.ready = []

        def call_soon(self, callback, *args, context=None):
            self.ready.append((callback, args))

        def run(self):
            asyncio._set_running_loop(self)
            while self.ready:
                ready, self.ready = self.ready, []
                for callback, args in ready:
                    callback(*args)
            asyncio._set_running_loop(None)

    async def waits(other):
        return await other

    loop = Loop()
    last = tip = asyncio.Future(loop=loop)
    tasks = []
    for _ in range(length):
        last = asyncio.Task(waits(last), loop=loop)
        last._log_destroy_pending = False
        tasks.append(last)
    loop.run()
    if operation == "finish":
        tip.set_result(5)
        loop.run()
        print(last.result())
    elif operation == "fail":
        tip.set_exception(ValueError("far away"))
        loop.run()
        print(type(last.exception()).__name__)
        for task in tasks:
            task.exception()
    elif operation == "cancel the future":
        tip.cancel("m")
        loop.run()
        print(last.cancelled(), tasks[0].cancelled())
    elif operation == "cancel the last task":
        try:
            last.cancel("m")
            loop.run()
            print("cancelled", last.cancelled())
        except RecursionError:
            print("RecursionError")
    elif operation == "collect":
        print("collect")
    del tip, last, tasks
    gc.collect()
    print("end")


@pytest.mark.parametrize("operation", ["finish", "cancel the future", "collect", "fail"])
def test_a_long_chain(name: str, operation: str) -> None:
    expected = {"finish": "5", "cancel the future": "True True", "collect": "collect", "fail": "ValueError"}[operation]
    length = CHAIN if operation == "collect" else CHAIN // 10  # the others go from task to task through the loop
    assert run_fresh(name, chain, operation, length) == f"{expected}\nend\n"


def test_cancelling_the_end_of_a_long_chain(name: str) -> None:
    """Native recursion has a bound: a RecursionError, not the end of the stack."""
    assert run_fresh(name, chain, "cancel the last task", CHAIN) == "RecursionError\nend\n"


def test_cancelling_a_short_chain(name: str) -> None:
    assert run_fresh(name, chain, "cancel the last task", 100) == "cancelled True\nend\n"


@pytest.mark.parametrize("link", ["result", "callback", "attribute", "message"])
def test_futures_nested_in_each_other_are_freed(name: str, link: str) -> None:
    def body(link: str, length: int) -> None:
        import asyncio
        import gc

        from support.fakes import QuietLoop

        loop = QuietLoop()
        inner = None
        for _ in range(length):
            outer = asyncio.Future(loop=loop)
            if link == "result":
                outer.set_result(inner)
            elif link == "callback":
                outer.add_done_callback(inner)
            elif link == "attribute":
                outer.inner = inner
            else:
                outer._cancel_message = inner
            inner = outer
        del outer
        del inner
        gc.collect()
        print("freed")

    assert run_fresh(name, body, link, CHAIN) == "freed\n"
