"""`import uvloop` as an alias of rasyncio, for programs and servers that know uvloop by name.

Only where it was asked for: `RASYNCIO=uvloop`, or `python -m rasyncio --as-uvloop`. What people use of uvloop is here:
`install`, `run`, `new_event_loop`, `Loop`, `EventLoopPolicy`, `__version__` (of the uvloop that it stands in for, with
a mark). Any other name raises AttributeError with a sentence that says so, and as uvloop is a package, so does an
import of it, or of a module of uvloop's.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

#: The release of uvloop whose module this one follows.
STANDS_IN_FOR = "0.23.0"
NAMES = ("EventLoopPolicy", "Loop", "install", "new_event_loop", "run")
_WHAT_IT_IS = (
    f"it is rasyncio's stand-in (RASYNCIO=uvloop or python -m rasyncio --as-uvloop), which has {', '.join(NAMES)} only"
)


class AliasLoader:
    """Makes the module, which takes each name from rasyncio when it is asked for it."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        import rasyncio

        def get(name: str) -> object:
            if name in NAMES:
                return getattr(rasyncio, name)
            raise AttributeError(f"module 'uvloop' has no attribute {name!r}: {_WHAT_IT_IS}")

        module.__doc__ = "rasyncio in the place of uvloop."
        vars(module).update(
            __all__=NAMES,
            __getattr__=get,
            __dir__=lambda: sorted({*vars(module), *NAMES}),
            __version__=f"{STANDS_IN_FOR}+rasyncio.{rasyncio.__version__}",
        )


def refuse(name: str) -> None:
    """Raise ModuleNotFoundError for `name`, a module of uvloop's, unless another `uvloop` than the alias is imported.

    `from uvloop import something` comes here as well, as for every package: whether it is a module is tried last. With
    the module's own name in the error that would be passed over, for one that says less.
    """
    spec = getattr(sys.modules.get("uvloop"), "__spec__", None)
    if spec is not None and type(spec.loader) is AliasLoader:
        raise ModuleNotFoundError(f"cannot import {name!r} from 'uvloop': {_WHAT_IT_IS}", name="uvloop")
