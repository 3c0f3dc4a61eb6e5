"""Whole logins a second under gunicorn on PostgreSQL, and how long each step takes.

    python -m benchmarks.throughput

The servers of all peers run all the time and are loaded in turn, by clients in a process of
their own, each of which sends the next request when it has the answer to the last one.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from benchmarks import environments, report
from benchmarks.peers import PASSWORD, code_of
from benchmarks.processes import in_a_process

PEERS = ["ours", "released", "simplejwt"]
HASHERS = {
    "a fast hasher": ("django.contrib.auth.hashers.MD5PasswordHasher", 1),
    "the default hasher": ("django.contrib.auth.hashers.PBKDF2PasswordHasher", 5),
}  # and how many times longer a turn is, for as many logins are fewer
STARTING = 30  # seconds
SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
SHARED = ["Django", "djangorestframework", "djangorestframework-simplejwt", "gunicorn", "Python"]

User = tuple[str, str]  # name and secret


class Login(NamedTuple):
    """How many seconds each step took."""

    steps: list[float]


class Server(NamedTuple):
    """A gunicorn, and its users in the order in which they log in."""

    peer: str
    port: int
    users: list[User]


# --- The clients ---


def post(port: int, path: str, body: dict[str, str]) -> dict[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {content[:500]!r}")
    return json.loads(content)


def log_in(server: Server, user: User) -> Login:
    """Log ``user`` in, in two steps or, without a second factor, in one."""
    name, secret = user
    credentials = {"username": name, "password": PASSWORD}
    start = time.perf_counter()
    if not secret:
        post(server.port, "/token/", credentials)
        return Login([time.perf_counter() - start])
    challenge = post(server.port, "/jwt/create/", credentials)["totp_challenge_token"]
    middle = time.perf_counter()
    code = {"totp_challenge_token": challenge, "otp_code": code_of(secret)}
    post(server.port, "/jwt/totp/verify/", code)
    return Login([middle - start, time.perf_counter() - middle])


def load(server: Server, seconds: float, clients: int, pipe: Any) -> None:
    """Let the clients log users in for so long. Send how it went: rate, steps, users, errors."""
    logins: list[Login] = []
    errors: list[BaseException] = []
    users = deque(server.users)
    start = time.perf_counter()

    def work() -> None:
        try:
            while time.perf_counter() < start + seconds:
                user = users.popleft()
                logins.append(log_in(server, user))
                users.append(user)  # whose turn comes again when the code is another one
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(logins) / (time.perf_counter() - start)
    pipe.send((rate, [login.steps for login in logins], list(users), list(map(repr, errors))))


# --- The servers ---


@contextmanager
def serve(peer: str, users: int, workers: int, settings: dict[str, Any]) -> Iterator[Server]:
    """Run gunicorn on a database of its own with so many users."""
    with environments.worker(peer, "postgresql", **settings) as ask:
        filled = ask("fill", users)
        port = _free_port()
        what = {"peer": peer, "database": filled["database"], "settings": settings}
        options = [f"--bind=127.0.0.1:{port}", f"--workers={workers}", "--log-level=warning"]
        process = subprocess.Popen(
            [environments.python_of(peer), "-m", "gunicorn", "benchmarks.wsgi", *options],
            cwd=environments.ROOT,
            env=os.environ | {"BENCHMARK": json.dumps(what), "DATABASE": "postgresql"},
        )
        try:
            _wait_for(port)
            yield Server(peer, port, [tuple(user) for user in filled["users"]])
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + STARTING
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


# --- What is measured and printed ---


def measure(hasher: str, arguments: argparse.Namespace, seconds: float) -> None:
    """Load each server for so many seconds in each round, and print the rates."""
    settings = {"PASSWORD_HASHERS": [hasher]}
    rates: dict[str, list[float]] = defaultdict(list)
    steps: dict[str, list[list[float]]] = defaultdict(list)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serve(peer, arguments.users, arguments.workers, settings))
            for peer in arguments.peers.split(",")
        ]
        for number in range(arguments.rounds + 1):
            for at, server in enumerate(servers):
                rate, taken, left, errors = in_a_process(load, server, seconds, arguments.clients)
                assert not errors, errors
                servers[at] = server._replace(users=left)
                if number:  # the first round warms up
                    rates[server.peer].append(rate)
                    steps[server.peer] += taken
            servers.append(servers.pop(0))
    print_rates(rates, steps)


def print_rates(rates: dict[str, list[float]], steps: dict[str, list[list[float]]]) -> None:
    rows = []
    for peer, taken in steps.items():
        for number, times in enumerate(zip(*taken, strict=True), start=1):
            rate = f"{statistics.median(rates[peer]):.1f}"
            shares = [f"{1000 * _share(times, share):.1f}" for share in SHARES.values()]
            rows.append([peer, rate, len(times), number, *shares])
    report.say(
        report.table(
            ["peer", "logins/s", "logins", "step", *(f"{name} ms" for name in SHARES)], rows
        )
    )


def _share(times: Any, share: float) -> float:
    return sorted(times)[min(int(share * len(times)), len(times) - 1)]


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--peers", default=",".join(PEERS), help="separated by commas")
    parser.add_argument("--workers", type=int, default=2, help="of gunicorn, sync")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of load in each round")
    parser.add_argument(
        "--users", type=int, default=5000, help="more than log in within 30 s: a code works once"
    )
    arguments = parser.parse_args()
    for name, (hasher, longer) in HASHERS.items():
        report.heading(f"Logins with {name}")
        measure(hasher, arguments, arguments.seconds * longer)
    report.heading("Versions under gunicorn")
    report.item(f"{arguments.workers} sync workers, {arguments.clients} clients")
    for peer in arguments.peers.split(","):
        report.item(f"{peer}: {environments.versions(peer, SHARED)}")
    report.say(report.machine())
    report.write(arguments.page)


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
