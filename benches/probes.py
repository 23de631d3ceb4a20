"""What is asked of every measured interpreter (see interpreter.py)."""

import os
import platform
import sysconfig
import time
from collections.abc import Sequence

from benches import implementations

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def version() -> str:
    """Like 3.14.10."""
    return platform.python_version()


def description() -> str:
    """One line about this interpreter. CONFIG_ARGS may not tell all: Debian's rules add PGO and LTO elsewhere."""
    of_note = ("--enable-optimizations", "--with-lto", "--enable-experimental-jit", "--with-pydebug", "--disable-gil")
    given = [word.strip("'") for word in str(sysconfig.get_config_var("CONFIG_ARGS") or "").split()]
    options = " ".join(word for word in given if word.startswith(of_note)) or "no optimisation option"
    return f"CPython {version()}, {platform.python_compiler()}, CONFIG_ARGS has {options}"


def error_of(implementation: str) -> str:
    """The error of choosing this implementation; nothing if there is none."""
    try:
        implementations.select(implementation)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def workload_names() -> list[str]:
    """The workloads that this interpreter can run."""
    from benches import workloads

    return list(workloads.available())


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Those of the packages that this interpreter has."""
    import importlib.metadata

    found = {each.metadata["Name"].lower(): each.version for each in importlib.metadata.distributions()}
    return {package: found[package] for package in packages if package in found}


def run_workload(implementation: str, name: str, repetitions: int) -> None:
    """Run a workload and measure nothing, after one repetition to warm up."""
    loop_class = implementations.select(implementation)
    import asyncio

    from benches import workloads

    async def run(count: int) -> None:
        await workloads.WORKLOADS[name].run(count)

    with asyncio.Runner(loop_factory=loop_class) as runner:
        runner.run(run(1))
        runner.run(run(repetitions))


def openssl() -> str:
    """The version of what the module ssl calls."""
    import ssl

    return ssl.OPENSSL_VERSION


def loader() -> list[str]:
    """The dynamic loader with the directories that it has here, as a command that starts another program."""
    import ssl

    del ssl  # only its libraries are wanted
    with open("/proc/self/maps") as maps:
        mapped = {line.split()[-1] for line in maps if "/" in line and ".so" in line}
    (program,) = [path for path in mapped if os.path.basename(path).startswith("ld-")]
    wanted = ("libssl.", "libcrypto.", "libc.")
    places = {os.path.dirname(path) for path in mapped if os.path.basename(path).startswith(wanted)}
    return [program, "--library-path", ":".join(sorted(places))]
