"""What it costs to look at what a login is worth: at each request, at a refresh, at a step-up.

    python -m benchmarks.authentication

In one process, on SQLite. The two columns of a row take turns, request by request: simplejwt's
own and ours, or the second step of a login and a step-up, which check the same code.
"""

import gc
import os
import statistics
from collections.abc import Callable
from typing import Any

from benchmarks import environments, peers, report, worker

NAMES = ["django-totp", "Django", "djangorestframework", "djangorestframework_simplejwt", "Python"]
MILLISECONDS = 1000

Ask = Callable[[], Any]


class Project(peers.DjangoTotp):
    """Ours, and beside it what simplejwt has."""

    def urls(self) -> list[Any]:
        from django.urls import path
        from rest_framework.response import Response
        from rest_framework.views import APIView
        from rest_framework_simplejwt import authentication, views

        from django_totp.authentication import JWTAuthentication

        class Minimal(APIView):
            permission_classes = ()

            def get(self, request: Any) -> Response:
                return Response({"user": request.user.pk})

        theirs = Minimal.as_view(authentication_classes=[authentication.JWTAuthentication])
        ours = Minimal.as_view(authentication_classes=[JWTAuthentication])
        return [
            *super().urls(),
            path("theirs/", theirs),
            path("ours/", ours),
            path("theirs/refresh/", views.TokenRefreshView.as_view()),
        ]


def pairs(call: worker.Caller, plain: Any, enrolled: Any) -> dict[str, tuple[Ask, Ask]]:
    """Return for each row what simplejwt does, and what this package does."""
    from django_totp.tokens import token_pair

    alone, both = token_pair(plain, "pwd"), token_pair(enrolled, "pwd", "otp")

    def view(name: str, tokens: dict[str, str]) -> Ask:
        bearer = f"Bearer {tokens['access']}"
        return lambda: call("", f"/{name}/", method="GET", authorization=bearer)

    def refresh(path: str, tokens: dict[str, str]) -> Ask:
        return lambda: call("", path, {"refresh": tokens["refresh"]})

    return {
        "a view, no second factor": (view("theirs", alone), view("ours", alone)),
        "a view, with one": (view("theirs", both), view("ours", both)),
        "refresh, no second factor": (
            refresh("/theirs/refresh/", alone),
            refresh("/jwt/refresh/", alone),
        ),
        "refresh, with one": (refresh("/theirs/refresh/", both), refresh("/jwt/refresh/", both)),
    }


def code_pair(call: worker.Caller, user: Any, secret: str) -> tuple[Ask, Ask]:
    """Return the second step of a login and a step-up, each with a right code."""
    from django_totp.auth import generate_challenge_token
    from django_totp.models import Totp
    from django_totp.tokens import token_pair

    tokens = token_pair(user, "pwd", "otp")

    def fresh_code() -> str:
        peers.keep_away_from_the_next_step()
        Totp.objects.filter(user=user).update(last_used_step=None)
        return peers.code_of(secret)

    def verify() -> Any:
        body = {"totp_challenge_token": generate_challenge_token(user), "otp_code": fresh_code()}
        return call("", "/jwt/totp/verify/", body)

    def step_up() -> Any:
        return call("", "/jwt/step_up/", {"refresh": tokens["refresh"], "otp_code": fresh_code()})

    return verify, step_up


def measure(call: worker.Caller, pair: tuple[Ask, Ask], times: int) -> tuple[float, float]:
    """Return the medians of both of ``pair`` in ms of CPU time, and warm up before."""
    taken: tuple[list[float], list[float]] = ([], [])
    for ask in pair * 20:
        ask()
    gc.collect()
    for _ in range(times):
        for ask, column in zip(pair, taken, strict=True):
            call.samples.clear()
            ask()
            [(cpu, _wall)] = call.samples[""]
            column.append(MILLISECONDS * cpu)
    return statistics.median(taken[0]), statistics.median(taken[1])


def print_rows(head: list[str], found: dict[str, tuple[float, float]]) -> None:
    rows = [
        [name, f"{first:.2f}", f"{second:.2f}", f"{second / first:.2f}"]
        for name, (first, second) in found.items()
    ]
    report.say(report.table(["CPU time in ms", *head, "ratio"], rows))


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--times", type=int, default=1000, help="requests of each kind")
    arguments = parser.parse_args()
    environments.enter("ours")
    os.environ["DATABASE"] = "sqlite"
    project = Project()
    peers.set_up(project)
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        print_all(project, arguments.times)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)
    report.heading("Versions of the authentication")
    report.say(environments.versions("ours", NAMES))
    report.say(report.machine())
    report.write(arguments.page)


def print_all(project: Project, times: int) -> None:
    from django.contrib.auth.models import User

    call = worker.Caller()
    plain, enrolled = (User.objects.create(username=name) for name in ("plain", "enrolled"))
    secret = project.fill(enrolled)
    report.heading("Authentication and refresh, beside simplejwt's")
    found = {row: measure(call, pair, times) for row, pair in pairs(call, plain, enrolled).items()}
    print_rows(["simplejwt", "ours"], found)
    report.heading("A step-up, beside the second step of a login")
    codes = measure(call, code_pair(call, enrolled, secret), times // 2)
    print_rows(["second step", "step-up"], {"a right code": codes})


if __name__ == "__main__":
    main()
