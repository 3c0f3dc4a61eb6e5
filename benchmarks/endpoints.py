"""What a request costs: CPU time and SQL statements, for this package and for others like it.

    python -m benchmarks.endpoints
    python -m benchmarks.endpoints --peers ours,released --rounds 20

Each peer has an environment, a process and a database of its own. The processes take turns, so
that what disturbs the machine disturbs all. Requests are made of WSGI, without a network.
"""

import statistics
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from benchmarks import environments, plots, report
from benchmarks.environments import Ask, worker
from benchmarks.peers import OPERATIONS, PEERS

UNITS = ["token view", "bare view"]
WHOLE = "whole login"
PARTS = ["login step 1", "right code"]
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
UNIT = "simplejwt"
TITLES = {name: name for name in PEERS} | {"ours": "this package", "released": "1.1.3"}
PACKAGES = ["django-totp", "drf-totp", "django-mfa", "django-allauth", "dj-rest-auth"]
SHARED = ["Django", "djangorestframework", "djangorestframework-simplejwt", "cryptography"]

Samples = dict[str, list[tuple[float, float]]]


class Peer:
    """A worker process, and all that it has measured."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.samples: Samples = defaultdict(list)
        self.statements: dict[str, tuple[int, int]] = {}

    def live(self, lives: int) -> None:
        """Add the samples of so many lives. A whole login is two requests of one life."""
        samples = self.ask("live", lives)
        for operation, taken in samples.items():
            self.samples[operation] += taken
        if all(part in samples for part in PARTS):
            per_life = len(samples[PARTS[0]]) // lives
            first, second = samples[PARTS[0]][::per_life], samples[PARTS[1]]
            pairs = zip(first, second, strict=True)
            self.samples[WHOLE] += [(a[0] + b[0], a[1] + b[1]) for a, b in pairs]

    def count(self) -> None:
        self.statements = {name: tuple(count) for name, count in self.ask("count").items()}
        if all(part in self.statements for part in PARTS):
            counts = [self.statements[part] for part in PARTS]
            self.statements[WHOLE] = tuple(map(sum, zip(*counts, strict=True)))


def measure(names: list[str], database: str, rounds: int, lives: int) -> dict[str, Peer]:
    """Return the peers after so many rounds, in each of which all take their turn."""
    with ExitStack() as stack:
        peers = {name: Peer(stack.enter_context(worker(name, database))) for name in names}
        for peer in peers.values():
            peer.ask("live", lives)  # what only the first requests pay
            peer.count()
        order = list(peers.values())
        for _ in range(rounds):
            for peer in order:
                peer.live(lives)
            order.append(order.pop(0))
    return peers


def median(peer: Peer, operation: str, clock: int = 0) -> float | None:
    """Return the median of an operation in ms: of CPU time, or of the time on the clock (1)."""
    taken = [sample[clock] for sample in peer.samples.get(operation, [])]
    return 1000 * statistics.median(taken) if taken else None


def print_costs(peers: dict[str, Peer], clock: int) -> None:
    """Print medians: of CPU time, or of the time on the clock (1). And the statements."""
    packages = [name for name in peers if name != UNIT]
    rows = []
    for operation in [*OPERATIONS, WHOLE]:
        cells = [_cost(peers[name], operation, clock) for name in packages]
        rows.append([operation, *cells])
    report.say(report.table(["operation", *_titles(packages)], rows))
    if UNIT in peers:
        units = [f"{unit} {_cost(peers['simplejwt'], unit, clock)}" for unit in UNITS]
        report.say(f"What everyone pays: {', '.join(units)}.")


def _titles(names: list[str]) -> list[str]:
    return [TITLES[name] for name in names]


def _cost(peer: Peer, operation: str, clock: int) -> str:
    time = median(peer, operation, clock)
    if time is None:
        return report.NONE
    sql, of_transactions = peer.statements[operation]
    return f"{time:.2f} ({sql}+{of_transactions})"


def print_ratios(peers: dict[str, Peer]) -> None:
    """Print what an operation of ours costs, in units of that of each other."""
    others = [name for name in peers if name not in ("ours", UNIT)]
    rows = []
    for operation in [*OPERATIONS, WHOLE]:
        ours = median(peers["ours"], operation)
        cells = [_ratio(ours, median(peers[name], operation)) for name in others]
        if UNIT in peers:
            cells.append(_ratio(ours, median(peers[UNIT], "token view")))
        rows.append([operation, *cells])
    units = ["token views"] if UNIT in peers else []
    report.say(report.table(["this package to", *_titles(others), *units], rows))
    for name in ("ours", "released"):
        if name in peers:
            first, last = (median(peers[name], f"{at} backup code") for at in ("first", "last"))
            report.item(f"{TITLES[name]}, last backup code of ten to first: {_ratio(last, first)}")


def _ratio(ours: float | None, theirs: float | None) -> str:
    return f"{ours / theirs:.2f}" if ours and theirs else report.NONE


def print_storage(names: list[str], users: int) -> None:
    """Print what a user takes in each table, once the tables are packed."""
    stored = {}
    for name in names:
        with worker(name, "postgresql") as ask:
            stored[name] = ask("store", users)
    rows = [[table, *(f"{stored[name][table]:.0f}" for name in names)] for table in stored["ours"]]
    totals = [sum(stored[name].values()) for name in names]
    rows.append(["both", *(f"{total:.0f}" for total in totals)])
    report.say(report.table(["table", *_titles(names)], rows))
    report.say(f"Ours to 1.1.3: {totals[0] / totals[1]:.2f}.")


def plot_ratios(measured: dict[str, dict[str, Peer]], page: Path) -> None:
    """Draw what operations of ours cost, in units of those of 1.1.3."""
    rows = []
    for operation in [*OPERATIONS, WHOLE]:
        pairs = [
            (median(peers["ours"], operation), median(peers["released"], operation))
            for peers in measured.values()
        ]
        rows.append((operation, [ours / theirs for ours, theirs in pairs]))
    title = "CPU time of a request: this package to django-totp 1.1.3"
    databases = [DATABASES[name] for name in measured]
    plots.save(page, "ratios", plots.bars(title, databases, rows, mark=1))


def plot_logins(measured: dict[str, dict[str, Peer]], page: Path) -> None:
    """Draw what a whole login costs."""
    rows = [
        (TITLES[name], [median(peers[name], WHOLE) for peers in measured.values()])
        for name in PEERS
        if name != UNIT
    ]
    units = [median(peers[UNIT], "token view") for peers in measured.values()]
    rows.append(("token view, no 2FA", units))
    title = "CPU time in ms of a whole login, with a fast password hasher"
    databases = [DATABASES[name] for name in measured]
    plots.save(page, "logins", plots.bars(title, databases, rows))


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--peers", default=",".join(PEERS), help="separated by commas")
    parser.add_argument("--databases", default=",".join(DATABASES))
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--lives", type=int, default=5, help="users of a peer in each round")
    parser.add_argument("--enrolled", type=int, default=1000, help="users whose bytes are counted")
    arguments = parser.parse_args()
    names = arguments.peers.split(",")
    measured = {}
    for database in arguments.databases.split(","):
        measured[database] = measure(names, database, arguments.rounds, arguments.lives)
        print_all(DATABASES[database], measured[database])
    if "postgresql" in measured and {"ours", "released"} <= set(names):
        report.heading("Bytes for a user with ten backup codes on PostgreSQL")
        print_storage(["ours", "released"], arguments.enrolled)
    report.heading("Versions of the packages that are compared")
    for name in names:
        report.item(f"{name}: {environments.versions(name, [*PACKAGES, *SHARED, 'Python'])}")
    report.say(report.machine())
    report.write(arguments.page)
    if arguments.page and set(names) == set(PEERS):
        plot_ratios(measured, arguments.page)
        plot_logins(measured, arguments.page)


def print_all(database: str, peers: dict[str, Peer]) -> None:
    report.heading(f"CPU time on {database}, in ms")
    print_costs(peers, clock=0)
    if "ours" in peers:
        report.heading(f"CPU time on {database}, as ratios")
        print_ratios(peers)
    report.heading(f"Time on {database}, in ms")
    print_costs(peers, clock=1)


if __name__ == "__main__":
    main()
