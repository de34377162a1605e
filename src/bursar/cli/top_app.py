"""The screen of `bursar top`: textual draws what `top_view.py` has laid out, and hands it the keys.

Owns the terminal and the rhythm of the looks. The ledger is read in a thread, so a slow read never stops the keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from bursar.cli.top_view import Kind, Line, View, draw, press
from bursar.errors import BursarError
from bursar.reports.live import Snapshot

__all__ = ["TopApp"]

REST = 4
"""A look that takes long is followed by a pause this many times as long."""
PLAIN = {
    Kind.PLAIN: Style(),
    Kind.TITLE: Style(bold=True),
    Kind.CURSOR: Style(reverse=True),
    Kind.WARNED: Style(bold=True),
    Kind.EXCEEDED: Style(bold=True),
    Kind.QUIET: Style(dim=True),
}
COLOURED = {
    **PLAIN,
    Kind.WARNED: Style(bold=True, color="yellow"),
    Kind.EXCEEDED: Style(bold=True, color="red"),
}


class Board(Widget, can_focus=True):
    """All of the screen."""

    DEFAULT_CSS = "Board { width: 1fr; height: 1fr; }"

    def __init__(self, has_colour: bool, on_press: Callable[[str], None]) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self._styles = COLOURED if has_colour else PLAIN
        self._on_press = on_press

    def show(self, lines: list[Line]) -> None:
        """Draw other lines from now on."""
        self.lines = lines
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if y >= len(self.lines):
            return Strip.blank(self.size.width)
        line = self.lines[y]
        style = self._styles[line.kind]
        return Strip([Segment(line.text, style)]).adjust_cell_length(self.size.width, style)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        self._on_press(event.key)


class TopApp(App[None]):
    """The live view. `look` gives a snapshot and may raise a BursarError, which is shown until a look succeeds."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [Binding("ctrl+c", "quit", priority=True, show=False)]  # noqa: RUF012 - textual's own form

    def __init__(self, look: Callable[[], Snapshot], zone: ZoneInfo, every_s: float, has_colour: bool = True) -> None:
        super().__init__(ansi_color=True)
        self._look, self._zone, self._every_s = look, zone, every_s
        self.board = Board(has_colour, self._press)
        self.view = View()
        self.snapshot: Snapshot | None = None
        self.trouble = ""
        self._wake = asyncio.Event()

    def compose(self) -> ComposeResult:
        yield self.board

    def on_mount(self) -> None:
        self.board.focus()
        self.run_worker(self._watch(), exclusive=True)

    def on_resize(self, event: events.Resize) -> None:
        self._draw(event.size)

    def _press(self, key: str) -> None:
        was, self.view = self.view, press(self.view, key, self.snapshot)
        if self.view.is_over:
            self.exit()
        if was.is_paused and not self.view.is_paused:
            self._wake.set()
        self._draw(self.size)

    def _draw(self, size: Size) -> None:
        self.board.show(draw(self.view, self.snapshot, (size.width, size.height), self._zone, self.trouble))

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            if not self.view.is_paused:
                await self._look_once()
            took = time.monotonic() - began
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), max(self._every_s, REST * took))
            except TimeoutError:
                continue

    async def _look_once(self) -> None:
        try:
            snapshot = await asyncio.to_thread(self._look)
        except BursarError as error:
            self.trouble = error.message
        else:
            self.trouble = ""
            if not self.view.is_paused:
                self.snapshot = snapshot
        self._draw(self.size)
