"""Every order in which two operations, or three short ones, can take their SQL statements.

Each operation runs in a thread with a connection of its own, one statement a step; reads of the
user alone are no steps. Each order starts from fresh rows. What came out, answers and rows, is
held to the promises of ``proof/operations.py``, and to what comes out where one operation ends
before the next one begins.

An order is named by letters: in ABBA the first operation takes a step, the second one two, the
first one its last. Two reads side by side, or a read beside a write whose transaction is open,
are run in one of their two orders, since nobody can tell them apart; ``--all-orders`` runs both.
"""

import argparse
import collections
import contextlib
import itertools
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from proof import database
from proof.scheduler import Actor, Choose, Explorer, Run, Stage, in_order, letter, replay

DATABASES = ("sqlite", "postgresql")
SHOWN = 3  # broken orders of one case


def main() -> int:
    options = _options()
    if options.one:
        with database.prepared(options.database[0]):
            return _run_one(options)
    command = [sys.executable, "-m", "proof.interleavings", "--one", *sys.argv[1:]]
    started = time.monotonic()
    running = [
        subprocess.Popen([*command, "--database", name], env=os.environ)
        for name in options.database
    ]
    failed = [process.wait() for process in running]
    print(f"{time.monotonic() - started:.0f} s")
    print("No promise was broken." if not any(failed) else "PROMISES WERE BROKEN: see above.")
    return int(any(failed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument("--pairs", action="store_true", help="leave the threes out")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name has TEXT")
    parser.add_argument("--all-orders", action="store_true", help="also those that are equal")
    parser.add_argument("--verbose", action="store_true", help="a line for each case")
    parser.add_argument(
        "--replay", metavar="CASE=ORDER", help="show the steps of one order, as it was printed"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_one(options: argparse.Namespace) -> int:
    from proof.operations import cases

    logging.disable(logging.CRITICAL)
    theatre = Theatre()
    if options.replay:
        name, _, order = options.replay.rpartition("=")
        [case] = [case for case in cases(triples=True) if case.name == name.strip()]
        return theatre.show(case, order.strip())
    total = collections.Counter[str]()
    for case in cases(triples=not options.pairs):
        if options.only in case.name:
            _tell(theatre, case, total, options)
    name = options.database[0]
    print(f"{name}: {total['cases']} cases, {total['orders']} orders, {total['broken']} broken")
    return int(bool(total["broken"] or not total["cases"]))


def _tell(
    theatre: "Theatre", case: Any, total: "collections.Counter[str]", options: argparse.Namespace
) -> None:
    """Run all orders of a case and print what broke."""
    from proof.operations import broken

    started, orders, bad = time.monotonic(), 0, collections.Counter[str]()
    lines = []
    for run, story in theatre.all_orders(case, every=options.all_orders):
        orders += 1
        for promise in broken(story):
            bad[promise] += 1
            if bad[promise] <= SHOWN:
                answers = ", ".join(map(str, story.answers))
                lines.append(f"  {promise}: {run.schedule}: {answers}; {story.told}")
                lines += [f"    began with: {text[:100]}" for text in story.late_writes[:1]]
        total["broken"] += bool(broken(story))
    total["cases"] += 1
    total["orders"] += orders
    if bad or options.verbose:
        where, seconds = os.environ["DATABASE"], time.monotonic() - started
        told = "; ".join(f"BROKEN {count}: {promise}" for promise, count in bad.items())
        head = f"{where:<11}{case.name:<66}{orders:>5} orders {seconds:5.1f} s  {told}"
        print("\n".join([head.rstrip(), *lines]), flush=True)


class Theatre:
    """Plays the orders of the cases on the database of this process."""

    def __init__(self) -> None:
        from proof.operations import Subject
        from proof.stepping import Database

        actors = [Actor(name) for name in "ABC"]
        for actor in actors:
            actor.start()
        self.database = Database(actors)
        self.stage = Stage(actors, self.database)
        self.subject = Subject()

    def all_orders(self, case: Any, *, every: bool = False) -> Iterator[tuple[Run, Any]]:
        """Yield each order of ``case`` and the story that it told."""
        with self._as_set(case):
            expected = self._one_after_the_other(case)
            play = partial(self._play, case)
            for run in Explorer(all_orders=every).runs(play):
                story = self._look(case, run)
                story.expected = expected
                yield run, story

    def show(self, case: Any, order: str) -> int:
        """Print each step of one order."""
        from proof.operations import broken

        with self._as_set(case):
            expected = self._one_after_the_other(case)
            run = self._play(case, replay(order))
            assert run is not None
            story = self._look(case, run)
            story.expected = expected
        for who, step in run.taken:
            print(f"{letter(who)} {case.operations[who].name:<20} {step.text[:140]}")
        for who, answer in enumerate(story.answers):
            print(f"{letter(who)} {case.operations[who].name:<20} answers {answer}")
        print(f"Left: {story.told}")
        for answers, told in sorted(expected):
            print(f"One after the other: {', '.join(answers)}; {told}")
        print(f"Broken: {'; '.join(broken(story)) or 'nothing'}")
        return int(bool(broken(story)))

    def _one_after_the_other(self, case: Any) -> set[Any]:
        everybody = range(len(case.operations))
        expected = set()
        for order in itertools.permutations(everybody):
            run = self._play(case, in_order(order))
            assert run is not None
            expected.add(self._look(case, run).outcome)
        return expected

    def _play(self, case: Any, choose: Choose) -> Run | None:
        from proof.operations import answered

        self.subject.begin(case.state)
        self.database.begin()
        jobs: list[Callable[[], Any]] = [
            partial(answered, operation, self.subject) for operation in case.operations
        ]
        return self.stage.play(jobs, choose)

    def _look(self, case: Any, run: Run) -> Any:
        from proof.operations import look

        story = look(self.subject, case, run.results)
        story.late_writes = self.database.late_writes if self.database.blocking is None else []
        return story

    @contextlib.contextmanager
    def _as_set(self, case: Any) -> Iterator[None]:
        from django.db.models.signals import post_delete
        from django.test import override_settings

        from proof.stepping import pauses

        with override_settings(**case.settings), pauses("django_totp.operations.reencryption"):
            if case.receivers:
                post_delete.connect(_hear)
            try:
                yield
            finally:
                post_delete.disconnect(_hear)


def _hear(**kwargs: Any) -> None:
    """Listen to deletions as an audit trail of a project does."""


if __name__ == "__main__":
    sys.exit(main())
