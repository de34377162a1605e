"""What is done to a package when it is imported later.

Owns the hook in the import system: there while something is watched for, gone afterwards. It loads nothing itself; the
package's own loader does.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

__all__ = ["Watch"]


class Watch(importlib.abc.MetaPathFinder):
    """Call back once a module of one of these names has been loaded."""

    def __init__(self, wanted: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self._wanted = wanted
        self._done: set[str] = set()

    def start(self) -> None:
        """Watch from now on; `look` sees to what is loaded already."""
        sys.meta_path.insert(0, self)

    def look(self) -> None:
        """Do it for what has been loaded meanwhile: what another thread was just loading was not seen."""
        for name in self._wanted:
            module = sys.modules.get(name)
            if module is not None and not getattr(module.__spec__, "_initializing", False):
                self._loaded(module)

    def _loaded(self, module: ModuleType) -> None:
        if module.__name__ not in self._done:
            self._done.add(module.__name__)
            self._wanted[module.__name__](module)

    def stop(self) -> None:
        """Be gone from the import system."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._wanted:
            return None
        spec = self._found(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, self._loaded)
        return spec

    def _found(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> importlib.machinery.ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)) is not None:
                return spec
        return None


class _Then(importlib.abc.Loader):
    """A loader that does one thing more; everything else is the loader's own."""

    def __init__(self, loader: Any, then: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._then = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._then(module)
