"""What `bursar top` shows: a snapshot laid out for a screen, and what each key does to it.

Owns layout and keys as pure functions, so that the screen is tested without one. No meaning is in a colour alone, and
no label can move the cursor: everything that comes from a client is cleaned first. It must never read or draw anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from zoneinfo import ZoneInfo

from bursar.cli.table import clean, cut, width_of
from bursar.cli.top_words import HELP, age, budget_cells, call_cells, call_details, rank_cells, value_details
from bursar.cli.words import instant, short_money
from bursar.reports.live import LIVE_LABELS, Filling, LiveCall, Ranked, Snapshot

__all__ = ["HEIGHT_MIN", "SORTS", "WIDTH_MIN", "Kind", "Line", "View", "draw", "press", "ranked"]

WIDTH_MIN, HEIGHT_MIN = 40, 12
SORTS = ("cost", "calls", "tokens", "in flight", "name")
BUDGETS_SHOWN = 4
FOOTER = "q quit  ? help  ←→ list  ↑↓ select  Enter details  1-5 label  s sort  p pause"


class Kind(StrEnum):
    """What a line is, for its style."""

    PLAIN = "plain"
    TITLE = "title"
    CURSOR = "cursor"
    WARNED = "warned"
    EXCEEDED = "exceeded"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the screen."""

    text: str
    kind: Kind = Kind.PLAIN


@dataclass(frozen=True, slots=True)
class View:
    """What the keys have chosen. The cursor stays on its row when the order changes."""

    label: str = LIVE_LABELS[0]
    sort: str = SORTS[0]
    is_in_calls: bool = False
    """Which list the arrows move in: the calls, or the ranks."""
    value: str | None = None
    """The chosen value of the label; None for the first."""
    call_id: str | None = None
    is_paused: bool = False
    has_help: bool = False
    has_details: bool = False
    is_over: bool = False


def ranked(view: View, snapshot: Snapshot) -> tuple[Ranked, ...]:
    """Give the ranks of the chosen label in the chosen order."""
    keys = {
        "cost": lambda row: (-row.cost_nano, -row.held_nano, row.value),
        "calls": lambda row: (-row.calls, row.value),
        "tokens": lambda row: (-row.tokens, row.value),
        "in flight": lambda row: (-row.in_flight, -row.held_nano, row.value),
        "name": lambda row: row.value.casefold(),
    }
    return tuple(sorted(snapshot.ranks.get(view.label, ()), key=keys[view.sort]))


def calls_of(snapshot: Snapshot) -> tuple[LiveCall, ...]:
    """Give the calls as they are listed: in flight, the oldest first, then ended, the latest first."""
    return (*snapshot.in_flight, *snapshot.ended)


def press(view: View, key: str, snapshot: Snapshot | None) -> View:
    """Say what a key does. Keys are named as textual names them."""
    if key in ("q", "ctrl+c"):
        return replace(view, is_over=True)
    if view.has_help:
        return replace(view, has_help=False)
    if key in ("question_mark", "f1"):
        return replace(view, has_help=True)
    if key == "p":
        return replace(view, is_paused=not view.is_paused)
    if view.has_details:
        return replace(view, has_details=key not in ("escape", "enter", "left", "backspace"))
    return _choose(view, key) if snapshot is None else _move(_choose(view, key), key, snapshot)


def _choose(view: View, key: str) -> View:
    at = LIVE_LABELS.index(view.label)
    if key in ("1", "2", "3", "4", "5"):
        return replace(view, label=LIVE_LABELS[int(key) - 1], value=None)
    if key in ("tab", "shift+tab"):
        step = 1 if key == "tab" else -1
        return replace(view, label=LIVE_LABELS[(at + step) % len(LIVE_LABELS)], value=None)
    if key == "s":
        return replace(view, sort=SORTS[(SORTS.index(view.sort) + 1) % len(SORTS)])
    if key in ("left", "right", "h", "l"):
        return replace(view, is_in_calls=key in ("right", "l"))
    return view


def _move(view: View, key: str, snapshot: Snapshot) -> View:
    names = _names(view, snapshot)
    if not names:
        return view
    at = _cursor(view, names)
    steps = {"down": 1, "j": 1, "up": -1, "k": -1, "pagedown": 10, "pageup": -10}
    if key in steps:
        at += steps[key]
    elif key in ("home", "g"):
        at = 0
    elif key in ("end", "G", "upper_g"):
        at = len(names) - 1
    elif key == "enter":
        return replace(_chosen(view, names[at]), has_details=True)
    else:
        return view
    return _chosen(view, names[max(0, min(at, len(names) - 1))])


