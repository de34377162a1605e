"""Tables, JSON and CSV.

Owns the layout: columns as wide as they must be, never wider than the terminal; and the CSV that no spreadsheet will
run. What stands in the cells is decided by the commands.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click

__all__ = ["Column", "clean", "csv_text", "cut", "echo_json", "echo_table", "table", "width_of"]

WIDTH_UNKNOWN = 120
"""Where the output is no terminal."""
WIDTH_MIN = 60
GAP = "  "
CELL_MIN = 8
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell that begins so is run as a formula by Excel, LibreOffice and Google Sheets."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `is_text` ones are left-aligned and may be cut to fit, but for ids (`is_id`): half of one is none."""

    name: str
    is_text: bool = False
    is_id: bool = False


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int, footer: Sequence[str] = ()
) -> list[str]:
    """Lay out a table as lines of at most `width` characters, as far as numbers allow. `footer` is a last row."""
    cells = [[clean(cell) for cell in row] for row in rows]
    last = [clean(cell) for cell in footer]
    every = [[column.name for column in columns], *cells, *([last] if last else [])]
    widths = [max(width_of(row[index]) for row in every) for index in range(len(columns))]
    _shrink(columns, widths, width)
    lines = [_line(columns, row, widths) for row in every]
    if last:
        lines.insert(-1, GAP.join("-" * width for width in widths))
    return lines


def echo_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], footer: Sequence[str] = ()) -> None:
    """Print a table as wide as the terminal allows, its head in bold."""
    width = max(WIDTH_MIN, shutil.get_terminal_size((WIDTH_UNKNOWN, 24)).columns)
    head, *rest = table(columns, rows, width, footer)
    click.secho(head, bold=True)
    for line in rest:
        click.echo(line)


def _shrink(columns: Sequence[Column], widths: list[int], most: int) -> None:
    """Take from the widest text columns what does not fit."""
    while sum(widths) + len(GAP) * (len(widths) - 1) > most:
        texts = [
            index
            for index, column in enumerate(columns)
            if column.is_text and not column.is_id and widths[index] > CELL_MIN
        ]
        if not texts:
            return
        widths[max(texts, key=lambda index: widths[index])] -= 1


def _line(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> str:
    cells = []
    for column, cell, width in zip(columns, row, widths, strict=True):
        shown = cut(cell, width)
        pad = " " * (width - width_of(shown))
        cells.append(shown + pad if column.is_text else pad + shown)
    return GAP.join(cells).rstrip()


def cut(text: str, width: int) -> str:
    """Shorten a text to so many columns of a terminal."""
    if width_of(text) <= width:
        return text
    kept = ""
    for letter in text:
        if width_of(kept + letter) > width - 1:
            break
        kept += letter
    return kept + "…"


def clean(text: str) -> str:
    """Let nothing that a client sent as a label move the cursor or change the colours."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def width_of(text: str) -> int:
    """Tell how many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(_letter_width(letter) for letter in text)


def _letter_width(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def csv_text(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write CSV. A text cell that a spreadsheet would run as a formula gets an apostrophe before it; numbers stay."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def echo_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
