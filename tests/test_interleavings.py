"""The scheduler of the interleavings: it runs each order once, and finds what breaks in one."""

import ast
import graphlib
import math
import pathlib
from collections import Counter
from functools import partial

import pytest

from proof.scheduler import Actor, Diverged, Explorer, Kind, Stage, Step, in_order, pause, replay

PROOF = pathlib.Path(__file__).parent.parent / "proof"


@pytest.fixture(scope="module")
def actors():
    actors = [Actor(name) for name in "ABC"]
    for actor in actors:
        actor.start()
    yield actors
    for actor in actors:
        actor.jobs.put(None)
        actor.join(10)
        assert not actor.is_alive()


@pytest.fixture
def stage(actors):
    return Stage(actors)


def walk(steps, kind=Kind.SEEN):
    for number in range(steps):
        pause(Step(f"step {number}", kind))


def orders(stage, *jobs, **options):
    return list(Explorer(**options).runs(partial(stage.play, jobs)))


class Table:
    """Values that are read and written in steps of their own, as rows are."""

    def __init__(self):
        self.count = 0
        self.writer = None

    def add_carelessly(self):
        pause(Step("SELECT", Kind.READ))
        count = self.count
        pause(Step("UPDATE"))
        self.count = count + 1

    def add_by_compare_and_swap(self):
        while True:
            pause(Step("SELECT", Kind.READ))
            count = self.count
            pause(Step("UPDATE"))
            if self.count == count:
                self.count = count + 1
                return

    def lock_and_add(self, who):
        for step in ("LOCK", "SELECT", "UPDATE", "COMMIT"):
            pause(Step(step))
            assert self.writer in (None, who)
            self.writer = None if step == "COMMIT" else who
        self.count += 1


class OneWriter:
    """A world in which who would write beside a writer waits for his end."""

    def __init__(self, table):
        self.table = table

    def may_run(self, who, steps):
        return self.table.writer in (None, who)

    def may_wait(self, who):
        return False

    def waits(self, who):
        return False


@pytest.mark.parametrize("first", range(1, 5))
@pytest.mark.parametrize("second", range(1, 5))
def test_two_threads_have_as_many_orders_as_the_binomial_coefficient_says(stage, first, second):
    found = orders(stage, partial(walk, first), partial(walk, second))
    assert len(found) == math.comb(first + second, first)
    assert len({run.schedule for run in found}) == len(found)
    assert {Counter(run.schedule)["A"] for run in found} == {first}


def test_three_threads_have_as_many_orders_as_the_multinomial_coefficient_says(stage):
    found = orders(stage, *[partial(walk, 2)] * 3)
    assert len({run.schedule for run in found}) == len(found) == math.factorial(6) // 2**3


def test_reads_side_by_side_are_run_in_one_of_their_orders(stage):
    reads = [partial(walk, 4, Kind.READ)] * 2
    assert len(orders(stage, *reads)) == 1
    assert len(orders(stage, *reads, all_orders=True)) == math.comb(8, 4)


@pytest.mark.parametrize("kind", [Kind.SEEN, Kind.HIDDEN])
def test_what_touches_nothing_in_common_is_run_in_one_order(stage, kind):
    def walks(*names):
        def one(name):
            for number in range(3):
                pause(Step(f"UPDATE {number}", kind, name and frozenset({name, f"of {name}"})))

        return len(orders(stage, *[partial(one, name) for name in names]))

    assert walks("codes", "enrollments") == 1
    assert walks("codes", "codes") == walks("codes", None) == walks(None, None) == math.comb(6, 3)


def test_a_sleep_is_never_taken_for_what_touches_nothing(stage):
    def sleep():
        pause(Step("sleep", Kind.SLEEP, frozenset()))

    def write():
        pause(Step("UPDATE", Kind.SEEN, frozenset({"codes"})))
        pause(Step("UPDATE", Kind.SEEN, frozenset({"codes"})))

    assert {run.schedule for run in orders(stage, sleep, write)} == {"BAB", "BBA"}


def test_a_lost_update_is_found_and_can_be_replayed(actors):
    def play(choose):
        table = Table()
        run = Stage(actors).play([table.add_carelessly] * 2, choose)
        counts.append((run and run.schedule, table.count))
        return run

    counts = []
    list(Explorer().runs(play))
    lost = [schedule for schedule, count in counts if schedule and count == 1]
    assert lost
    assert play(replay(lost[0])).schedule == lost[0]
    assert counts[-1] == (lost[0], 1)


@pytest.mark.parametrize("all_orders", [True, False])
def test_a_compare_and_swap_loses_nothing_though_it_takes_more_steps(actors, all_orders):
    def play(choose):
        table = Table()
        run = Stage(actors).play([table.add_by_compare_and_swap] * 3, choose)
        counts.append(table.count if run else 3)
        return run

    counts = []
    runs = list(Explorer(all_orders=all_orders).runs(play))
    assert set(counts) == {3}
    assert max(len(run.taken) for run in runs) > 6


def test_equal_orders_come_to_nothing_else(actors):
    def outcomes(**options):
        def play(choose):
            table = Table()
            run = Stage(actors).play([table.add_carelessly] * 3, choose)
            seen.update([table.count] if run else [])
            return run

        seen = Counter()
        list(Explorer(**options).runs(play))
        return seen

    all_of_them, without_equals = outcomes(all_orders=True), outcomes()
    assert set(without_equals) == set(all_of_them) == {1, 2, 3}
    assert without_equals.total() < all_of_them.total() == math.factorial(6) // 2**3


def test_who_has_to_wait_is_not_chosen(actors):
    def play(choose):
        table = Table()
        jobs = [partial(table.lock_and_add, who) for who in range(2)]
        return Stage(actors, OneWriter(table)).play(jobs, choose)

    found = list(Explorer().runs(play))
    assert {run.schedule for run in found} == {"AAAABBBB", "BBBBAAAA"}
    assert {result for run in found for result in run.results} == {None}


def test_who_sleeps_is_not_chosen_before_somebody_else_has_come_on(stage):
    def sleep():
        pause(Step("sleep", Kind.SLEEP))

    found = orders(stage, sleep, partial(walk, 2))
    assert {run.schedule for run in found} == {"BAB", "BBA"}


def test_an_error_is_a_result(stage):
    def fail():
        pause(Step("SELECT"))
        raise ValueError("broken")

    for run in orders(stage, fail, partial(walk, 1)):
        assert [str(result) for result in run.results] == ["broken", "None"]


def test_one_after_the_other(stage):
    run = stage.play([partial(walk, 2)] * 3, in_order([1, 2, 0]))
    assert run.schedule == "BBCCAA"


def test_steps_that_differ_from_run_to_run_are_told(stage):
    lengths = iter([2, 1])

    def play(choose):
        return stage.play([partial(walk, next(lengths)), partial(walk, 2)], choose)

    with pytest.raises(Diverged):
        list(Explorer().runs(play))


def test_an_order_that_cannot_be_is_told(stage):
    with pytest.raises(Diverged, match="A cannot go on"):
        stage.play([partial(walk, 1)] * 2, replay("AAB"))


def test_no_modules_of_the_proof_import_each_other():
    imports = {path.stem: set(imported(path)) for path in PROOF.glob("*.py")}
    assert "scenarios" in imports["races"]
    assert tuple(graphlib.TopologicalSorter(imports).static_order())


def imported(path):
    """Yield the names of the proof's modules that one of them imports, in functions as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "proof":
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("proof."):
            yield node.module.removeprefix("proof.")
