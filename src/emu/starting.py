"""A start without what it has no need of, a third of its CPU seconds until a run's first step (docs/results/step.md).

A search for garbage would go through every object of torch and diffusers again and again, and find nothing. What has
been imported stays until the process ends, so that later searches leave it out, too. diffusers and transformers each
read the list of what is installed, and diffusers imports `bitsandbytes`, and by it torch's compiler, wherever it is:
that waits in every command.
"""

import functools
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from threading import RLock
from types import ModuleType

LATER = "bitsandbytes"  # imported once something of it is asked for: a network in 4 bits, an optimizer in 8


@contextmanager
def starting() -> Iterator[None]:
    """Inside, no garbage is looked for until `started` is called, and what is installed is read once."""
    from importlib import metadata  # 20 ms, which `emu --help` has no need of

    read = metadata.packages_distributions
    vars(metadata)["packages_distributions"] = functools.cache(read)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        vars(metadata)["packages_distributions"] = read


def started() -> None:
    """The model is loaded, and all imported: garbage is looked for from now on, but not in what is there."""
    if gc.isenabled():  # of a program that uses emu as a library, whose objects are its own affair
        return
    if not gc.get_freeze_count():  # of a second command of one process the first one's garbage is not to stay
        gc.freeze()
    gc.enable()


@contextmanager
def waiting() -> Iterator[None]:
    """Inside, `LATER` is imported and does not run until something of it is asked for."""
    finder = Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class Later(ModuleType):
    """A module whose code runs when the first of its names is asked for.

    As `importlib.util.LazyLoader`'s, but for that what every module has (`__file__`, `__spec__`) may be asked for:
    `inspect` asks all modules for it, for each operator that torch registers.
    """

    def __getattr__(self, name: str) -> object:
        loader = self.__spec__ and self.__spec__.loader
        assert isinstance(loader, Waiting)
        with loader.lock:
            if loader.runs:  # the name is not there yet for the module's own code
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
            if type(self) is Later:  # else another thread came first
                loader.run(self)
        return getattr(self, name)


class Waiting(Loader):
    """Loads a package as `Later`; its `__path__` is among what is asked for, so that no submodule comes before it."""

    def __init__(self, real: Loader, path: Sequence[str] | None) -> None:
        self.real, self.path, self.lock, self.runs = real, path, RLock(), False

    def run(self, module: ModuleType) -> None:
        self.runs = True
        try:
            vars(module)["__path__"] = self.path
            self.real.exec_module(module)
            object.__setattr__(module, "__class__", ModuleType)
        finally:
            self.runs = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).pop("__path__", None)
        module.__class__ = Later


class Finder(MetaPathFinder):
    """Finds `LATER` as the other finders do, to be loaded as `Later`."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != LATER:
            return None
        others = (one.find_spec(name, path, target) for one in sys.meta_path if one is not self)
        found = next((spec for spec in others if spec), None)
        if found and found.loader:
            found.loader = Waiting(found.loader, found.submodule_search_locations)
        return found
