"""What a login by session costs: ours, other packages', and a second step written by hand.

    python -m benchmarks.sessions

Each package has its own environment and process, on SQLite in memory; they take turns.
"""

import statistics
from contextlib import ExitStack
from typing import Any

from benchmarks import environments, report

COLUMNS = {
    "floor": ("ours", "floor"),
    "ours": ("ours", "ours"),
    "two-factor-auth": ("two-factor-auth", "two-factor-auth"),
    "allauth": ("allauth-pages", "allauth-pages"),
}
WHOLE = ("password", "code form", "code", "first page")
STEPS = (*WHOLE, "wrong code", "backup code", "page", "admin", "anonymous page")
PACKAGES = ["django-totp", "django-two-factor-auth", "django-otp", "django-allauth", "Django"]

Medians = dict[str, list[dict[str, float]]]


def measure(turns: int, times: int) -> tuple[Medians, dict[str, dict[str, str]]]:
    """Return the medians of each turn, and the statements of each step, by column."""
    found: Medians = {name: [] for name in COLUMNS}
    statements: dict[str, dict[str, str]] = {}
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(
                environments.worker(peer, "sqlite", "benchmarks.browsers", side=side)
            )
            for name, (peer, side) in COLUMNS.items()
        }
        for turn in range(turns + 1):  # the first one warms up
            for name, ask in workers.items():
                medians, statements[name] = ask(times)
                found[name] += [medians] if turn else []
    return found, statements


def whole(medians: dict[str, float]) -> float:
    """Return what a whole login costs. Some show the form with the answer to the password."""
    return sum(medians.get(name, 0) for name in WHOLE)


def ratio(found: Medians, name: str, cost: Any) -> tuple[float, float]:
    """Return the median cost in ms, and its ratio to the floor's, turn by turn."""
    turns = zip(found[name], found["floor"], strict=True)
    pairs = [(cost(one), cost(floor)) for one, floor in turns]
    middle = statistics.median(one for one, _ in pairs)
    return middle, statistics.median(one / floor for one, floor in pairs)


def cell(found: Medians, name: str, cost: Any, row: str) -> str:
    if row in STEPS and row not in found[name][0]:
        return report.NONE
    middle, to_floor = ratio(found, name, cost)
    return f"{middle:.2f}" if name == "floor" else f"{middle:.2f} ({to_floor:.2f})"


def rows(found: Medians) -> list[list[str]]:
    """Return a row for a whole login and for each step."""
    costs = {"a whole login": whole} | {
        step: (lambda medians, step=step: medians[step]) for step in STEPS
    }
    return [
        [row, *(cell(found, name, cost, row) for name in COLUMNS)] for row, cost in costs.items()
    ]


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--times", type=int, default=40, help="logins in each turn")
    arguments = parser.parse_args()
    found, statements = measure(arguments.turns, arguments.times)
    report.heading("A login by session: time")
    report.say(report.table(["CPU time in ms (ratio)", *COLUMNS], rows(found)))
    report.heading("A login by session: statements")
    counted = [
        [step, *(statements[name].get(step, report.NONE) for name in COLUMNS)] for step in STEPS
    ]
    report.say(report.table(["SQL + transaction commands", *COLUMNS], counted))
    report.heading("Versions of the logins by session")
    for name, (peer, _) in COLUMNS.items():
        report.item(f"{name}: {environments.versions(peer, PACKAGES)}")
    report.say(report.machine())
    report.write(arguments.page)


if __name__ == "__main__":
    main()
