"""Commands that work on many rows, a batch at a time: how far they are, and how they end."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError
from django.db import reset_queries

from .base import EnglishCommand
from .progress import Counted, Progress

INTERRUPTED = "Interrupted. What is done stays done: run the command again for the rest."


class BatchCommand(EnglishCommand):
    """A command that shows how far it is, and may be interrupted and run again."""

    @abstractmethod
    def batches(self, options: dict[str, Any]) -> Iterator[Any]:
        """Do the work, and yield the tally of a kind of rows at first and after each batch."""

    @abstractmethod
    def kind(self, tally: Any) -> str:
        """Return what the rows of ``tally`` are called, to begin a line with."""

    @abstractmethod
    def report(self, tallies: list[Any], options: dict[str, Any]) -> None:
        """Say what was done: there is a tally of each kind that was begun."""

    def refuse_leftovers(self, tallies: list[Any]) -> None:
        """Raise CommandError if there is something left that needs somebody."""

    def handle(self, *args: Any, **options: Any) -> None:
        tallies: list[Any] = []
        try:
            self._run(tallies, options)
        except KeyboardInterrupt:
            raise CommandError(INTERRUPTED, returncode=130) from None
        finally:
            self._report(tallies, options)
        self.refuse_leftovers(tallies)

    def _run(self, tallies: list[Counted], options: dict[str, Any]) -> None:
        progress = Progress(self.stdout, wordy=options["verbosity"] > 1)
        try:
            for tally in self.batches(options):
                if tally not in tallies:
                    tallies.append(tally)
                if options["verbosity"]:
                    progress.show(self.kind(tally), tally)
                reset_queries()  # DEBUG keeps the last 9000, and ours are long
        finally:
            progress.clear()

    def _report(self, tallies: list[Any], options: dict[str, Any]) -> None:
        if options["verbosity"]:
            self.report(tallies, options)
