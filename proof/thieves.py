"""What thieves and guessers can do with a new phone, a trusted device or a recovery, and what not.

Somebody has the password, the mailbox, the cookie of a device, or two of them; somebody guesses
at each door; and afterwards all that was secret is searched for in mails, tables and log. One
process a database. What must never happen makes the program fail.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
from typing import Any

from proof import database
from proof.attacks import Attacks
from proof.report import Report
from proof.server import running
from proof.sessions import MODULES, PROJECT

DAY = 86400
LIFE: dict[str, Any] = {
    **PROJECT,
    "ROOT_URLCONF": "proof.life_urls",
    "TOTP_FAILURE_LIMIT": 5,
    "TOTP_TRUSTED_DEVICE_MAX_AGE": 30 * DAY,
    "TOTP_RECOVERY_DELAY": DAY,
    "TOTP_SEND_NOTICES": True,
    "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
    "LOGGING": {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "stderr": {"class": "logging.StreamHandler"},
            "trail": {"class": "django_totp.trail.DatabaseHandler"},
        },
        "loggers": {"django_totp": {"handlers": ["trail", "stderr"], "level": "INFO"}},
        "root": {"handlers": ["stderr"], "level": "ERROR"},
    },
}


def main() -> int:
    options = _options()
    if options.one:
        return _run_one(options)
    report = Report()
    for name in options.database:
        command = [sys.executable, "-m", "proof.thieves", "--one", "--database", name]
        command += [f"--rounds={options.rounds}", f"--only={options.only}"]
        report.broken += [name] * bool(subprocess.run(command).returncode)
    return report.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each attack and database")
    parser.add_argument("--only", default="", help="part of the name of an attack")
    parser.add_argument("--database", nargs="+", choices=database.ALL, default=database.ALL)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_one(options: argparse.Namespace) -> int:
    [name] = options.database
    apps = json.dumps([MODULES[one] for one in ("admin", "messages", "sessions")])
    with tempfile.TemporaryDirectory() as mails:
        settings = json.dumps({**LIFE, "EMAIL_FILE_PATH": mails})
        with (
            database.prepared(name, APPS=apps, SETTINGS=settings) as env,
            running(env, processes=2) as server,
        ):
            logging.disable(logging.WARNING)  # here; the server has a log of its own
            attacks = Attacks(server, options.rounds, name)
            _try(attacks, options.only)
    print(f"{name}: {attacks.tried} attacks", flush=True)
    return int(bool(attacks.report.broken))


def _try(attacks: Attacks, only: str) -> None:
    from proof import leaks, thefts

    for kind in (*thefts.KINDS, leaks.leaks):
        for promise, attack, wanted in kind(attacks):
            if only in promise:
                attacks.check(promise, attack, wanted)


if __name__ == "__main__":
    sys.exit(main())
