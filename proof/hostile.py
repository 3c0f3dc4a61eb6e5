"""Hostile input to a real server: what a client may send, and what no honest one does.

First Schemathesis makes requests from the project's own OpenAPI description and holds the answers
to it. Then come raw requests from a seeded generator: bodies, content types and headers that no
description has. No answer may be a 5xx, none may open anything, none may take long, each error
must say ``detail`` and ``code``, and the server's memory must stay bounded.
"""

import argparse
import http.client
import importlib.util
import json
import pathlib
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from proof import database
from proof.report import Report, heading, machine
from proof.server import Server, running

TIMEOUT_SECONDS = 20
CLIENTS = 4
MEGABYTE = 1024 * 1024
MOST_GROWTH = 64 * MEGABYTE  # for each process; a leak of every body would be much more

FIELDS = {
    "jwt/create/": ("username", "password"),
    "jwt/totp/verify/": ("totp_challenge_token", "otp_code", "backup_code"),
    "jwt/totp/create/": ("totp_challenge_token",),
    "jwt/totp/confirm/": ("totp_challenge_token", "input_code"),
    "jwt/step_up/": ("refresh", "otp_code", "backup_code"),
    "jwt/refresh/": ("refresh",),
    "jwt/verify/": ("token",),
    "totp/create/": ("password",),
    "totp/confirm/": ("input_code", "password"),
    "totp/disable/": ("otp_code", "backup_code", "password"),
    "totp/rotate_backup_codes/": ("otp_code", "backup_code", "password"),
}
# JSON, written by hand: much of it no serializer would write.
VALUES = (
    "null", "true", "[]", "{}", '""', '" "', "0", "-1", "1e400", "NaN", "Infinity", "-0",
    "9" * 5000, '"' + "9" * 20_000 + '"', '"\\u0000"', '"12\\u00003456"', '"\\ud800"',
    '"\\udfff\\ud800"', '"\\uff11\\uff12\\uff13\\uff14\\uff15\\uff16"',
    '"\\u0661\\u0662\\u0663\\u0664\\u0665\\u0666"', '"\\u202e123456"', '"123456\\n"', '"123456"',
    '"000 000"', '["123456"]', '{"$gt": ""}', '"\' OR 1=1 --"', '"%00"', '"a.b.c"', '"::"',
    '":::::"', '"eyJhbGciOiJub25lIn0.e30."', '".eJxTYGBg"', '"' + "." * 4000 + '"', '"\u00e9"',
    '"' + "A" * 4096 + '"', "[" * 50 + "]" * 50, '{"a":' * 50 + "1" + "}" * 50,
)  # fmt: skip
BODIES = (
    b"", b" ", b",", b"{", b"}", b"[", b"]", b"{,}", b"[,]", b'{"a":1,}', b'"text"', b"1", b"null",
    b"true", b"[]", b"[[]]", b"{}", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf{}", b"\xff" * 100,
    b"[" * 30_000, b'{"a":' * 10_000, b"9" * 60_000, b"-", b"{" + b'"a":1,' * 9000 + b'"a":1}',
    b"x" * (MEGABYTE + 1), b'{"otp_code":"' + b"1" * MEGABYTE + b'"}', b"a=1&" * 2000, b"&" * 3000,
    b"--b\r\n\r\n--b--", b"--b\r\nContent-Disposition: form-data\r\n\r\n\r\n--b--\r\n",
)  # fmt: skip
TYPES = (
    "application/json", "application/json", "application/json; charset=utf-16",
    "application/json; charset=idna", "application/json; charset=nonsense",
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-7",
    "application/x-www-form-urlencoded; charset=punycode", "multipart/form-data; boundary=b",
    "multipart/form-data", "multipart/form-data; boundary=" + "b" * 300,
    "multipart/form-data; boundary=b; charset=hex", "multipart/mixed; boundary=b",
    "text/plain", "application/xml", "", "/", ";;;", "application/json;" * 50, "\xe9/\xe9",
)  # fmt: skip
HEADERS = (
    *[{}] * 16, {"Authorization": "Bearer"}, {"Authorization": "Bearer x y"},
    {"Authorization": "Bearer \xe9"}, {"Authorization": "Basic %%%"}, {"Authorization": " "},
    {"Authorization": "Bearer " + "A" * 6000}, {"Accept": "text/html"}, {"Accept": "\xff"},
    {"Accept": "application/json; version=" + "9" * 99}, {"Accept-Language": "x" * 4000},
    {"Cookie": "sessionid=\xff; csrftoken="}, {"X-Forwarded-For": "'; --, \xe9"},
    {"X-HTTP-Method-Override": "DELETE"}, {"Content-Encoding": "gzip"}, {"Expect": "nothing"},
    {"Transfer-Encoding": "chunked"}, {"X-Requested-With": "\x01"},
)  # fmt: skip
ANY_CLAIMS = (True, False, [], {}, [[]], "", "x" * 999, -1, 1e300, 10**40, "\u0000", [None])
ODD_CLAIMS: dict[str, tuple[Any, ...]] = {  # None: it is left out
    "amr": (None, "otp", ["pwd"], [["otp", "mfa"]], {"mfa": True}, ["mfa", 1]),
    "auth_time": (None, "1", 1.5, 2**40, float(2**31), [1]),
    "acr": (None, "aal1", "AAL2", 2, ["aal2"]),
    "sid": (None, 7, ["x"], "x" * 65, "\u00e4"),
}
METHODS = ("POST",) * 32 + ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "FOO")


