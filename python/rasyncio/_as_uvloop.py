"""`import uvloop` as an alias of rasyncio, for programs and servers that know uvloop by name.

Only where it was asked for: `RASYNCIO=uvloop`, or `python -m rasyncio --as-uvloop`. What people use of uvloop is here:
`install`, `run`, `new_event_loop`, `Loop`, `EventLoopPolicy`, `__version__` (of the uvloop that it stands in for, with
a mark). Any other name raises AttributeError with a sentence that says so.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

#: The release of uvloop whose module this one follows.
STANDS_IN_FOR = "0.23.0"
NAMES = ("EventLoopPolicy", "Loop", "install", "new_event_loop", "run")


class AliasLoader:
    """Makes the module, which takes each name from rasyncio when it is asked for it."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        import rasyncio

        def get(name: str) -> object:
            if name in NAMES:
                return getattr(rasyncio, name)
            raise AttributeError(
                f"module 'uvloop' has no attribute {name!r}: it is rasyncio's stand-in (RASYNCIO=uvloop or"
                f" python -m rasyncio --as-uvloop), which has {', '.join(NAMES)} only"
            )

        module.__doc__ = "rasyncio in the place of uvloop."
        vars(module).update(
            __all__=NAMES,
            __getattr__=get,
            __dir__=lambda: sorted({*vars(module), *NAMES}),
            __version__=f"{STANDS_IN_FOR}+rasyncio.{rasyncio.__version__}",
        )
