"""One peer in a process of its own. The programs of ``benchmarks`` drive it through a pipe.

    python -m benchmarks.worker ours

Each line of the input is a command in JSON, and each is answered by a line of JSON. The database
is that which ``DATABASE`` names, as for the tests. A second argument holds settings in JSON.
"""

import gc
import io
import json
import sys
import time
from collections import defaultdict
from http.cookies import SimpleCookie
from typing import Any, NamedTuple, TextIO

from benchmarks import peers

TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


class Answer(NamedTuple):
    """A response: its JSON and its cookies."""

    json: Any
    cookies: dict[str, str]


class Caller:
    """Makes HTTP requests of WSGI, without a network, and keeps what each operation took."""

    def __init__(self) -> None:
        from django.core.handlers.wsgi import WSGIHandler

        self.handler = WSGIHandler()
        self.samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.statements: dict[str, tuple[int, int]] = {}
        self.counting = False

    def __call__(
        self,
        operation: str,
        path: str,
        body: Any = None,
        status: int = 200,
        method: str = "POST",
        **headers: str,
    ) -> Answer:
        """Make a request of ``operation``, which must end with ``status``."""
        environ = environ_of(method, path, body, headers)
        if self.counting:
            return self._count(operation, environ, status)
        wall, cpu = time.perf_counter(), time.process_time()
        answered, content = self._send(environ)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        self.samples[operation].append((cpu, wall))
        return self._check(operation, answered, content, status)

    def _send(self, environ: dict[str, Any]) -> tuple[Any, bytes]:
        started: list[Any] = []
        response = self.handler(environ, lambda status, headers: started.extend((status, headers)))
        content = b"".join(response)
        response.close()
        return started, content

    def _count(self, operation: str, environ: dict[str, Any], status: int) -> Answer:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            answered, content = self._send(environ)
        commands = [query["sql"].split()[0].upper() for query in captured]
        of_transactions = sum(command in TRANSACTION for command in commands)
        self.statements[operation] = (len(commands) - of_transactions, of_transactions)
        return self._check(operation, answered, content, status)

    def _check(self, operation: str, answered: Any, content: bytes, status: int) -> Answer:
        line, headers = answered
        if not line.startswith(str(status)):
            raise RuntimeError(f"{operation}: {line} {content[:500]!r}, not {status}")
        return Answer(json.loads(content or b"null"), cookies_of(headers))


def cookies_of(headers: list[tuple[str, str]]) -> dict[str, str]:
    cookies: SimpleCookie = SimpleCookie()
    for name, value in headers:
        if name == "Set-Cookie":
            cookies.load(value)
    return {name: morsel.value for name, morsel in cookies.items()}


def environ_of(method: str, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
    content = b"" if body is None else json.dumps(body).encode()
    named = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(content)),
        "HTTP_ACCEPT": "application/json",
        "HTTP_USER_AGENT": "benchmark",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(content),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **named,
    }


class Worker:
    """Lets users of a peer live: each enrolls, logs in in each way, and leaves."""

    def __init__(self, peer: peers.Peer) -> None:
        from django.contrib.auth.hashers import make_password

        self.peer, self.caller, self.users = peer, Caller(), 0
        self.password = make_password(peers.PASSWORD)

    def live(self, lives: int) -> dict[str, list[tuple[float, float]]]:
        """Return the CPU time and the time of each request in seconds, by operation."""
        self.caller.samples.clear()
        users = [self._user() for _ in range(lives)]
        gc.collect()
        for user in users:
            peers.keep_away_from_the_next_step()
            self.peer.live(self.caller, user)
        return dict(self.caller.samples)

    def count(self) -> dict[str, tuple[int, int]]:
        """Return the SQL statements and transaction commands of each operation."""
        self.caller.counting = True
        try:
            self.live(2)  # of which one begins with the first, one with the last code
        finally:
            self.caller.counting = False
        return self.caller.statements

    def store(self, users: int) -> dict[str, float]:
        """Return the bytes for a user with ten codes by table, indexes included."""
        from django.db import connection

        for _ in range(users):
            peers.keep_away_from_the_next_step()
            self.peer.enroll(self.caller, self._user())
        with connection.cursor() as cursor:
            sizes = {}
            for table in self.peer.tables:
                cursor.execute(f"VACUUM FULL {table}")
                cursor.execute("SELECT pg_total_relation_size(%s)", [table])
                sizes[table] = cursor.fetchone()[0] / users
        return sizes

    def fill(self, users: int) -> dict[str, Any]:
        """Return the name of the database, and for each of so many new users name and secret."""
        from django.db import connection

        new = [self._user() for _ in range(users)]
        enrolled = [(user.username, self.peer.fill(user)) for user in new]
        return {"database": connection.settings_dict["NAME"], "users": enrolled}

    def _user(self) -> Any:
        from django.contrib.auth.models import User

        self.users += 1
        name = f"user{self.users}"
        return User.objects.create(
            username=name, email=f"{name}@example.com", password=self.password
        )


def main(kind: type[Worker] = Worker) -> None:
    pipe, sys.stdout = sys.stdout, sys.stderr
    peer = peers.PEERS[sys.argv[1]]()
    peers.set_up(peer, **json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}"))
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        serve(kind(peer), pipe)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def serve(worker: Any, pipe: TextIO) -> None:
    """Carry out the commands, which are methods of ``worker``, until the input ends."""
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        answer = getattr(worker, command)(*arguments)
        print(json.dumps(answer), file=pipe, flush=True)


if __name__ == "__main__":
    main()
