"""Where the ledger is, and nothing else of the configuration.

Owns the short way to one setting, for what is run every few seconds and must be fast: it has the loader's precedence
(file < environment < flag) and its answer, but reads no other key. It must never stand in for `load`: what is wrong
elsewhere in the file goes unnoticed here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bursar.errors import ConfigError

__all__ = ["ledger_path", "ledger_path_here"]

DEFAULT = "bursar.db"
FILE_NAME = "bursar.yaml"


def ledger_path_here(config: Path | None, store: str | None) -> Path:
    """Find the ledger's file for a command of this process."""
    return ledger_path(config, store, os.environ, Path())


def ledger_path(config: Path | None, store: str | None, environ: Mapping[str, str], directory: Path) -> Path:
    """Find the ledger's file: `store`, else BURSAR_STORE_PATH, else store.path of the configuration, else bursar.db.

    Raises ConfigError where the configuration cannot be read, or keeps its ledger in memory.
    """
    said = (store or "").strip() or environ.get("BURSAR_STORE_PATH", "").strip()
    named = environ.get("BURSAR_CONFIG", "").strip()
    file = config or (Path(named).expanduser() if named else None)
    if file is None and (directory / FILE_NAME).exists():
        file = directory / FILE_NAME
    written = "" if said or file is None else _of_file(file)
    try:
        return Path(said or written or DEFAULT).expanduser()
    except RuntimeError as error:
        raise ConfigError("store.path: there is no such home directory") from error


def _of_file(file: Path) -> str:
    # Late, since reading YAML is most of what this costs, and many have no file.
    from bursar.config.tree import Scalar, Table, parse, read_text  # noqa: PLC0415

    store = parse(read_text(file), str(file)).entries.get("store")
    path = store.entries.get("path") if isinstance(store, Table) else None
    return path.text if isinstance(path, Scalar) else ""
