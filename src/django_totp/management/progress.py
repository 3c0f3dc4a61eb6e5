"""How far a command is that works on many rows."""

import time
from datetime import timedelta
from typing import Protocol

from django.core.management.base import OutputWrapper

SECONDS_PER_LINE = 10
SECONDS_PER_BAR = 0.1
BAR = 30  # characters


class Counted(Protocol):
    """How many rows there are to deal with, and how many were."""

    @property
    def seen(self) -> int: ...

    @property
    def total(self) -> int: ...


class Progress:
    """A bar on a terminal; a line every ten seconds elsewhere, or for each batch if ``wordy``."""

    def __init__(self, out: OutputWrapper, *, wordy: bool) -> None:
        self.out = out
        self.is_bar = out.isatty() and not wordy
        self.pause = SECONDS_PER_BAR if self.is_bar else 0 if wordy else SECONDS_PER_LINE
        self.tally: Counted | None = None

    def show(self, name: str, tally: Counted) -> None:
        """Draw or write how far ``tally`` is, unless that was done a moment ago."""
        now = time.monotonic()
        if tally is not self.tally:
            self.tally, self.start, self.last = tally, now, now
        elif now - self.last >= self.pause:
            self.last = now
            self._write(name, tally, seconds=max(now - self.start, 0.001))

    def clear(self) -> None:
        """Take the bar away."""
        if self.is_bar:
            self.out.write("\r\033[K", ending="")
            self.out.flush()

    def _write(self, name: str, tally: Counted, seconds: float) -> None:
        done = min(tally.seen / max(tally.total, 1), 1)  # there may be more by now than at first
        left = timedelta(seconds=int(seconds / done * (1 - done))) if done else "?"
        facts = f"{done:.0%}, {tally.seen / seconds:,.0f} rows/s, {left} left"
        if not self.is_bar:
            self.out.write(f"{name}: {facts}")
            return
        bar = "#" * int(done * BAR)
        self.out.write(f"\r\033[K{name} [{bar:.<{BAR}}] {facts}", ending="")
        self.out.flush()