def _names(view: View, snapshot: Snapshot) -> list[str]:
    if view.is_in_calls:
        return [call.id for call in calls_of(snapshot)]
    return [row.value for row in ranked(view, snapshot)]


def _chosen(view: View, name: str) -> View:
    return replace(view, call_id=name) if view.is_in_calls else replace(view, value=name)


def _cursor(view: View, names: Sequence[str]) -> int:
    """Find the row of the cursor: the chosen one, else the first."""
    wanted = view.call_id if view.is_in_calls else view.value
    return names.index(wanted) if wanted is not None and wanted in names else 0


def draw(view: View, snapshot: Snapshot | None, size: tuple[int, int], zone: ZoneInfo, trouble: str = "") -> list[Line]:
    """Lay the screen out: exactly `size` (width, height) lines, none wider. `trouble` is why there is nothing newer."""
    width, height = size
    if width < WIDTH_MIN or height < HEIGHT_MIN:
        lines = [Line("too small:"), Line(f"{WIDTH_MIN}x{HEIGHT_MIN} needed"), Line("q quits")]
    elif view.has_help:
        lines = [Line(text, Kind.TITLE if not at else Kind.PLAIN) for at, text in enumerate(HELP)]
    elif snapshot is None:
        lines = [Line("bursar top", Kind.TITLE), Line(clean(trouble) or "reading …")]
    else:
        body = _details(view, snapshot, zone) if view.has_details else _lists(view, snapshot, size, zone)
        lines = [*_head(view, snapshot, zone, trouble), *body]
    lines = lines[: height - 1] + [Line("")] * (height - 1 - len(lines))
    return [Line(cut(line.text, width), line.kind) for line in (*lines, Line(_footer(view), Kind.QUIET))][:height]


def _footer(view: View) -> str:
    if view.has_help:
        return "any key: back  q quit"
    return "Enter or Esc: back  p pause  q quit" if view.has_details else FOOTER


def _head(view: View, snapshot: Snapshot, zone: ZoneInfo, trouble: str) -> list[Line]:
    total = snapshot.total
    at = instant(snapshot.at_ns, zone, "%Y-%m-%d %H:%M:%S")
    state = f"  NOT UPDATED: {clean(trouble)}" if trouble else "  PAUSED" if view.is_paused else ""
    span = "last hour" if snapshot.at_ns - snapshot.since_ns >= 3_590 * 10**9 else _since(snapshot)
    return [
        Line(f"bursar top  {at} {zone.key}{state}", Kind.WARNED if state else Kind.TITLE),
        Line(
            f"{short_money(snapshot.rate_nano)}/min now  {short_money(snapshot.rate_5_nano)}/min over 5 min  "
            f"{total.in_flight:,} in flight, {short_money(total.held_nano)} held"
        ),
        Line(f"{span}: {short_money(total.cost_nano)}, {total.calls:,} calls, {total.tokens:,} tokens"),
        Line(""),
    ]


def _since(snapshot: Snapshot) -> str:
    return f"last {age(snapshot.at_ns - snapshot.since_ns)}"


