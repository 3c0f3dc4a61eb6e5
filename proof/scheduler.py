"""Threads that go one step at a time, and every order in which they can.

A step is what a thread is about to do when it calls ``pause``: one SQL statement, say. One thread
runs at a time. The tree of all orders is not known before: it is found by running, from a fresh
start, each order that has not been run, depth first.

Two neighbouring steps that cannot tell each other (``apart``) are run in one of their two orders
alone (sleep sets: Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems"):
reads, a read and what nobody sees yet, and what touches nothing that the other one touches.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

PATIENCE = 0.002  # seconds that a step takes at least before it may be a wait for a lock
HANGS = 30  # seconds


class Kind(Enum):
    """Who can tell that a step has been taken."""

    READ = "changes nothing"
    HIDDEN = "a lock, or a write that no read sees before its transaction ends"
    SEEN = "all else"
    SLEEP = "a pause until somebody else has come on"


@dataclass(frozen=True)
class Step:
    """``touches``: names of what it reads, changes, locks or frees. ``None`` is all there is."""

    text: str
    kind: Kind = Kind.SEEN
    touches: frozenset[str] | None = None


@dataclass(frozen=True)
class Done:
    """What a thread says in place of a next step: its result, or the error that ended it."""

    result: Any


class Dropped(BaseException):  # not an Exception: nothing that runs may catch it
    """The order that is run has turned out to be another one's equal."""


class Diverged(Exception):
    """The same choices led elsewhere: something besides the steps decides, such as the time."""


