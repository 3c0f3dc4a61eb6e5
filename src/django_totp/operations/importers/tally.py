"""What became of the devices of a source, with the keys of those that somebody must look at."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

LISTED = 20  # primary keys that are named of each kind
KINDS = {  # what is named, in the order in which it is told
    "others": "Further devices of people who have several: the one used last was taken",
    "older": "Taken, though a device of the same user that was used later had to be left",
    "enrolled": "Left alone, since their users are enrolled here",
    "removed": "Left, since they were taken over before and removed here since: see --again",
    "moved": "Left alone, since somebody changed them meanwhile: run the command again",
    "inactive": "Taken, of users who are not active",
    "nobody": "Left, since there is no such user",
    "drifting": "Taken, though the clock of the phone is off by more than TOTP_VALID_WINDOW",
    "ahead": "Taken without their last used step, which is too far in the future",
    "unsupported": "Left, since they make codes in a way that is not known here",
    "unreadable": "Left, since their secrets cannot be read",
}


@dataclass
class Tally:
    """What became of the rows so far: how many were ``imported``, and the others by kind.

    ``codes`` is how many backup codes, or sets of them, stay behind, and ``remark`` what is to be
    known of all rows.
    """

    total: int
    codes: int = 0
    remark: str = ""
    seen: int = 0
    imported: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    named: dict[str, list[Any]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def add(self, kind: str, pks: Sequence[Any]) -> None:
        """Count the rows ``pks`` as of ``kind``, and name them while there are few."""
        self.counts[kind] += len(pks)
        self.named[kind] += pks[: max(LISTED - len(self.named[kind]), 0)]

    @property
    def sentences(self) -> Sequence[str]:
        """Return a sentence for each kind of which there are any, with the keys."""
        return [self._sentence(kind) for kind, count in self.counts.items() if count]

    def keys(self, kind: str) -> str:
        """Return the keys of the rows of a kind, as far as they are named."""
        pks, count = self.named[kind], self.counts[kind]
        more = f" and {count - len(pks)} more" if count > len(pks) else ""
        return f"{', '.join(map(str, pks))}{more}"

    def _sentence(self, kind: str) -> str:
        return f"{KINDS[kind]}: {self.counts[kind]} ({self.keys(kind)})."