def _lists(view: View, snapshot: Snapshot, size: tuple[int, int], zone: ZoneInfo) -> list[Line]:
    width, height = size
    room = height - 1 - 4 - 5  # the footer, the head, three titles and two gaps
    ranks, calls = ranked(view, snapshot), calls_of(snapshot)
    budgets = snapshot.budgets[: min(BUDGETS_SHOWN, max(1, room // 4))]
    room -= max(1, len(budgets))
    of_ranks = min(max(1, len(ranks)), max(room // 2, room - max(1, len(calls))))
    return [
        Line(_title("BUDGETS", len(budgets), snapshot.budget_count, "the fullest first"), Kind.TITLE),
        *_budgets(budgets, width, zone),
        Line(""),
        *_ranks(view, ranks, of_ranks, width),
        Line(""),
        *_calls(view, snapshot, room - of_ranks, width, zone),
    ]


def _title(name: str, shown: int, count: int, words: str) -> str:
    return f"{name}  {shown} of {count}, {words}" if count > shown else name


def _budgets(shown: Sequence[Filling], width: int, zone: ZoneInfo) -> list[Line]:
    """Lay the budgets out in columns; on a narrow screen names are cut, and the last column goes first."""
    if not shown:
        return [Line("  no budget has been used", Kind.QUIET)]
    rows = [budget_cells(each, zone) for each in shown]
    widths = [max(width_of(row[at]) for row in rows) for at in range(len(rows[0]))]
    if sum(each + 2 for each in widths) > width:
        widths[-1] = 0
    widths[0] = max(8, min(widths[0], width - sum(each + 2 for each in widths[1:] if each) - 2))
    lines = []
    for each, row in zip(shown, rows, strict=True):
        cells = [
            _padded(cell, at, is_right=index in (2, 3))
            for index, (cell, at) in enumerate(zip(row, widths, strict=True))
            if at
        ]
        kind = {"warned": Kind.WARNED, "exceeded": Kind.EXCEEDED}.get(each.level, Kind.PLAIN)
        lines.append(Line(f"  {'  '.join(cells)}", kind))
    return lines


def _padded(text: str, width: int, is_right: bool = False) -> str:
    shown = cut(text, width)
    pad = " " * (width - width_of(shown))
    return pad + shown if is_right else shown + pad


def _ranks(view: View, rows: Sequence[Ranked], room: int, width: int) -> list[Line]:
    names = ["calls", "tokens", "cost", "in flight", "held"]
    widths = [6, 10, 11, 9, 9]
    title = f"{view.label.upper()}  by {view.sort}"
    head = _row(title, names, widths, width, "")
    cells = [(row.value, rank_cells(row)) for row in rows]
    at = _cursor(view, [row.value for row in rows]) if rows else 0
    return [Line(head, Kind.TITLE), *_window(cells, widths, room, width, None if view.is_in_calls else at)]


def _calls(view: View, snapshot: Snapshot, room: int, width: int, zone: ZoneInfo) -> list[Line]:
    calls = calls_of(snapshot)
    names = ["when", "input", "output", "cost", "state"]
    widths = [9, 8, 7, 10, 12]
    cells = [call_cells(call, snapshot.at_ns, zone) for call in calls]
    at = _cursor(view, [call.id for call in calls]) if calls else 0
    head = _row("CALLS  in flight, then ended", names, widths, width, "")
    return [Line(head, Kind.TITLE), *_window(cells, widths, room, width, at if view.is_in_calls else None)]


def _window(
    rows: Sequence[tuple[str, Sequence[str]]], widths: Sequence[int], room: int, width: int, cursor: int | None
) -> list[Line]:
    """Show as many rows as there is room for, those around the cursor."""
    if not rows:
        return [Line("  none", Kind.QUIET)]
    first = max(0, min((cursor or 0) - room // 2, len(rows) - room))
    lines = []
    for index in range(first, min(len(rows), first + room)):
        name, cells = rows[index]
        is_chosen = index == cursor
        lines.append(Line(_row(name, cells, widths, width, "> " if is_chosen else "  "), _kind(is_chosen)))
    return lines


def _kind(is_chosen: bool) -> Kind:
    return Kind.CURSOR if is_chosen else Kind.PLAIN


def _row(name: str, cells: Sequence[str], widths: Sequence[int], width: int, mark: str) -> str:
    """Lay one row out: the name takes what the cells leave; on a narrow screen the last cells go."""
    kept = list(zip(cells, widths, strict=True))
    while kept and width - len(mark) - sum(each + 1 for _, each in kept) < 16:
        kept.pop()
    left = width - len(mark) - sum(each + 1 for _, each in kept)
    parts = [mark + _padded(clean(name), left)]
    parts += [_padded(clean(cell), each, is_right=True) for cell, each in kept]
    return " ".join(parts)


def _details(view: View, snapshot: Snapshot, zone: ZoneInfo) -> list[Line]:
    if view.is_in_calls:
        call = next((each for each in calls_of(snapshot) if each.id == view.call_id), None)
        if call is None:
            return [Line(f"call {view.call_id}", Kind.TITLE), Line(f"no longer listed: `bursar call {view.call_id}`")]
        texts = call_details(call, snapshot.at_ns, zone)
    else:
        row = next((each for each in snapshot.ranks.get(view.label, ()) if each.value == view.value), None)
        texts = value_details(view.label, row or Ranked(view.value or ""), snapshot, zone)
    return [Line(clean(text), Kind.TITLE if not at else Kind.PLAIN) for at, text in enumerate(texts)]
