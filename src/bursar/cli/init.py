"""`bursar init`: a configuration to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from bursar.config.example import starter
from bursar.config.load import FILE_NAME
from bursar.errors import UsageError

__all__ = ["init"]


@click.command()
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def init(force: bool) -> None:
    """Write bursar.yaml here: a budget to begin with, and every other key as a comment."""
    file = Path(FILE_NAME)
    try:
        with file.open("w" if force else "x", encoding="utf-8") as out:
            out.write(starter())
    except FileExistsError as error:
        raise UsageError(f"{file} is there already: edit it, or write over it with --force") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {file}: read it, change the limits, then run `bursar serve`")
