"""What more users cost: logins, the admin and the report with ten, ten thousand, a million.

    python -m benchmarks.scale

On PostgreSQL. Each user has an enrollment and one backup code: more would only take longer to
make. The databases stand side by side and are measured in turn. How fast ``totp_reencrypt``
is with a million users, ``python -m benchmarks.reencryption --users 1000000`` tells.
"""

import statistics
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import environments, plots, report

SIZES = "10,10000,1000000"
OPERATIONS = ["login step 1", "right code", "admin list page", "totp_report"]
NAMES = ["django-totp", "Django", "djangorestframework", "psycopg", "Python"]

Samples = dict[str, list[tuple[float, float]]]


def measure(crowds: dict[int, environments.Ask], arguments: Any) -> dict[int, Samples]:
    """Return what the operations took at each size, which take turns."""
    found: dict[int, Samples] = {size: defaultdict(list) for size in crowds}
    order = list(crowds)
    for number in range(arguments.rounds + 1):
        for size in order:
            ask = crowds[size]
            commands = [("log_in", arguments.logins), ("page", 3)]
            if number % 5 == 1:
                commands.append(("report",))
            for command in commands:
                for operation, taken in ask(*command).items():
                    found[size][operation] += taken if number else []  # the first warms up
        order.append(order.pop(0))
    return found


def print_times(found: dict[int, Samples], clock: int) -> None:
    """Print the medians of CPU time or, with 1, of the time on the clock."""
    sizes = list(found)
    rows = []
    for operation in OPERATIONS:
        medians = [_median(found[size][operation], clock) for size in sizes]
        ratio = f"{medians[-1] / medians[0]:.2f}"
        rows.append([operation, *(f"{median:.2f}" for median in medians), ratio])
    head = [f"{size:,} users" for size in sizes]
    report.say(report.table(["ms", *head, "last to first"], rows))


def _median(samples: list[tuple[float, float]], clock: int) -> float:
    return 1000 * statistics.median(sample[clock] for sample in samples)


def print_plans(plans: dict[str, list[tuple[str, list[str]]]]) -> None:
    """Print how the statements of each program reach the rows of their tables."""
    rows = []
    for program, statements in plans.items():
        for sql, scans in statements:
            table = "; ".join(scans) or "no table"
            rows.append([program, sql.split()[0], table])
    report.say(report.table(["program", "statement", "plan"], rows))


def plot(found: dict[int, Samples], page: Path) -> None:
    """Draw the time that the steps of a login take."""
    rows = [
        (operation, [_median(samples[operation], 1) for samples in found.values()])
        for operation in OPERATIONS[:2]
    ]
    series = [f"{size:,} users" for size in found]
    title = "Time in ms of the two steps of a login on PostgreSQL, by the number of users"
    plots.save(page, "scale", plots.bars(title, series, rows))


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--sizes", default=SIZES, help="separated by commas")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--logins", type=int, default=20, help="in each round, a multiple of 10")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        crowds = {}
        for size in map(int, arguments.sizes.split(",")):
            crowds[size] = stack.enter_context(
                environments.worker("ours", "postgresql", "benchmarks.crowd")
            )
            print(f"{size:,} users, made in {crowds[size]('populate', size):.0f} s", flush=True)
        found = measure(crowds, arguments)
        plans = crowds[size]("plans")
    report.heading("CPU time by the number of users")
    print_times(found, clock=0)
    report.heading("Time by the number of users")
    print_times(found, clock=1)
    report.heading("How statements find their rows among the most users")
    print_plans(plans)
    report.heading("Versions of the scale")
    report.say(environments.versions("ours", NAMES))
    report.say(report.machine())
    report.write(arguments.page)
    if arguments.page:
        plot(found, arguments.page)


if __name__ == "__main__":
    main()
