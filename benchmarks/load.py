"""Logins at several workers, through PgBouncer and Redis, and a plan for many more of them.

    python -m benchmarks.load

Gunicorn runs as on many machines: processes that keep nothing, PostgreSQL behind PgBouncer in
transaction mode, the rates in Redis. Clients in a process of their own log people in, each in two
steps: with a right code, with a wrong one before it, or with a backup code. In the end the tables
must tell of just as many right and wrong codes as were answered. The plan multiplies what a login
has cost.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import subprocess
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.processes import in_a_process
from proof import database, server

RATES = {"TOTP_THROTTLE_RATE": "100000/minute", "TOTP_ADDRESS_THROTTLE_RATE": "1000000/minute"}
REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/9")
BEHIND = {  # as the settings of the proof have it
    "host": ("PGHOST", "127.0.0.1"),
    "server": ("PGPORT", "5432"),
    "user": ("PGUSER", "postgres"),
}
WAYS = ["right code"] * 8 + ["wrong code first", "backup code"]
SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
TICKS = os.sysconf("SC_CLK_TCK")
MINUTE = 60
HEADROOM = 0.6  # of a core that is planned to be busy
CONFIGURATION = """
[databases]
* = host={host} port={server} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits
"""


@dataclass(frozen=True)
class Person:
    """Somebody who logs in once by each code."""

    name: str
    password: str
    secret: str
    backup_codes: list[str]


@dataclass
class Outcome:
    """What came of a load: seconds of the two steps of each login, and answers by status."""

    seconds: float
    steps: list[float]
    answers: Counter[str]
    errors: list[str]


# --- The clients ---


class Client:
    """Keeps its connection, as a proxy does."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self, path: str, body: dict[str, str]) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self.connection.request("POST", f"/api/{path}", json.dumps(body), headers)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def log_in(self, person: Person, way: str, answers: Counter[str]) -> None:
        status, body = self.post(
            "jwt/create/", {"username": person.name, "password": person.password}
        )
        assert status == 200, body
        challenge = {"totp_challenge_token": body["totp_challenge_token"]}
        if way == "wrong code first":
            status, body = self.post("jwt/totp/verify/", {**challenge, "otp_code": "000000"})
            answers[f"wrong {status}"] += 1
        status, body = self.post("jwt/totp/verify/", {**challenge, **_code(person, way)})
        answers[f"{way} {status}"] += 1
        assert status == 200, body


def _code(person: Person, way: str) -> dict[str, str]:
    import pyotp

    if way == "backup code":
        return {"backup_code": person.backup_codes.pop()}
    return {"otp_code": pyotp.TOTP(person.secret).now()}


def load(port: int, people: list[Person], clients: int, seconds: float, pipe: Any) -> None:
    """Let the clients log people in for so long, each person once, and send the outcome."""
    waiting, steps = deque(people), list[float]()
    answers, errors = Counter[str](), list[str]()
    begin = time.perf_counter()

    def work(number: int) -> None:
        client = Client(port)
        try:
            while time.perf_counter() < begin + seconds and waiting:
                start, number = time.perf_counter(), number + 1
                client.log_in(waiting.popleft(), WAYS[number % len(WAYS)], answers)
                steps.append(time.perf_counter() - start)
        except Exception as error:
            errors.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send(Outcome(time.perf_counter() - begin, steps, answers, errors))


# --- What stands behind the workers ---


