"""Run an example, and tell at each use of its tool what calls that are made inside it are called.

The example is loaded as it is; only its notes are others, which look around when somebody asks them.
"""

import asyncio
import importlib.util
import inspect
import json
import sys
from typing import Any

from bursar.client.scopes import around


class Notes(dict[str, str]):
    """Notes that tell who looks."""

    def get(self, key: str, default: Any = None) -> Any:
        print("inside", json.dumps({name: around().labels.get(name, "") for name in ("agent", "task", "tag.tool")}))
        return super().get(key, default)


found = importlib.util.spec_from_file_location("example", sys.argv[1])
assert found is not None and found.loader is not None
example = importlib.util.module_from_spec(found)
found.loader.exec_module(example)
example.NOTES = Notes(example.NOTES)  # type: ignore[attr-defined]
options = {"is_streamed": "--stream" in sys.argv} if "is_streamed" in inspect.signature(example.main).parameters else {}
work = example.main("When was Tower Bridge opened?", **options)
if inspect.iscoroutine(work):
    asyncio.run(work)
