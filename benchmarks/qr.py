"""The QR code that a user scans: time and bytes, of this package and of django-totp 1.1.3.

python -m benchmarks.qr
"""

import argparse
import gzip
import json
import statistics
import subprocess
import time
from collections import defaultdict
from typing import Any

from benchmarks import environments, report

PEERS = ["ours", "released"]
URIS = {
    "short": "otpauth://totp/MyApp:ada?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=MyApp",
    "typical": "otpauth://totp/Example:ada.lovelace%40example.com"
    "?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example",
    "long": "otpauth://totp/Example%20Corporation:a.rather.long.address%40mail.example.com"
    "?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example%20Corporation",
}
NAMES = ["segno", "qrcode"]


def draw(peer: str, times: int) -> dict[str, Any]:
    """Return the CPU times in seconds and the bytes of each code, plain and with gzip."""
    if peer == "ours":
        from django_totp.qr import svg
    else:
        from django_totp.qrsvg import render_qr_code_svg as svg
    drawn = {}
    for name, uri in URIS.items():
        svg(uri)
        content = svg(uri).encode()
        packed = gzip.compress(content, mtime=0)
        drawn[name] = ([_seconds(svg, uri) for _ in range(times)], len(content), len(packed))
    return drawn


def _seconds(svg: Any, uri: str) -> float:
    start = time.process_time()
    svg(uri)
    return time.process_time() - start


def measure(rounds: int, times: int) -> dict[str, dict[str, Any]]:
    """Return for each peer and URI all times, and the bytes; the peers take turns."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for _ in range(rounds):
        for peer in PEERS:
            command = [environments.python_of(peer), "-m", "benchmarks.qr", f"--draw={peer}"]
            command.append(f"--times={times}")
            drawn = subprocess.check_output(command, cwd=environments.ROOT)
            for name, (seconds, size, packed) in json.loads(drawn).items():
                taken = found[peer].get(name, ([],))[0]
                found[peer][name] = (taken + seconds, size, packed)
    return found


def print_codes(found: dict[str, dict[str, Any]]) -> None:
    rows = []
    for name, uri in URIS.items():
        ours, theirs = (found[peer][name] for peer in PEERS)
        times = [1000 * statistics.median(taken[0]) for taken in (ours, theirs)]
        rows += [
            [f"{name} ({len(uri)} characters), CPU ms", *_compared(*times, ".2f")],
            [f"{name}, bytes", *_compared(ours[1], theirs[1], ",")],
            [f"{name}, bytes with gzip", *_compared(ours[2], theirs[2], ",")],
        ]
    report.say(report.table(["URI", *PEERS, "ratio"], rows))


def _compared(ours: float, theirs: float, form: str) -> list[str]:
    return [f"{ours:{form}}", f"{theirs:{form}}", f"{ours / theirs:.2f}"]


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--times", type=int, default=20, help="that a code is drawn in each round")
    parser.add_argument("--draw", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.draw:
        print(json.dumps(draw(arguments.draw, arguments.times)))
        return
    report.heading("The QR code of an enrollment")
    print_codes(measure(arguments.rounds, arguments.times))
    report.heading("Versions that draw")
    for peer in PEERS:
        report.item(f"{peer}: {environments.versions(peer, ['django-totp', *NAMES, 'Python'])}")
    report.say(report.machine())
    report.write(arguments.page)


if __name__ == "__main__":
    main()
