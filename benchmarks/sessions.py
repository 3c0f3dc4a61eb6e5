"""What a login by session costs: ours, other packages', and a second step written by hand.

    python -m benchmarks.sessions
    python -m benchmarks.sessions --packages floor,ours --rounds 20

Each package has an environment, a process and a database of its own, on SQLite. They take turns,
so that what disturbs the machine disturbs all. A cost is a median, and a ratio the median of the
ratios of all rounds: each of them was measured in the same seconds as the floor.
"""

import statistics
import subprocess
from contextlib import ExitStack
from typing import Any

from benchmarks import environments, report
from benchmarks.environments import Ask, worker

FLOOR, WHOLE = "floor", "a whole login"
ENVIRONMENTS = {
    FLOOR: "ours",
    "ours": "ours",
    "two-factor-auth": "two-factor-auth",
    "allauth": "allauth-pages",
    "django-mfa": "django-mfa",
}
PARTS = ("password", "code form", "code", "first page")
STEPS = (WHOLE, *PARTS, "wrong code", "backup code", "page", "admin", "anonymous page")
VERSIONS = ["django-two-factor-auth", "django-otp", "django-allauth", "django-mfa", "Django"]

Life = dict[str, float]


class Column:
    """A worker process, and all that it has measured: the medians of each round."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.rounds: list[dict[str, float]] = []
        self.statements: dict[str, tuple[int, ...]] = {}

    def live(self, lives: int) -> None:
        """Add the medians of so many lives."""
        taken = [life | {WHOLE: whole(life)} for life in self.ask("live", lives)]
        medians = {step: statistics.median(life[step] for life in taken) for step in taken[0]}
        self.rounds.append(medians)

    def count(self) -> None:
        counted = {step: tuple(count) for step, count in self.ask("count").items()}
        parts = [counted[part] for part in PARTS if part in counted]
        self.statements = counted | {WHOLE: tuple(map(sum, zip(*parts, strict=True)))}


def whole(life: Life) -> float:
    """Return what a whole login costs. Some show the form with the answer to the password."""
    return sum(life.get(part, 0) for part in PARTS)


def installed(names: list[str]) -> list[str]:
    """Return those that there is an environment for, and say which cannot be installed."""
    found = []
    for name in names:
        try:
            environments.python_of(ENVIRONMENTS[name])
        except subprocess.CalledProcessError as error:
            report.say(f"{name} cannot be installed: {error}")
        else:
            found.append(name)
    return found


def measure(names: list[str], rounds: int, lives: int) -> dict[str, Column]:
    """Return the columns after so many rounds, in each of which all take their turn."""
    with ExitStack() as stack:
        columns = {name: Column(stack.enter_context(started(name))) for name in names}
        for column in columns.values():
            column.ask("live", lives)  # what only the first requests pay
            column.count()
        order = list(columns.values())
        for _ in range(rounds):
            for column in order:
                column.live(lives)
            order.append(order.pop(0))
    return columns


def started(name: str) -> Any:
    return worker(ENVIRONMENTS[name], "sqlite", "benchmarks.browsers", package=name)


def costs(columns: dict[str, Column]) -> list[list[str]]:
    """Return a row for a whole login and for each step: the time, and its ratio to the floor's."""
    floor = columns[FLOOR]
    return [[step, *(_cost(column, floor, step) for column in columns.values())] for step in STEPS]


def _cost(column: Column, floor: Column, step: str) -> str:
    if step not in column.statements:
        return report.NONE
    time = statistics.median(medians[step] for medians in column.rounds)
    if column is floor or step not in floor.statements:
        return f"{time:.2f}"
    pairs = zip(column.rounds, floor.rounds, strict=True)
    ratio = statistics.median(one[step] / other[step] for one, other in pairs)
    return f"{time:.2f} ({ratio:.2f})"


def statements(columns: dict[str, Column]) -> list[list[str]]:
    return [[step, *(_count(column, step) for column in columns.values())] for step in STEPS]


def _count(column: Column, step: str) -> str:
    if step not in column.statements:
        return report.NONE
    sql, of_transactions = column.statements[step]
    return f"{sql} + {of_transactions}"


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--packages", default=",".join(ENVIRONMENTS), help="separated by commas")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--lives", type=int, default=10, help="lives at a package in each round")
    arguments = parser.parse_args()
    report.heading("A login by session: time")
    wanted = arguments.packages.split(",")
    names = installed([FLOOR, *(name for name in wanted if name != FLOOR)])
    columns = measure(names, arguments.rounds, arguments.lives)
    report.say(report.table(["CPU time in ms (ratio)", *columns], costs(columns)))
    report.heading("A login by session: statements")
    report.say(report.table(["SQL + transaction commands", *columns], statements(columns)))
    report.heading("Versions of the logins by session")
    for name in names:
        held = ["django-totp", *VERSIONS] if name == "ours" else VERSIONS
        report.item(f"{name}: {environments.versions(ENVIRONMENTS[name], [*held, 'Python'])}")
    report.say(report.machine())
    report.write(arguments.page)


if __name__ == "__main__":
    main()
