"""What a Python program of `bursar run` does at its start: wait for an HTTP library to be loaded, and then meter.

Python loads this file by itself, since its folder is on PYTHONPATH. It owns the start and nothing else: it never loads
bursar in a program that speaks no HTTP, hides no `sitecustomize` of the environment, and never stops a program. It runs
in whatever Python the program has, however old, so it uses no syntax that is new.
"""

import importlib
import importlib.util
import os
import sys
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.dirname(os.path.dirname(HERE))
OLDEST = (3, 11)
SCOPES = "BURSAR_SCOPES"
LIBRARIES = ("aiobotocore", "aiohttp", "botocore", "httpx", "httpx2")


class Start:
    """Meters as soon as the first of the libraries is asked for, before it is loaded; then it is gone."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Begin where the name is one of the libraries, and let the others find it."""
        if fullname not in LIBRARIES or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        begin()
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = find(fullname, path, target) if find is not None else None
            if spec is not None:
                return spec
        return None


class Bursar:
    """Finds the package `bursar` of the one who started the run, where the program's environment has none."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Give the package itself; its modules are found in its folder."""
        if fullname != "bursar":
            return None
        file = os.path.join(PACKAGE, "__init__.py")
        return importlib.util.spec_from_file_location(fullname, file, submodule_search_locations=[PACKAGE])


def begin() -> None:
    """Meter, or say why not: then the run's gateway alone counts what this program asks."""
    if sys.version_info < OLDEST:
        tell("it runs under Python %d.%d" % sys.version_info[:2])
        return
    try:
        inherited = importlib.import_module("bursar.client.inherited")
        inherited.activate()
    except ImportError as error:
        tell("its environment has no %s" % (error.name or error))


def tell(why: str) -> None:
    """Say once, on stderr, that the program does not meter itself."""
    if sys.stderr is not None:
        sys.stderr.write(
            "bursar: %s (%d) is not metered inside, since %s; what it asks of other addresses than the run's is not "
            "counted\n" % (os.path.basename(sys.argv[0] if getattr(sys, "argv", None) else "python"), os.getpid(), why)
        )


def give_way() -> None:
    """Load the `sitecustomize` that stands behind this one, as Python would have."""
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or os.curdir) != HERE]
    sys.path_importer_cache.pop(HERE, None)
    mine = sys.modules.pop("sitecustomize", None)
    try:
        importlib.import_module("sitecustomize")
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        if mine is not None:
            sys.modules["sitecustomize"] = mine


if os.environ.get(SCOPES):
    sys.meta_path.insert(0, Start())
    sys.meta_path.append(Bursar())
give_way()
