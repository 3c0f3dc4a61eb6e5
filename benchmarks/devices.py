"""A login by a trusted device beside a login with a code, over the API and by session.

    python -m benchmarks.devices

In one process, on SQLite. The two logins of a row take turns. One with a code is all requests that
somebody sends: the password, by session the form, and the code. One by a trusted device is the
password, with what the device keeps.
"""

import gc
import os
import statistics
from collections.abc import Callable
from typing import Any

from benchmarks import environments, peers, report
from benchmarks.browsers import Ours, client, counted, timed

NAMES = ["django-totp", "Django", "djangorestframework", "djangorestframework_simplejwt", "Python"]
LOGIN, VERIFY = Ours.login, Ours.verify
COOKIE = "totp_device"
WARM_UP = 20

Send = Callable[[Callable[[], Any], int], Any]  # sends a request, and holds its status to that
Login = Callable[[Send], None]


class Project(Ours):
    """Ours, with its pages and its API, and with trusted devices."""

    apps = ["rest_framework", "django_totp"]
    settings = {
        **Ours.settings,
        "TOTP_THROTTLE_RATE": None,
        "TOTP_ADDRESS_THROTTLE_RATE": None,
        "TOTP_TRUSTED_DEVICE_MAX_AGE": 30 * 86400,
    }

    def urls(self) -> list[Any]:
        from django.urls import include, path

        return [
            *super().urls(),
            path("", include("django_totp.urls")),
            path("", include("django_totp.urls.jwt")),
        ]


class Logins:
    """The four ways in which a user logs in, each with a right code or a value that is good."""

    def __init__(self, project: Project) -> None:
        from django.contrib.auth.models import User

        self.project = project
        self.user = User.objects.create_user("ada", password=peers.PASSWORD)
        self.secret, _ = project.enroll_directly(self.user)
        self.password = project.password(self.user)
        self.value = self.cookie = ""
        self.trust_here()

    @property
    def rows(self) -> dict[str, tuple[Login, Login]]:
        return {
            "JWT": (self.code_by_api, self.device_by_api),
            "session": (self.code_by_session, self.device_by_session),
        }

    def code_by_api(self, send: Send, **more: Any) -> Any:
        api, code = client(), self.fresh_code()
        challenge = send(lambda: api.post("/jwt/create/", self.password), 200).json()
        body = {"totp_challenge_token": challenge["totp_challenge_token"], "otp_code": code}
        return send(lambda: api.post("/jwt/totp/verify/", body | more), 200)

    def device_by_api(self, send: Send) -> None:
        api, body = client(), {**self.password, "trusted_device": self.value}
        answer = send(lambda: api.post("/jwt/create/", body), 200).json()
        self.value = answer["trusted_device"]

    def code_by_session(self, send: Send, **more: Any) -> Any:
        browser, code = client(), self.fresh_code()
        send(lambda: browser.post(LOGIN, self.password), 302)
        send(lambda: browser.get(VERIFY), 200)
        send(lambda: browser.post(VERIFY, {"otp_code": code, **more}), 302)
        return browser

    def device_by_session(self, send: Send) -> None:
        browser = client()
        browser.cookies[COOKIE] = self.cookie
        response = send(lambda: browser.post(LOGIN, self.password), 302)
        if VERIFY in response["Location"]:
            raise RuntimeError("A code was asked for.")
        self.cookie = browser.cookies[COOKIE].value

    def trust_here(self) -> None:
        """Let there be a trusted device of either kind."""
        meter = Meter(timed)
        answer = self.code_by_api(meter.send, trust_device=True)
        self.value = answer.json()["trusted_device"]
        browser = self.code_by_session(meter.send, trust_device="on")
        self.cookie = browser.cookies[COOKIE].value

    def fresh_code(self) -> str:
        """Return the code of now, which is unused."""
        from django.core.cache import cache

        from django_totp.models import Totp

        peers.keep_away_from_the_next_step()
        cache.clear()
        Totp.objects.update(last_used_step=None, failures=0, waiting_until=None)
        return peers.code_of(self.secret)


class Meter:
    """Sends requests, and adds up what they take."""

    def __init__(self, take: Any) -> None:
        self.take, self.taken = take, []

    def send(self, do: Callable[[], Any], status: int) -> Any:
        response, measured = self.take(do)
        if response.status_code != status:
            raise RuntimeError(f"{response.status_code} {response.content[:500]!r}")
        self.taken.append(measured)
        return response


def cost(login: Login) -> float:
    """Return the CPU time of a whole login in ms."""
    meter = Meter(timed)
    login(meter.send)
    return sum(meter.taken)


def count(login: Login) -> str:
    """Return the requests, the SQL statements and the transaction commands of a whole login."""
    meter = Meter(counted)
    login(meter.send)
    sql, of_transactions = map(sum, zip(*meter.taken, strict=True))
    return f"{len(meter.taken)}: {sql} + {of_transactions}"


def measure(pair: tuple[Login, Login], times: int) -> tuple[float, float, float]:
    """Return the medians of both of ``pair``, and of their ratios; warm up before."""
    for login in pair * WARM_UP:
        cost(login)
    gc.collect()
    taken = [(cost(pair[0]), cost(pair[1])) for _ in range(times)]
    code, device = (statistics.median(column) for column in zip(*taken, strict=True))
    return code, device, statistics.median(device / code for code, device in taken)


def print_all(times: int) -> None:
    logins = Logins(Project())
    report.heading("A login by a trusted device, beside one with a code")
    head = ["a whole login", "code, CPU ms", "device, CPU ms", "ratio"]
    rows = []
    for name, pair in logins.rows.items():
        code, device, ratio = measure(pair, times)
        rows.append([name, f"{code:.2f}", f"{device:.2f}", f"{ratio:.2f}"])
    report.say(report.table(head, rows))
    report.heading("Their statements")
    head = ["requests: SQL + transaction commands", "code", "device"]
    rows = [[name, *map(count, pair)] for name, pair in logins.rows.items()]
    report.say(report.table(head, rows))


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--times", type=int, default=500, help="logins of each kind")
    arguments = parser.parse_args()
    environments.enter("ours")
    os.environ["DATABASE"] = "sqlite"
    peers.set_up(Project())
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        print_all(arguments.times)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)
    report.heading("Versions of the logins by a trusted device")
    report.say(environments.versions("ours", NAMES))
    report.say(report.machine())
    report.write(arguments.page)


if __name__ == "__main__":
    main()
