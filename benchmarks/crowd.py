"""A project with many users: what ``benchmarks.scale`` drives through a pipe, one for each size."""

import gc
import io
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import peers, reencryption
from benchmarks.worker import Worker, main

BATCH = 10  # logins between which nothing is prepared
EXPLAINED = ("SELECT", "UPDATE", "DELETE")
LIST = "/admin/django_totp/totp/"


class Crowd(Worker):
    """All users but one have a second factor; the one sees the admin."""

    def populate(self, users: int) -> float:
        """Fill the database, and return how many seconds it took."""
        from django.contrib.auth.models import User
        from django.db import connection
        from django.test import Client

        start = time.perf_counter()
        self.size = users
        reencryption.fill(users, self.password)
        admin = {"is_staff": True, "is_superuser": True, "password": self.password}
        self.admin, self.browser = User(pk=users + 1, username="admin", **admin), Client()
        self.admin.save(force_insert=True)
        self.browser.force_login(self.admin)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        return time.perf_counter() - start

    def log_in(self, logins: int) -> dict[str, list[tuple[float, float]]]:
        """Return what the two steps of so many logins of anybody took."""
        self.caller.samples.clear()
        for _ in range(logins // BATCH):
            pks = self._anybody()
            gc.collect()
            for pk in pks:
                self._log_in(pk)
        return dict(self.caller.samples)

    def page(self, times: int) -> dict[str, list[tuple[float, float]]]:
        """Return what the list of enrollments in the admin took, so many times."""
        return {"admin list page": [self._timed(self._list) for _ in range(times)]}

    def report(self) -> dict[str, list[tuple[float, float]]]:
        return {"totp_report": [self._timed(self._report)]}

    def plans(self) -> dict[str, list[tuple[str, list[str]]]]:
        """Return for each program its statements, and how the database would scan each table."""
        one, other, *_ = self._anybody()
        programs: dict[str, Callable[[], Any]] = {
            "login": lambda: self._log_in(one),
            "login with a backup code": lambda: self._use_backup_code(other),
            "admin list page": self._list,
            "totp_report": self._report,
        }
        found = {}
        for name, program in programs.items():
            with explained() as statements:
                program()
            found[name] = statements
        return found

    def _anybody(self) -> list[int]:
        """Return some users, who have used no code yet: without this ten would not be enough."""
        from django_totp.models import Totp

        pks = random.sample(range(1, self.size + 1), BATCH)
        Totp.objects.filter(pk__in=pks).update(last_used_step=None)
        return pks

    def _log_in(self, pk: int) -> None:
        challenge = self._first_step(pk)
        code = peers.code_of(reencryption.secret_of(pk))
        self.peer.verify(self.caller, "right code", challenge, otp_code=code)

    def _use_backup_code(self, pk: int) -> None:
        code = reencryption.code_of(pk)
        self.peer.verify(self.caller, "backup code", self._first_step(pk), backup_code=code)

    def _first_step(self, pk: int) -> str:
        credentials = {"username": f"user{pk}", "password": peers.PASSWORD}
        answer = self.caller("login step 1", "/jwt/create/", credentials)
        return answer.json["totp_challenge_token"]

    def _list(self) -> None:
        response = self.browser.get(LIST)
        assert response.status_code == 200, response

    def _report(self) -> None:
        from django.core.management import call_command

        call_command("totp_report", stdout=io.StringIO())

    def _timed(self, function: Callable[[], None]) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        function()
        return time.process_time() - cpu, time.perf_counter() - wall


@contextmanager
def explained() -> Iterator[list[tuple[str, list[str]]]]:
    """Give a list of the statements in the block, each with the scans that it is planned to do."""
    from django.db import connection

    statements: list[tuple[str, list[str]]] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(EXPLAINED):
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
                [plan] = cursor.fetchone()[0]
            statements.append((sql, sorted(scans(plan["Plan"]))))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield statements


def scans(plan: dict[str, Any], limit: str = "") -> Iterator[str]:
    """Return each scan of a table in ``plan``, such as ``Index Scan on auth_user``."""
    if plan["Node Type"] == "Limit":
        limit = f", ends after {plan['Plan Rows']:,}"
    elif plan["Node Type"] in ("Aggregate", "Sort"):
        limit = ""  # these read all
    if "Relation Name" in plan and "Scan" in plan["Node Type"]:
        yield f"{plan['Node Type']} on {plan['Relation Name']}{limit}"
    for below in plan.get("Plans", ()):
        yield from scans(below, limit)


if __name__ == "__main__":
    main(Crowd)
