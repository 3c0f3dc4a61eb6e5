"""What breaks outside of the package, while logins run: database, cache, process, key, receiver.

The database is a PostgreSQL cluster of this program's own, the cache a Redis server of its own:
both are stopped. Errors are allowed while something is down. What must never happen: a code that
is accepted twice, a row that is half written, or anything that does not work afterwards.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from proof import database, outside
from proof.client import Answer, Call, Volley
from proof.report import Report, heading, machine
from proof.server import Server, running

WIDTH = 8
LOST = 0  # the status of a request whose connection broke
SETTLE_SECONDS = 30


class PatientVolley(Volley):
    """A volley in which an answer may be lost."""

    def _send(self, call: Call, start: threading.Barrier) -> Answer:
        try:
            return super()._send(call, start)
        except (OSError, http.client.HTTPException):
            return Answer(LOST, {}, {})


@dataclass(frozen=True)
class Stage:
    """What a scenario plays on."""

    report: Report
    env: dict[str, str]
    rounds: int
    cluster: outside.Cluster | None = None


def main() -> int:
    options = _options()
    report = Report()
    print(machine())
    try:
        with outside.cluster() as cluster:
            where = {"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGUSER": "postgres"}
            with database.prepared("postgresql", **where) as env:
                _play(Stage(report, env, options.rounds, cluster), ANYWHERE + ON_CLUSTER)
    except outside.Missing as reason:
        for scenario in ON_CLUSTER:
            report.leave_out(scenario.__name__.replace("_", " "), str(reason))
        with database.prepared("sqlite-wal") as env:
            _play(Stage(report, env, options.rounds), ANYWHERE)
    return report.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="bursts for each kind of fault")
    return parser.parse_args()


def _play(stage: Stage, scenarios: "tuple[Callable[[Stage], None], ...]") -> None:
    for scenario in scenarios:
        heading(f"{scenario.__doc__}")
        scenario(stage)


def wrong_key(stage: Stage) -> None:
    """The server has another encryption key."""
    from proof.accounts import enrolled

    account = enrolled()
    settings = {"TOTP_ENCRYPTION_KEY": "YW5vdGhlci1hbm90aGVyLWFub3RoZXItYW5vdGhlci0="}
    with running(_with(stage, **settings)) as server, PatientVolley(server.port, 1) as volley:
        _unreadable(stage.report, volley, account)
        backup = login(volley, account, backup_code=account.backup_codes[0])
        stage.report.check("a backup code", told(backup), fine=backup.status == 400)
        _still_managed(stage.report, volley, account)
        _log_says(stage.report, server, "No configured key can read the secret", "the log says so")
        stage.report.check("tracebacks", server.errors(), fine=not server.errors())


def broken_ciphertext(stage: Stage) -> None:
    """A row holds a ciphertext that is broken, one is cut short, one is no text at all."""
    from django_totp.models import Totp
    from proof.accounts import enrolled

    with running(stage.env) as server, PatientVolley(server.port, 1) as volley:
        for broken in ("", "gAAAAA", "\N{SNOWMAN}", None):
            account = enrolled()
            value = account.row().secret_key[:-9] if broken is None else broken
            Totp.objects.filter(user=account.user).update(secret_key=value)
            _unreadable(stage.report, volley, account)
            backup = login(volley, account, backup_code=account.backup_codes[0])
            stage.report.check("a backup code", told(backup), fine=backup.status == 200)
            _still_managed(stage.report, volley, account)
        stage.report.check("tracebacks", server.errors(), fine=not server.errors())


def raising_receivers(stage: Stage) -> None:
    """Every receiver of every signal raises."""
    from proof.accounts import PASSWORD, enrolled, pending
    from proof.settings import INSTALLED_APPS

    account, newcomer, plain = enrolled(), pending(), pending()
    plain.row().delete()
    apps = [*INSTALLED_APPS, "proof.receivers.Raising"]
    with running(_with(stage, INSTALLED_APPS=apps)) as server:
        with PatientVolley(server.port, 1) as volley:
            body = {"username": plain.user.get_username(), "password": PASSWORD}
            answers = {
                "confirm": send(volley, newcomer, "totp/confirm/", input_code=newcomer.code()),
                "a wrong code": login(volley, account, otp_code=account.wrong_code()),
                "a login": login(volley, account, otp_code=account.code()),
                "a login without TOTP": volley.send("jwt/create/", body),
                "rotate": send(volley, account, "totp/rotate_backup_codes/"),
                "disable": send(volley, account, "totp/disable/"),
            }
        saw = {name: answer.status for name, answer in answers.items()}
        stage.report.check("statuses", saw, fine=[*saw.values()] == [200, 400, 200, 200, 200, 204])
        count = server.log.read_text().count("a receiver of the project fails")
        stage.report.check("failures of receivers in the log", count, fine=count >= 6)


def cache_stops(stage: Stage) -> None:
    """Redis is stopped under a running server."""
    from proof.accounts import enrolled

    try:
        with outside.redis() as (url, process):
            env = _with(stage, TOTP_THROTTLE_RATE="10/minute") | {"CACHE": "redis"}
            env["REDIS_URL"] = url
            with running(env) as server, PatientVolley(server.port, 1) as volley:
                codes = _guess(volley, enrolled(), 12)
                fine = codes == {"invalid_totp_code": 6, "too_many_attempts": 4, "throttled": 2}
                stage.report.check("12 guesses while it runs", dict(codes), fine=fine)
                process.terminate()
                process.wait()
                _without_cache(stage.report, volley, server)
    except outside.Missing as reason:
        stage.report.leave_out("Redis", str(reason))


def _without_cache(report: Report, volley: Volley, server: Server) -> None:
    from proof.accounts import PASSWORD, enrolled

    account = enrolled()
    body = {"username": account.user.get_username(), "password": PASSWORD}
    first = volley.send("jwt/create/", body)
    report.check("step one without it", told(first), fine=first.status == 200)
    second = login(volley, account, otp_code=account.code())
    report.check("step two without it", told(second), fine=second.status == 200)
    codes = _guess(volley, account, 12)
    fine = codes == {"invalid_totp_code": 6, "too_many_attempts": 6}
    report.check("12 guesses without it", dict(codes), fine=fine)
    _log_says(report, server, "The cache is down: requests are not throttled", "the log says so")


def worker_killed(stage: Stage) -> None:
    """A worker process is killed (SIGKILL) in the middle of a burst."""
    with running(stage.env, processes=2) as server, PatientVolley(server.port, WIDTH) as volley:
        _bursts(stage, volley, lambda: _kill_one(server), [0.004, 0.012, 0.03])


def database_crashes(stage: Stage) -> None:
    """The database crashes (immediate shutdown) in the middle of a burst, and comes back."""
    _stop_in_bursts(stage, "immediate")


def database_restarts(stage: Stage) -> None:
    """The database is stopped (fast shutdown) in the middle of a burst, and comes back."""
    _stop_in_bursts(stage, "fast")


def restart_between_the_steps(stage: Stage) -> None:
    """The database is restarted between the two steps of a login."""
    from django.db import connections

    from proof.accounts import PASSWORD, enrolled

    account = enrolled()
    body = {"username": account.user.get_username(), "password": PASSWORD}
    with running(stage.env) as server, PatientVolley(server.port, 4) as volley:
        tokens = [volley.send("jwt/create/", body).body["totp_challenge_token"] for _ in "12"]
        _restart(stage, "fast")
        connections.close_all()
        proof = {"totp_challenge_token": tokens[0], "otp_code": account.code()}
        answers = [volley.send("jwt/totp/verify/", proof) for _ in "12"]
        saw = [told(answer) for answer in answers]
        fine = [answer.status for answer in answers] == [200, 400]
        stage.report.check("step two after it, and the same once more", saw, fine=fine)
        proof = {"totp_challenge_token": tokens[1], "otp_code": account.code(1)}
        answer = volley.send("jwt/totp/verify/", proof)
        fine = answer.status == 400
        stage.report.check("another challenge from before that login", told(answer), fine=fine)


def lagging_replica(stage: Stage) -> None:
    """Reads are routed to a replica from before the enrollment, which never catches up."""
    from proof.accounts import PASSWORD, pending

    account = pending()
    default = _database(stage.env["DATABASE_NAME"])
    replica = _database(_snapshot(stage))
    databases = {"default": default, "replica": replica}
    env = _with(stage, DATABASES=databases, DATABASE_ROUTERS=["proof.routers.LaggingReplica"])
    body = {"username": account.user.get_username(), "password": PASSWORD}
    with running(env) as server, PatientVolley(server.port, WIDTH) as volley:
        confirmed = send(volley, account, "totp/confirm/", input_code=account.code())
        stage.report.check("confirm", told(confirmed), fine=confirmed.status == 200)
        first = volley.send("jwt/create/", body)
        asks = first.body.get("is_totp_enabled")
        stage.report.check("step one asks for a code", asks, fine=asks is True)
        token = first.body["totp_challenge_token"]
        call = Call(
            "jwt/totp/verify/", {"totp_challenge_token": token, "otp_code": account.code(1)}
        )
        statuses = [answer.status for answer in volley.fire([call] * WIDTH)]
        stage.report.check("one code, 8 times", Counter(statuses), fine=statuses.count(200) == 1)
        again = volley.fire([call])[0]
        stage.report.check("the code once more", told(again), fine=again.status == 400)
        backup = confirmed.body["backup_codes"][0]
        spent = [login(volley, account, backup_code=backup).status for _ in "12"]
        stage.report.check("a backup code, twice", spent, fine=spent == [200, 400])
        created = send(volley, account, "totp/create/").status
        stage.report.check("create while it is on", created, fine=created == 400)
        codes = _guess(volley, account, 10)
        fine = sum(codes.values()) - codes["too_many_attempts"] == 5
        stage.report.check("guesses after the wrong one above", dict(codes), fine=fine)
        token = account.challenge()
        account.user.set_password("changed")
        account.user.save()
        dead = volley.send("jwt/totp/verify/", {"totp_challenge_token": token, "backup_code": "x"})
        fine = dead.body.get("code") == "invalid_challenge"
        stage.report.check("a challenge from before a new password", told(dead), fine=fine)
        stage.report.check("tracebacks", server.errors(), fine=not server.errors())


ANYWHERE = (wrong_key, broken_ciphertext, raising_receivers, cache_stops, worker_killed)
ON_CLUSTER = (restart_between_the_steps, database_restarts, database_crashes, lagging_replica)


def _unreadable(report: Report, volley: Volley, account: Any) -> None:
    """A right code is refused like a wrong one, and none is counted."""
    answers = [login(volley, account, otp_code=account.code()) for _ in range(8)]
    fine = {answer.body.get("code") for answer in answers} == {"invalid_totp_code"}
    report.check("8 right codes", Counter(map(told, answers)), fine=fine)
    failures = account.row().failures
    report.check("counted", failures, fine=failures == 0)


def _still_managed(report: Report, volley: Volley, account: Any) -> None:
    from proof.accounts import PASSWORD

    body = {"username": account.user.get_username(), "password": PASSWORD}
    first = volley.send("jwt/create/", body).status
    off = send(volley, account, "totp/disable/").status
    on = send(volley, account, "totp/create/").status
    report.check(
        "step one, disable, a new enrollment",
        [first, off, on],
        fine=(first, off, on) == (200, 204, 201),
    )


def _stop_in_bursts(stage: Stage, mode: str) -> None:
    with running(stage.env) as server, PatientVolley(server.port, WIDTH) as volley:
        _bursts(stage, volley, lambda: _restart(stage, mode), [0.004, 0.012, 0.03])


def _restart(stage: Stage, mode: str) -> None:
    assert stage.cluster is not None
    stage.cluster.stop(mode)
    stage.cluster.start()


@dataclass
class Tally:
    """What came of the bursts of one kind."""

    statuses: "Counter[int]" = field(default_factory=Counter)
    unanswered: int = 0
    broken: list[str] = field(default_factory=list)


def _bursts(stage: Stage, volley: Volley, strike: Callable[[], None], delays: list[float]) -> None:
    """Fire bursts of each kind, strike in the middle of each, then look at what was written."""
    from django.db import connections

    source = random.Random(4226)
    for kind in KINDS:
        tally = Tally()
        for _ in range(max(stage.rounds // len(KINDS), 1)):
            account = kind.prepare()
            calls = kind.calls(account)
            timer = threading.Timer(source.choice(delays), strike)
            timer.start()
            answers = volley.fire(calls)
            timer.join()
            connections.close_all()  # this process's own, which the strike may have cut
            answers += _until_it_works(volley, calls)
            _judge(tally, kind, account, answers)
        told_of = {status or "lost": count for status, count in sorted(tally.statuses.items())}
        saw = f"{told_of}, accepted but the answer was lost: {tally.unanswered} {tally.broken}"
        stage.report.check(f"{kind.name}", saw, fine=not tally.broken)
    _works(stage.report, volley)


def _until_it_works(volley: Volley, calls: list[Call]) -> list[Answer]:
    """Send all calls again, one after the other, as users do who saw an error."""
    again = []
    for call in calls:
        deadline = time.monotonic() + SETTLE_SECONDS
        while (answer := volley.fire([call])[0]).status in (LOST, 500):
            again.append(answer)
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        again.append(answer)
    return again


@dataclass(frozen=True)
class Kind:
    """A burst, and what is left of an account after it if all went well."""

    name: str
    prepare: Callable[[], Any]
    calls: Callable[[Any], list[Call]]


def _judge(tally: Tally, kind: Kind, account: Any, answers: list[Answer]) -> None:
    tally.statuses.update(answer.status for answer in answers)
    won, row = sum(answer.status == 200 for answer in answers), account.row()
    spent = 10 - account.unused() if row.is_enabled else 0
    if row.verifications != 1 or won > 1:
        tally.broken.append(f"{won} won, {row.verifications} verifications")
    if kind.name.startswith("backup") and spent != 1:
        tally.broken.append(f"{spent} backup codes spent by one login")
    if kind.name.startswith("confirm") and not _whole(account, answers):
        tally.broken.append("half confirmed")
    tally.unanswered += not won


def _whole(account: Any, answers: list[Answer]) -> bool:
    """Return whether a confirmed enrollment has a whole set of codes, the one that was shown."""
    from proof.scenarios import stored_codes

    shown = [set(answer.body["backup_codes"]) for answer in answers if answer.status == 200]
    stored = stored_codes(account)
    return account.row().is_enabled and len(stored) == 10 and shown in ([], [stored])


def _works(report: Report, volley: Volley) -> None:
    from proof.accounts import PASSWORD, enrolled

    account = enrolled()
    body = {"username": account.user.get_username(), "password": PASSWORD}
    seen = [volley.send("jwt/create/", body).status for _ in range(WIDTH)]
    seen.append(login(volley, account, otp_code=account.code()).status)
    report.check("afterwards 8 first steps and a login", Counter(seen), fine=set(seen) == {200})


def _prepare_enrolled() -> Any:
    from proof.accounts import enrolled

    return enrolled()


def _prepare_pending() -> Any:
    from proof.accounts import pending

    return pending()


def _replay(account: Any) -> list[Call]:
    return [_verify(account, otp_code=account.code())] * WIDTH


def _backup(account: Any) -> list[Call]:
    return [_verify(account, backup_code=account.backup_codes[0])] * WIDTH


def _confirm(account: Any) -> list[Call]:
    body = {"input_code": account.code()}
    return [Call("totp/confirm/", body, account.authorization())] * WIDTH


KINDS = (
    Kind("one TOTP code, 8 times", _prepare_enrolled, _replay),
    Kind("backup code, one, 8 times", _prepare_enrolled, _backup),
    Kind("confirm, 8 times", _prepare_pending, _confirm),
)


def _kill_one(server: Server) -> None:
    parent = server.process.pid
    children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)


def _with(stage: Stage, **settings: Any) -> dict[str, str]:
    return stage.env | {"SETTINGS": json.dumps(settings)}


def _database(name: str) -> dict[str, Any]:
    from proof.settings import DATABASES

    return {**DATABASES["default"], "NAME": name}


def _snapshot(stage: Stage) -> str:
    """Copy the database as it is now, and return the name of the copy."""
    import psycopg
    from django.db import connections

    connections.close_all()
    name = stage.env["DATABASE_NAME"]
    assert stage.cluster is not None
    where = f"host=127.0.0.1 port={stage.cluster.port} user=postgres dbname=postgres"
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_replica TEMPLATE {name}")
    return f"{name}_replica"


def _guess(volley: Volley, account: Any, number: int) -> "Counter[str]":
    answers = (login(volley, account, otp_code=account.wrong_code(n)) for n in range(number))
    return Counter(answer.body.get("code") for answer in answers)


def _verify(account: Any, **proof: str) -> Call:
    return Call("jwt/totp/verify/", {"totp_challenge_token": account.challenge(), **proof})


def login(volley: Volley, account: Any, **proof: str) -> Answer:
    return volley.fire([_verify(account, **proof)])[0]


def send(volley: Volley, account: Any, path: str, **body: str) -> Answer:
    return volley.fire([Call(path, body, account.authorization())])[0]


def told(answer: Answer) -> str:
    code = answer.body.get("code", "") if isinstance(answer.body, dict) else ""
    return f"{answer.status} {code}".strip()


def _log_says(report: Report, server: Server, text: str, promise: str) -> None:
    count = server.log.read_text(errors="replace").count(text)
    report.check(promise, f"{count} times: {text}", fine=count > 0)


if __name__ == "__main__":
    sys.exit(main())