class Actor(threading.Thread):
    """A thread that is used again for each order, since its connection is dear."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.jobs: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self.told: queue.SimpleQueue[Step | Done] = queue.SimpleQueue()
        self.turns: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.dropped = False

    def run(self) -> None:
        while job := self.jobs.get():
            self.dropped = False
            try:
                done = Done(job())
            except (Exception, Dropped) as error:
                done = Done(error)
            self.told.put(done)

    def pause(self, step: Step) -> None:
        """Say what comes next and wait for the turn. Raise Dropped where none comes."""
        if self.dropped:
            return  # it is cleaning up
        self.told.put(step)
        if not self.turns.get():
            self.dropped = True
            raise Dropped


def pause(step: Step) -> None:
    """Wait for the turn, in a thread that has turns."""
    actor = threading.current_thread()
    if isinstance(actor, Actor):
        actor.pause(step)


class World(Protocol):
    """What the steps work on, and who must wait for whom in it."""

    def may_run(self, who: int, steps: Sequence[Step | None]) -> bool:
        """Return whether the next step of ``who`` could be taken without a wait."""

    def may_wait(self, who: int) -> bool:
        """Return whether ``who`` could now be in a wait that was not foreseen."""

    def waits(self, who: int) -> bool:
        """Return whether ``who`` is now waiting for somebody."""


class Free:
    """A world in which nobody waits."""

    def may_run(self, who: int, steps: Sequence[Step | None]) -> bool:
        return True

    def may_wait(self, who: int) -> bool:
        return False

    def waits(self, who: int) -> bool:
        return False


@dataclass
class Run:
    """One order: who took which step, and what each of them ended with."""

    taken: list[tuple[int, Step]] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)

    @property
    def schedule(self) -> str:
        return "".join(letter(who) for who, _ in self.taken)


@dataclass
class Node:
    """A moment at which somebody had to be chosen."""

    enabled: list[int]
    steps: list[Step | None]
    asleep: set[int]
    tried: list[int]

    def rest(self) -> list[int]:
        return [who for who in self.enabled if who not in self.asleep | set(self.tried)]


Choose = Callable[[list[int], list[Step | None]], int | None]


class Stage:
    """Actors in a world. One order after the other is played on it."""

    def __init__(self, actors: Sequence[Actor], world: World | None = None) -> None:
        self.actors = actors
        self.world = world or Free()

    def play(self, jobs: Sequence[Callable[[], Any]], choose: Choose) -> Run | None:
        """Run the jobs in the order that ``choose`` says, or return ``None`` if it drops it."""
        run = Run()
        said: list[Step | Done | None] = []  # None: waits for somebody
        slept: dict[int, int] = {}
        ends = 0
        for actor, job in zip(self.actors, jobs, strict=False):
            actor.jobs.put(job)
            said.append(actor.told.get(timeout=HANGS))
        while not all(isinstance(one, Done) for one in said):
            steps = [one if isinstance(one, Step) else None for one in said]
            for at, step in enumerate(steps):
                if step and step.kind is Kind.SLEEP:
                    slept.setdefault(at, ends)
            enabled = self._enabled(steps, slept, ends)
            if not enabled:
                self._hear_the_end_of_it(said)
                continue
            try:
                who = choose(enabled, steps)
            except Diverged:
                self._drop(said)
                raise
            chosen = None if who is None else steps[who]
            if who is None or chosen is None:
                self._drop(said)
                return None
            run.taken.append((who, chosen))
            self.actors[who].turns.put(True)
            said[who] = self._hear(who)
            if chosen.kind is Kind.SEEN or isinstance(said[who], Done):
                ends += 1
                self._hear_waiting(said)
            slept.pop(who, None)
        run.results = [one.result for one in said if isinstance(one, Done)]
        return run

    def _enabled(self, steps: list[Step | None], slept: dict[int, int], ends: int) -> list[int]:
        ready = [who for who, step in enumerate(steps) if step and self.world.may_run(who, steps)]
        awake = [who for who in ready if slept.get(who, -1) < ends]
        return awake or ready

    def _hear(self, who: int, *, patient: bool = False) -> Step | Done | None:
        """Return what ``who`` says next, or ``None`` if it waits for somebody."""
        if not patient and not self.world.may_wait(who):
            return self.actors[who].told.get(timeout=HANGS)
        while True:
            with contextlib.suppress(queue.Empty):
                return self.actors[who].told.get(timeout=PATIENCE)
            if self.world.waits(who):
                return None

    def _hear_waiting(self, said: list[Step | Done | None], *, patient: bool = False) -> None:
        for who, one in enumerate(said):
            if one is None:
                said[who] = self._hear(who, patient=patient)

    def _hear_the_end_of_it(self, said: list[Step | Done | None]) -> None:
        """Hear those who all wait for each other: the database makes one of them give way.

        What he held is free by then, so that all others are heard once more.
        """
        waiting = said.count(None)
        while said.count(None) == waiting:
            self._hear_waiting(said, patient=True)
        self._hear_waiting(said, patient=True)

    def _drop(self, said: list[Step | Done | None]) -> None:
        """Let all unwind: first those that others wait for."""
        for who in sorted(range(len(said)), key=lambda who: said[who] is None):
            one = said[who]
            while not isinstance(one, Done):
                if isinstance(one, Step):
                    self.actors[who].turns.put(False)
                one = self.actors[who].told.get(timeout=HANGS)


class Explorer:
    """Finds the orders that have not been run yet."""

    def __init__(self, *, all_orders: bool = False) -> None:
        self.all_orders = all_orders
        self.path: list[Node] = []
        self.depth = 0

    def runs(self, play: Callable[[Choose], Run | None]) -> Iterator[Run]:
        """Yield a run for each order; ``play`` runs one from a fresh start."""
        while True:
            self.depth = 0
            run = play(self.choose)
            if run is not None:
                yield run
            while self.path and not self.path[-1].rest():
                self.path.pop()
            if not self.path:
                return
            self.path[-1].tried.append(self.path[-1].rest()[0])

    def choose(self, enabled: list[int], steps: list[Step | None]) -> int | None:
        if self.depth == len(self.path):
            node = Node(enabled, steps, self._asleep(), [])
            if not node.rest():
                return None
            node.tried.append(node.rest()[0])
            self.path.append(node)
        node = self.path[self.depth]
        if node.enabled != enabled:
            raise Diverged(f"{node} is now {enabled}, {steps}")
        self.depth += 1
        return node.tried[-1]

    def _asleep(self) -> set[int]:
        """Return who was tried before and would only now do what it did then."""
        if not self.path or self.all_orders:
            return set()
        before = self.path[-1]
        chosen = before.steps[before.tried[-1]]
        return {
            who
            for who in before.asleep | set(before.tried[:-1])
            if apart(before.steps[who], chosen)
        }


def apart(one: Step | None, other: Step | None) -> bool:
    """Return whether two steps of two threads can be exchanged and nobody could tell."""
    if one is None or other is None or Kind.SLEEP in (one.kind, other.kind):
        return False
    if {one.kind, other.kind} in ({Kind.READ}, {Kind.READ, Kind.HIDDEN}):
        return True
    return None not in (one.touches, other.touches) and not one.touches & other.touches


def in_order(order: Sequence[int]) -> Choose:
    """Return a choice of the first of ``order`` that can go on: one after the other."""
    return lambda enabled, steps: min(enabled, key=order.index)


def replay(schedule: str) -> Choose:
    """Return a choice that follows the letters of a schedule, and then runs on as it comes."""
    letters = iter(schedule)

    def choose(enabled: list[int], steps: list[Step | None]) -> int:
        who = (
            next((who for who in enabled if letter(who) == wanted), None)
            if (wanted := next(letters, ""))
            else enabled[0]
        )
        if who is None:
            raise Diverged(f"{wanted} cannot go on at this place of {schedule}")
        return who

    return choose


def letter(who: int) -> str:
    return "ABC"[who]
