"""Races on real servers: simultaneous requests at one account, and who wins.

One process a database: this program starts itself again for each combination of database and
``ATOMIC_REQUESTS``, and prints one table. A round is one volley of simultaneous requests at an
enrollment of its own. What must never happen makes the program fail.
"""

import argparse
import collections
import itertools
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from proof import database
from proof.client import Answer, Volley
from proof.server import Server, running

FINE = (200, 201, 202, 204, 400, 401, 403, 429)


def main() -> int:
    options = _options()
    if options.one:
        return _run_one(options)
    failed = 0
    print(f"{'database':<11}{'atomic':<8}{'race':<42}{'rounds':>7}  outcomes (a round each)")
    for name in options.database:
        for atomic in "01":
            command = [sys.executable, "-m", "proof.races", "--one", f"--rounds={options.rounds}"]
            command += [f"--only={options.only}"]
            env = {**os.environ, "ATOMIC": atomic}
            failed += subprocess.run([*command, "--database", name], env=env).returncode
    print("No promise was broken." if not failed else "PROMISES WERE BROKEN: see above.")
    return min(failed, 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="volleys per race and database")
    parser.add_argument("--database", nargs="+", choices=database.ALL, default=database.ALL)
    parser.add_argument("--only", default="", help="part of the name of a race")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_one(options: argparse.Namespace) -> int:
    name, atomic = options.database[0], os.environ["ATOMIC"]
    broken = 0
    apps = json.dumps(["rest_framework_simplejwt.token_blacklist"])
    with database.prepared(name, ATOMIC=atomic, APPS=apps) as env:
        from proof import lives, scenarios

        # One server for all races of one kind of settings: to start it takes longer than they do.
        wanted = [*scenarios.RACES, *lives.RACES]
        wanted = [race for race in wanted if options.only in race.name]
        by_settings = sorted(wanted, key=_settings)
        for settings, races in itertools.groupby(by_settings, key=_settings):
            env["SETTINGS"] = settings
            with running(env) as server, Volley(server.port, scenarios.WIDTH * 2) as volley:
                for race in races:
                    broken += _run_race(race, volley, server, options.rounds)
    return min(broken, 1)


def _settings(race: Any) -> str:
    return json.dumps({"TOTP_THROTTLE_RATE": None, **race.settings})


def _run_race(race: Any, volley: Volley, server: Server, rounds: int) -> int:
    """Print what came out of the rounds of one race, and return how many broke a promise."""
    tracebacks, started = server.errors(), time.monotonic()
    outcomes = collections.Counter(_play(race, volley) for _ in range(rounds))
    outcomes["tracebacks in the server's log"] += server.errors() - tracebacks
    seconds = time.monotonic() - started
    told = ", ".join(f"{outcome}: {count}" for outcome, count in outcomes.items() if count)
    where = f"{os.environ['DATABASE']:<11}{os.environ['ATOMIC']:<8}"
    print(f"{where}{race.name:<42}{rounds:>7}  {told} ({seconds:.0f} s)", flush=True)
    return sum(count for outcome, count in outcomes.items() if outcome not in race.fine)


def _play(race: Any, volley: Volley) -> str:
    account = race.prepare()
    calls = race.calls(account)
    with ThreadPoolExecutor(1) as beside:
        meanwhile = beside.submit(race.meanwhile)
        answers: list[Answer] = volley.fire(calls)
        meanwhile.result()
    strange = [answer for answer in answers if answer.status not in FINE]
    if strange:
        return f"STATUS {strange[0].status}"
    outcome: str = race.judge(account, answers)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