@dataclass(frozen=True)
class Raw:
    """A request as it goes over the wire."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"

    def __str__(self) -> str:
        return f"{self.method} {self.path[:80]} {self.headers} {self.body[:120]!r}"


def main() -> int:
    options = _options()
    report = Report()
    print(machine())
    with database.prepared("sqlite-wal") as env:
        with running(env) as server:
            heading("Schemathesis, on the project's own description:")
            _schemathesis(report, server, options)
        # Guesses without a wait, so that every one of them is evaluated.
        limits = {"TOTP_FAILURE_LIMIT": 10**6, "TOTP_FAILURE_CAP": None}
        env["SETTINGS"] = json.dumps({"TOTP_REAUTHENTICATE": True, **limits})
        with running(env) as server:
            heading(f"{options.requests} raw requests, seed {options.seed}:")
            _fuzz(report, server, options)
            heading(f"{options.requests} signed tokens with odd claims:")
            _fuzz_claims(report, server, options)
    return report.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=60, help="of Schemathesis, per operation")
    parser.add_argument("--requests", type=int, default=3000, help="raw ones")
    parser.add_argument("--seed", type=int, default=6238)
    return parser.parse_args()


def _schemathesis(report: Report, server: Server, options: argparse.Namespace) -> None:
    """Run Schemathesis signed in, and once more as a stranger.

    ``positive_data_acceptance`` wants a 2xx for whatever fits the description. A code that fits
    it and is wrong gets a 400, by contract.
    """
    from proof.accounts import enrolled

    if importlib.util.find_spec("schemathesis") is None:
        report.leave_out("Schemathesis", "it is not installed (dependency group proof)")
        return
    who = {
        "a stranger": [],
        "signed in": [f"-HAuthorization:Bearer {_token(enrolled(), 'access')}"],
    }
    for name, headers in who.items():
        command = [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"http://127.0.0.1:{server.port}/schema/", "--no-color", "--no-shrink"),
            *("--exclude-checks", "positive_data_acceptance", *headers),
            *("--seed", str(options.seed), "--max-examples", str(options.examples)),
            *("--phases", "examples,coverage,fuzzing", "--generation-database", "none"),
            *("--request-timeout", str(TIMEOUT_SECONDS), "--continue-on-failure"),
        ]
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        told = [line.strip() for line in done.stdout.splitlines() if "generated" in line]
        report.check(f"Schemathesis, {name}", " ".join(told[-1:]), fine=done.returncode == 0)
        if done.returncode:
            print(shlex.join(command), done.stdout, done.stderr, sep="\n")
    report.check("tracebacks", server.errors(), fine=server.errors() == 0)


def _fuzz(report: Report, server: Server, options: argparse.Namespace) -> None:
    from proof.accounts import enrolled, pending

    victim, newcomer = enrolled(), pending()
    source = random.Random(options.seed)  # a seed repeats a run
    requests = list(_requests(source, victim, newcomer, options.requests))
    _volley(server, requests[:200])  # so that all is imported and every thread has run
    before = _memory(server)
    answers = _volley(server, requests)
    after = _memory(server)
    told = ", ".join(f"{status}: {count}" for status, count in sorted(_statuses(answers).items()))
    report.check("statuses", told, fine=True)
    answers, beyond = _without_djangos_own(server, answers)
    print(f"       of them 5xx that Django gives at any URL, before a view is asked: {beyond}")
    for promise, is_broken in FAULTS.items():
        guilty = [request for request, answer in answers if is_broken(request, answer)]
        report.check(promise, len(guilty), fine=not guilty)
        for request in guilty[:5]:
            print(f"         {request}")
    slowest = max(answer.seconds for _, answer in answers)
    report.check("slowest answer", f"{slowest:.2f} s", fine=slowest < TIMEOUT_SECONDS)
    tracebacks = _tracebacks_of_ours(server)
    report.check("tracebacks that pass through the package", tracebacks, fine=not tracebacks)
    grown = max(after[pid] - size for pid, size in before.items() if pid in after)
    sizes = ", ".join(f"{before[p] >> 20} -> {after.get(p, 0) >> 20} MB" for p in before)
    whole = before.keys() == after.keys()
    report.check("memory of the processes", sizes, fine=whole and grown < MOST_GROWTH)
    failures = victim.row().failures
    report.check("wrong codes that were evaluated", failures, fine=failures > 0)
    status = _send(server, _login(victim)).status
    report.check("the victim's own login afterwards", status, fine=status == 200)


def _without_djangos_own(
    server: Server, answers: "list[tuple[Raw, Seen]]"
) -> "tuple[list[tuple[Raw, Seen]], int]":
    """Leave out what is a 5xx also where nothing of this package is, and say how many.

    Django decodes the query string with the codec that the client's ``Content-Type`` names, while
    it makes the request object: ``charset=hex`` or ``charset=punycode`` fail there.
    """
    ours = [
        (sent, got) for sent, got in answers if not _failed(sent, got) or _is_ours(server, sent)
    ]
    return ours, len(answers) - len(ours)


def _is_ours(server: Server, request: Raw) -> bool:
    _, mark, query = request.path.partition("?")
    return _send(server, replace(request, path=f"nowhere/{mark}{query}")).status < 500


def _tracebacks_of_ours(server: Server) -> int:
    log = server.log.read_text(errors="replace")
    return sum("django_totp/" in part for part in log.split("Traceback (most recent call last)"))


@dataclass(frozen=True)
class Seen:
    status: int
    seconds: float
    type: str
    cache_control: str
    body: bytes


def _fuzz_claims(report: Report, server: Server, options: argparse.Namespace) -> None:
    """Send tokens that are signed by the server, as those of another issuer may be."""
    from proof.accounts import enrolled

    victim, source = enrolled(), random.Random(options.seed)
    sent = [_odd_token(source, victim) for _ in range(options.requests)]
    answers = [answer for _request, answer in _volley(server, [_with(one) for one in sent])]
    opened = [one for one, answer in zip(sent, answers, strict=True) if _is_opened(answer)]
    statuses = ", ".join(f"{code}: {n}" for code, n in Counter(a.status for a in answers).items())
    report.check("statuses", statuses, fine=all(0 < a.status < 500 for a in answers))
    report.check("second factors changed, or stated by odd claims", len(opened), fine=not opened)
    report.check("tracebacks", _tracebacks_of_ours(server), fine=not _tracebacks_of_ours(server))
    good = _token(victim, "access")
    status = _send(server, _with(good)).status
    report.check("and with claims in order", status, fine=status == 200)


def _token(account: Any, kind: str) -> Any:
    """Return a token of a login with a second factor."""
    from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

    from django_totp.assurance import new_login
    from django_totp.tokens import restate

    token = {"access": AccessToken, "refresh": RefreshToken}[kind].for_user(account.user)
    restate(token, new_login(account.user, "pwd", "otp"))
    return token


def _odd_token(source: random.Random, account: Any) -> Any:
    token = _token(account, source.choice(("access", "refresh")))
    for name in source.sample(list(ODD_CLAIMS), source.randint(1, 4)):
        odd = source.choice((*ODD_CLAIMS[name], *ANY_CLAIMS))
        token.payload.pop(name) if odd is None else token.payload.update({name: odd})
    return token


def _with(token: Any) -> Raw:
    """Return a change of the second factor with an access token, or a refresh with another."""
    headers = {"Content-Type": "application/json"}
    if token["token_type"] == "refresh":
        return Raw("jwt/refresh/", json.dumps({"refresh": str(token)}).encode(), headers)
    headers["Authorization"] = f"Bearer {token}"
    return Raw("totp/rotate_backup_codes/", b"{}", headers)


def _is_opened(answer: Seen) -> bool:
    """Return whether codes were rotated, or a token states a second factor that is none."""
    from rest_framework_simplejwt.tokens import UntypedToken

    from django_totp.assurance import of_claims

    if answer.status != 200:
        return False
    access = json.loads(answer.body).get("access")
    return access is None or of_claims(UntypedToken(access).payload).has_second_factor


def _never_answered(request: Raw, answer: Seen) -> bool:
    return answer.status == 0


def _failed(request: Raw, answer: Seen) -> bool:
    return answer.status >= 500


def _opened(request: Raw, answer: Seen) -> bool:
    """A description of the endpoint (OPTIONS), and nothing else, is there for the asking."""
    return 200 <= answer.status < 300 and request.method != "OPTIONS"


def _unexplained(request: Raw, answer: Seen) -> bool:
    """gunicorn answers by itself, in HTML, what is no HTTP; the rest is ours to explain."""
    if answer.status < 400 or answer.type != "application/json" or request.method == "HEAD":
        return False
    body = json.loads(answer.body)
    return not (isinstance(body, dict) and {"detail", "code"} <= body.keys())


def _cacheable(request: Raw, answer: Seen) -> bool:
    return answer.type == "application/json" and answer.cache_control != "no-store"


FAULTS: dict[str, Callable[[Raw, Seen], bool]] = {
    "no answer, or after the timeout": _never_answered,
    "5xx": _failed,
    "2xx": _opened,
    "errors without detail or code": _unexplained,
    "answers without no-store": _cacheable,
}


def _requests(source: random.Random, victim: Any, newcomer: Any, number: int) -> Iterator[Raw]:
    challenge = victim.challenge()
    signed_in = [victim.authorization(), newcomer.authorization()]
    for _ in range(number):
        path, fields = source.choice(list(FIELDS.items()))
        kind = source.choice((_json, _json, _duplicates, _form, _multipart, _query, _anything))
        path, body, content_type = kind(source, path, fields, challenge)
        headers = {"Content-Type": content_type, **source.choice(HEADERS)}
        if path.startswith("totp/") and source.random() < 0.9:
            headers |= signed_in[path.startswith("totp/confirm")]
        method = source.choice(METHODS)
        yield Raw(path, _chunked(headers, body), headers, method)


def _json(
    source: random.Random, path: str, fields: tuple[str, ...], challenge: str
) -> tuple[str, bytes, str]:
    some = {fields[0], *source.sample(fields, source.randint(1, len(fields)))}
    members = [f'"{name}": {_value(source, name, challenge)}' for name in sorted(some)]
    kind = source.choice((*TYPES[:1] * 5, *TYPES[:5]))
    return path, _bytes("{" + ", ".join(members) + "}"), kind


def _duplicates(
    source: random.Random, path: str, fields: tuple[str, ...], challenge: str
) -> tuple[str, bytes, str]:
    names = [source.choice(fields) for _ in range(6)]
    members = [f'"{name}": {_value(source, name, challenge)}' for name in names]
    return path, _bytes("{" + ",".join(members) + "}"), "application/json"


def _form(
    source: random.Random, path: str, fields: tuple[str, ...], challenge: str
) -> tuple[str, bytes, str]:
    pairs = [(source.choice(fields), _text(source, challenge)) for _ in range(4)]
    return path, urlencode(pairs, errors="surrogatepass").encode(), source.choice(TYPES[5:8])


def _multipart(
    source: random.Random, path: str, fields: tuple[str, ...], challenge: str
) -> tuple[str, bytes, str]:
    parts = b"".join(_part(source, source.choice(fields), challenge) for _ in range(3))
    return path, parts + b"--b--\r\n", source.choice(TYPES[8:13])


def _part(source: random.Random, name: str, challenge: str) -> bytes:
    extra = source.choice(
        ("", '; filename="f"', "; filename*=utf-8''%00",
         "\r\nContent-Type: text/plain; charset=hex", "\r\nContent-Transfer-Encoding: base64",
         "\r\nContent-Type: application/json")
    )  # fmt: skip
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + _bytes(_text(source, challenge)) + b"\r\n"


def _query(
    source: random.Random, path: str, fields: tuple[str, ...], challenge: str
) -> tuple[str, bytes, str]:
    """Put into the query string what belongs into the body: it must not be read there."""
    values = dict.fromkeys(fields, "123456") | {"format": source.choice(("json", "html", "é"))}
    return f"{path}?{urlencode(values)}", b"", source.choice(TYPES)


def _anything(
    source: random.Random, path: str, fields: tuple[str, ...], challenge: str
) -> tuple[str, bytes, str]:
    noise = source.randbytes(source.randrange(2000))
    return path, source.choice((*BODIES, noise)), source.choice(TYPES)


def _value(source: random.Random, name: str, challenge: str) -> str:
    """Return JSON. Where a challenge belongs it is mostly a good one, so that codes are read."""
    if name == "totp_challenge_token" and source.random() < 0.7:
        return json.dumps(challenge)
    return source.choice(VALUES)


def _text(source: random.Random, challenge: str) -> str:
    try:
        value = json.loads(source.choice((*VALUES, json.dumps(challenge))))
    except ValueError:  # a number of 5000 digits
        value = "9" * 5000
    return value if isinstance(value, str) else str(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogatepass")


def _chunked(headers: dict[str, str], body: bytes) -> bytes:
    if "Transfer-Encoding" not in headers:
        return body
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"


def _login(account: Any) -> Raw:
    """Come with a backup code: of the codes for now one may have been guessed."""
    proof = {"backup_code": account.backup_codes[0]}
    body = json.dumps({"totp_challenge_token": account.challenge(), **proof}).encode()
    return Raw("jwt/totp/verify/", body, {"Content-Type": "application/json"})


def _volley(server: Server, requests: list[Raw]) -> list[tuple[Raw, Seen]]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        seen = pool.map(lambda request: _send(server, request), requests)
        return list(zip(requests, seen, strict=True))


def _send(server: Server, request: Raw) -> Seen:
    """Send ``request``; a status of 0 says that no answer came."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)
    try:
        _put(connection, request)
        response = connection.getresponse()
        body, headers = response.read(), response.headers
        kind, kept = headers.get_content_type(), headers.get("Cache-Control", "")
        return Seen(response.status, time.monotonic() - started, kind, kept, body)
    except (OSError, http.client.HTTPException):
        return Seen(0, time.monotonic() - started, "", "", b"")
    finally:
        connection.close()


def _put(connection: http.client.HTTPConnection, request: Raw) -> None:
    connection.putrequest(request.method, f"/api/{request.path}")
    for name, value in request.headers.items():
        connection.putheader(name, value.encode("latin-1"))
    if "Transfer-Encoding" not in request.headers:
        connection.putheader("Content-Length", str(len(request.body)))
    connection.endheaders(request.body)


def _statuses(answers: list[tuple[Raw, Seen]]) -> "Counter[int]":
    return Counter(answer.status for _, answer in answers)


def _memory(server: Server) -> dict[int, int]:
    """Return the resident bytes of each of the server's processes."""
    parent = server.process.pid
    children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return {int(pid): _resident(int(pid)) for pid in children}


def _resident(pid: int) -> int:
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    size = next(line for line in lines if line.startswith("VmRSS:"))
    return int(size.split()[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())