@contextlib.contextmanager
def pgbouncer(pool: int) -> Iterator[int]:
    """Run PgBouncer in transaction mode before PostgreSQL, and give its port."""
    port = server.free_port()
    with tempfile.TemporaryDirectory() as name:
        folder, log = Path(name), Path(name, "log")
        folder.chmod(0o755)
        where = {name: os.environ.get(*known) for name, known in BEHIND.items()}
        text = CONFIGURATION.format(**where, port=port, pool=pool)
        (folder / "pgbouncer.ini").write_text(text)
        command = ["pgbouncer", *(["-u", "nobody"] if os.geteuid() == 0 else []), "pgbouncer.ini"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
        try:
            server.wait_until_open(port, process, log)
            yield port
        finally:
            process.terminate()
            process.wait()


def people(number: int) -> list[Person]:
    """Make so many people with an enrollment, which is a day old."""
    from datetime import timedelta

    from django.utils import timezone

    from django_totp.models import Totp
    from proof import accounts

    made = [accounts.enrolled() for _ in range(number)]
    Totp.objects.update(confirmed_at=timezone.now() - timedelta(days=1))
    return [
        Person(one.user.username, accounts.PASSWORD, one.secret, one.backup_codes) for one in made
    ]


def transactions() -> int:
    """Return how many transactions PostgreSQL has ended in this database."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = "
            "current_database()"
        )
        return int(cursor.fetchone()[0])


def commands() -> int:
    """Return how many commands Redis has carried out."""
    import redis

    return int(redis.Redis.from_url(REDIS).info("stats")["total_commands_processed"])


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time of a process and of its children that still run."""
    seconds = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().rpartition(")")
            fields = rest.split()
            if pid in (int(name.split()[0]), int(fields[1])):
                seconds += (int(fields[11]) + int(fields[12])) / TICKS
    return seconds


def check(outcome: Outcome) -> None:
    """Hold the tables to what was answered: no code too many, and no guess forgotten."""
    from django.db.models import Sum

    from django_totp.models import BackupCode, Totp

    answers, sums = outcome.answers, Totp.objects.aggregate(Sum("verifications"), Sum("failures"))
    right = sum(count for name, count in answers.items() if name.endswith("200"))
    assert not outcome.errors, outcome.errors
    assert sum(answers.values()) - right == answers["wrong 400"], answers
    assert sums["verifications__sum"] == right, (sums, answers)
    assert sums["failures__sum"] == 0, sums  # a right code has ended each count
    assert BackupCode.objects.filter(is_used=True).count() == answers["backup code 200"]


# --- What is measured and printed ---


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Load the workers, print how it went, and return what a login has cost."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(pgbouncer(arguments.pool))
        env = stack.enter_context(database.prepared("postgresql", REDIS_URL=REDIS))
        crowd = people(arguments.people)
        where = {"PGPORT": str(port), "CACHE": "redis", "SETTINGS": json.dumps(RATES)}
        running = stack.enter_context(server.running({**env, **where}, processes=arguments.workers))
        warm, crowd = crowd[: arguments.clients], crowd[arguments.clients :]
        in_a_process(load, running.port, warm, arguments.clients, MINUTE)
        before = cpu_of(running.process.pid), transactions(), commands()
        outcome = in_a_process(load, running.port, crowd, arguments.clients, arguments.seconds)
        after = cpu_of(running.process.pid), transactions(), commands()
        reset_of(warm)
        check(outcome)
        assert running.errors() == 0
    return tell(outcome, [end - begin for begin, end in zip(before, after, strict=True)])


def reset_of(warm: list[Person]) -> None:
    """Forget those who have warmed the workers up."""
    from django.contrib.auth import get_user_model

    get_user_model().objects.filter(username__in=[person.name for person in warm]).delete()


def tell(outcome: Outcome, cost: list[float]) -> dict[str, float]:
    logins = len(outcome.steps)
    ordered = sorted(outcome.steps)
    shares = [f"{1000 * ordered[int(share * (logins - 1))]:.0f}" for share in SHARES.values()]
    head = ["logins", "logins/s", *(f"{name} ms" for name in SHARES), "refused as they should be"]
    rate = f"{logins / outcome.seconds:.0f}"
    row = [logins, rate, *shares, outcome.answers["wrong 400"]]
    report.say(report.table(head, [row]))
    names = ("cpu", "transactions", "commands")
    return {name: one / logins for name, one in zip(names, cost, strict=True)}


def hasher_seconds() -> float:
    """Return how long Django's default hasher takes for one password."""
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    hasher = PBKDF2PasswordHasher()
    begin = time.process_time()
    for _ in range(3):
        hasher.encode("password", hasher.salt())
    return (time.process_time() - begin) / 3


def plan(cost: dict[str, float], per_minute: int) -> None:
    """Print what so many logins a minute need, by what one has cost."""
    second, hasher = per_minute / MINUTE, hasher_seconds()
    cores = {"the password hasher": hasher, "all else in the workers": cost["cpu"]}
    rows = [
        [f"CPU: {name}", f"{1000 * seconds:.1f} ms", f"{second * seconds / HEADROOM:.0f} cores"]
        for name, seconds in cores.items()
    ]
    rows += [
        [what, f"{cost[name]:.1f}", f"{second * cost[name]:,.0f} a second"]
        for what, name in (
            ("transactions of PostgreSQL", "transactions"),
            ("commands of Redis", "commands"),
        )
    ]
    report.say(report.table(["", "a login", f"{per_minute:,} logins a minute"], rows))


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--workers", type=int, default=4, help="of gunicorn, four threads each")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--pool", type=int, default=8, help="connections of PgBouncer's")
    parser.add_argument("--people", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--plan", type=int, default=100_000, help="logins a minute")
    arguments = parser.parse_args()
    report.heading("A load run")
    cost = measure(arguments)
    what = f"{arguments.workers} workers, {arguments.clients} clients, {arguments.pool} connections"
    report.item(f"{what} behind PgBouncer, and the clients on the same cores")
    report.item(report.machine())
    report.heading("A plan")
    plan(cost, arguments.plan)
    report.write(arguments.page)


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
