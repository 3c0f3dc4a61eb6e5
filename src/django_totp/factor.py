"""What an authenticator app and we share, and what a code of it is worth.

A row holds one factor, the one that counts. Beside it there may be another that is to take its
place: it waits in one sealed column, says where it was begun, and its code moves it over.
"""

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import InvalidToken
from django.views.decorators.debug import sensitive_variables

from . import events, oath, signals, spelling
from .attempts import RECOVERED, Verdict, read_secret, right
from .conf import conf
from .encryption import decrypt, encrypt
from .exceptions import TotpAlreadyExists
from .models import Totp

UNCOUNTED = {"unreadable", "clock"}  # a lost key or a wrong clock must not lock accounts as well


@dataclass(frozen=True)
class Factor:
    """What an authenticator app and we share: a secret, and how codes are made of it.

    One that is to replace another says by whom that was ``begun``.
    """

    secret: str = field(repr=False)
    digits: int
    period: int
    algorithm: str
    begun: str = ""

    @classmethod
    def new(cls) -> "Factor":
        """Return one with a new secret, as the settings want it."""
        return cls(oath.generate_secret(), conf.TOTP_DIGITS, conf.TOTP_PERIOD, conf.TOTP_ALGORITHM)

    @property
    def parameters(self) -> dict[str, Any]:
        """Return how codes are made."""
        return {"digits": self.digits, "period": self.period, "algorithm": self.algorithm}

    @property
    def columns(self) -> dict[str, Any]:
        """Return what a row that is this factor holds."""
        return {"secret_key": encrypt(self.secret), **self.parameters}

    def sealed(self, begun: str) -> str:
        """Return all of it in one Fernet token, which has an age, with where it was ``begun``."""
        return encrypt(f"{self.algorithm} {self.digits} {self.period} {self.secret} {begun}")


@dataclass(frozen=True)
class TotpGuess:
    """A TOTP code that somebody has sent."""

    input_code: str = field(repr=False)
    method = "totp"
    success = "verified"
    waits = True
    writes = False

    @sensitive_variables()
    def evaluate(self, totp: Totp) -> Verdict:
        """Return what came of it: a right code uses up its step and all before (RFC 6238 5.2)."""
        step, refused = _evaluate(totp, self.input_code, at=time.time())
        return _verdict(totp, step, refused)


class Confirmation(TotpGuess):
    """The TOTP code that confirms an enrollment."""

    success = "enrollment_confirmed"
    signal = signals.totp_created
    asks_proof = False


class Succession(TotpGuess):
    """The TOTP code of a new authenticator, which is to take the place of the one there is.

    A wrong one counts like any other, and leaves the replacement as it is.
    """

    success = "replaced"
    signal = signals.totp_replaced
    in_recovery = False
    asks_proof = True

    @sensitive_variables()
    def evaluate(self, totp: Totp) -> Verdict:
        """Return what came of it."""
        factor = replacement_of(totp, in_recovery=self.in_recovery)
        if factor is None:
            raise TotpAlreadyExists  # its time is over
        columns = factor.columns
        successor = Totp(pk=totp.pk, **columns)
        step, refused = _evaluate(successor, self.input_code, at=time.time())
        return _verdict(totp, step, refused, replacement="", **columns)


class Recovery(Succession):
    """The same, for who has not got the old one any more: see ``recovery``.

    It does not wait: else somebody who knows the password could keep the owner out by guesses.
    Whoever recovers knows the secret, and has nothing to guess.
    """

    waits = False
    success = RECOVERED
    signal = signals.totp_recovery_succeeded
    in_recovery = True
    asks_proof = False


@sensitive_variables("secret")
def replacement_of(totp: Totp, *, in_recovery: bool = False) -> Factor | None:
    """Return the factor that may still take the place of ``totp``, if there is one.

    That is one that was begun in the recovery there is, or in none. ``None`` also where no
    configured key reads it.
    """
    if not totp.is_being_replaced:
        return None
    try:
        algorithm, digits, period, secret, begun = decrypt(totp.replacement).split(" ")
        factor = Factor(secret, int(digits), int(period), algorithm, begun)
    except (InvalidToken, ValueError):
        return None
    is_good = begun == recovery_of(totp) if in_recovery else begun.startswith("login:")
    return factor if is_good else None


def recovery_of(totp: Totp) -> str:
    """Return what a replacement says that was begun in the recovery there is."""
    return f"recovery:{totp.recovery_ready_at}".replace(" ", "T")


def login_of(sid: str) -> str:
    """Return what a replacement says that was begun by the login ``sid``, which may have none."""
    return f"login:{hashlib.sha256(sid.encode()).hexdigest()[:16] if sid else ''}"


def clock_was_ahead(totp: Totp, *, at: float | None = None) -> bool:
    """Return whether the last used step is one that no clock has reached yet.

    Then the server's clock was ahead when a code was accepted, and codes are refused until it
    is there again or ``end_wait`` is called. ``at`` is in seconds since the epoch.
    """
    if totp.last_used_step is None or not totp.period:
        return False
    now = oath.time_step(time.time() if at is None else at, totp.period)
    return totp.last_used_step > now + conf.TOTP_VALID_WINDOW + 1  # servers may differ by a step


def _verdict(totp: Totp, step: int | None, refused: str, **changes: Any) -> Verdict:
    """Return what came of a code: it uses up ``step`` with ``changes``, or was ``refused``."""
    if step is None:
        return Verdict(refused, counts=refused not in UNCOUNTED)
    return Verdict(changes=right(totp, last_used_step=step, **changes))


@sensitive_variables("input_code", "secret", "code", "value")
def _evaluate(totp: Totp, input_code: str, *, at: float) -> tuple[int | None, str]:
    """Return the time step that ``input_code`` uses up, or ``None`` and the reason for the log.

    ``at`` is in seconds since the epoch.
    """
    secret = read_secret(totp)
    if secret is None:
        return None, "unreadable"
    code = spelling.totp_code(input_code, totp.digits)
    if code is None:
        return None, "malformed"
    try:
        step = _matching_step(totp, secret, code, at)
    except (KeyError, ValueError, ZeroDivisionError):
        events.complain(
            "TOTP enrollment %r has a secret or a parameter that makes no codes: codes for it "
            "are refused. Reset the enrollment.",
            totp.pk,
        )
        return None, "unreadable"
    if step is None:
        return None, "wrong"
    if totp.last_used_step is None or step > totp.last_used_step:
        return step, ""
    return None, _replayed(totp, at)


@sensitive_variables("secret", "code")
def _matching_step(totp: Totp, secret: str, code: bytes, at: float) -> int | None:
    return oath.matching_step(
        secret,
        code,
        at=at,
        digits=totp.digits,
        period=totp.period,
        algorithm=totp.algorithm,
        window=conf.TOTP_VALID_WINDOW,
    )


def _replayed(totp: Totp, at: float) -> str:
    """Return why a matching code is refused: it is used, or the clock was ahead once."""
    if not clock_was_ahead(totp, at=at):
        return "replayed"
    events.complain(
        "The server's clock was ahead when TOTP enrollment %r accepted its last code: right codes "
        "are refused until that time. Check the clock, and run totp_unlock for the user.",
        totp.pk,
    )
    return "clock"
