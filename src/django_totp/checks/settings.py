"""Checks of our settings, one by one: types, ranges, and what is weak about a value."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from django_totp.conf import conf
from django_totp.encryption import MAKE_A_KEY
from django_totp.oath import ALGORITHMS, MAX_ISSUER

DAY = 24 * 60 * 60
YEAR = 365 * DAY  # seconds; datetime overflows where there is no bound
OF_1_1 = (
    "TOTP_RECOVERY_CONFIRM_URL",
    "TOTP_RECOVERY_EMAIL_TEMPLATE",
    "TOTP_DISABLED_EMAIL_TEMPLATE",
)
UP_TO_A_YEAR = f"to {YEAR} (a year)"


@dataclass(frozen=True)
class Rule:
    """What a value of ``setting`` is held to, and the id of the message about another one."""

    id: str
    setting: str
    allows: Callable[[Any], bool]
    wanted: str
    hint: str = "Correct it, or remove it to have the default."


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip(" :"))  # a URI gets no colon of an issuer


def _is_issuer(value: object) -> bool:
    if not isinstance(value, str) or not _is_text(value):
        return False
    return len(quote(value, safe="", errors="replace")) <= MAX_ISSUER


def _between(low: int, high: float = math.inf) -> Callable[[Any], bool]:
    return lambda value: _is_integer(value) and low <= value <= high


def _at_most(high: int) -> Callable[[Any], bool]:
    """Return what refuses larger integers, and leaves other types to the errors."""
    return lambda value: not _is_integer(value) or value <= high


def _is_longest_wait(value: object) -> bool:
    first = conf.TOTP_LOCKOUT_SECONDS
    return _between(first if _is_integer(first) else 0, YEAR)(value)


def _is_cap(value: object) -> bool:
    limit = conf.TOTP_FAILURE_LIMIT
    return value is None or _between(limit + 1 if _is_integer(limit) else 1)(value)


def _is_algorithm(value: object) -> bool:
    return isinstance(value, str) and value in ALGORITHMS


def _is_reasons(value: object) -> bool:
    """Return whether ``value`` gives a reason for each dotted name, as a person would read it."""
    return isinstance(value, Mapping) and all(
        isinstance(text, str) and text.strip() for pair in value.items() for text in pair
    )


def _is_recovery_url(value: object) -> bool:
    if not isinstance(value, str):
        return False
    is_address = "://" in value and not value.lower().startswith(("javascript:", "data:"))
    return not value or (is_address and "{action}" in value and "{token}" in value)


def is_words(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)


MISTAKES = (
    Rule(
        "E003",
        "TOTP_ISSUER",
        _is_issuer,
        f"a string that is not empty and has at most {MAX_ISSUER} characters, percent-encoded",
    ),
    Rule("E004", "TOTP_MAX_BACKUP_CODES", _between(0), "an integer of at least 0"),
    Rule("E005", "TOTP_TOKEN_SALT", _is_text, "a string that is not empty"),
    Rule("E006", "TOTP_TOKEN_MAX_AGE", _between(1, YEAR), f"an integer from 1 {UP_TO_A_YEAR}"),
    Rule("E007", "TOTP_DIGITS", _between(6, 8), "an integer from 6 to 8"),
    Rule("E008", "TOTP_PERIOD", _between(15, 120), "an integer from 15 to 120"),
    Rule("E009", "TOTP_ALGORITHM", _is_algorithm, f"one of {', '.join(map(repr, ALGORITHMS))}"),
    Rule("E010", "TOTP_VALID_WINDOW", _between(0), "an integer of at least 0"),
    Rule("E011", "TOTP_SETUP_MAX_AGE", _between(1, YEAR), f"an integer from 1 {UP_TO_A_YEAR}"),
    Rule("E012", "TOTP_FAILURE_LIMIT", _between(0), "an integer of at least 0"),
    Rule("E013", "TOTP_LOCKOUT_SECONDS", _between(0, YEAR), f"an integer from 0 {UP_TO_A_YEAR}"),
    Rule(
        "E014",
        "TOTP_LOCKOUT_MAX_SECONDS",
        _is_longest_wait,
        f"an integer from TOTP_LOCKOUT_SECONDS {UP_TO_A_YEAR}",
    ),
    Rule("E015", "TOTP_FAILURE_CAP", _is_cap, "None or an integer above TOTP_FAILURE_LIMIT"),
    Rule("E016", "TOTP_REAUTHENTICATE", lambda value: isinstance(value, bool), "True or False"),
    Rule(
        "E017",
        "TOTP_REAUTHENTICATE_MAX_AGE",
        _between(0, YEAR),
        f"an integer from 0 {UP_TO_A_YEAR}",
    ),
    Rule("E019", "TOTP_AUDIT_ALLOWED", _is_reasons, "a mapping of views to reasons, none empty"),
    Rule(
        "E023",
        "TOTP_REQUIRED_FOR",
        is_words,
        "a list of strings",
        "Put a single word into brackets, too.",
    ),
    Rule("E024", "TOTP_GRACE_PERIOD", _between(0, YEAR), f"an integer from 0 {UP_TO_A_YEAR}"),
    Rule(
        "E032",
        "TOTP_TRUSTED_DEVICE_MAX_AGE",
        _between(0, YEAR),
        f"an integer from 0 {UP_TO_A_YEAR}",
    ),
    Rule(
        "E033",
        "TOTP_RECOVERY_DELAY",
        lambda value: value is None or _between(0, YEAR)(value),
        f"None or an integer from 0 {UP_TO_A_YEAR}",
    ),
    Rule(
        "E034",
        "TOTP_RECOVERY_URL",
        _is_recovery_url,
        "an address with {action} and {token} in it, or an empty string",
    ),
    Rule("E035", "TOTP_SEND_NOTICES", lambda value: isinstance(value, bool), "True or False"),
    Rule("E036", "TOTP_NOTICE_URL", lambda value: isinstance(value, str), "a string"),
)

WEAKNESSES = (
    Rule(
        "W002",
        "TOTP_TOKEN_SALT",
        lambda value: value != "django-totp-token-salt",
        "a value of your own",
        "Set it to a string that nothing else signs with, such as one with your site's name.",
    ),
    Rule(
        "W003",
        "TOTP_TOKEN_MAX_AGE",
        _at_most(600),
        "at most 600",
        "A challenge token stands for the password. The default of 120 is time for a code.",
    ),
    Rule(
        "W004",
        "TOTP_VALID_WINDOW",
        _at_most(1),
        "0 or 1",
        "Each further step gives a guess two more codes to hit (RFC 6238 section 5.2).",
    ),
    Rule(
        "W005",
        "TOTP_FAILURE_CAP",
        lambda value: value is not None and _at_most(100)(value),
        "at most 100",
        "NIST SP 800-63B section 3.2.2 allows no more than 100 wrong codes in a row.",
    ),
    Rule(
        "W006",
        "TOTP_LOCKOUT_SECONDS",
        lambda value: value != 0,
        "at least 1",
        "Without a wait, codes are guessed as fast as the server answers. The default is 30.",
    ),
    Rule(
        "W019",
        "TOTP_RECOVERY_DELAY",
        lambda value: not _is_integer(value) or value >= DAY,
        f"at least {DAY}",
        "Until then the owner can stop somebody else who knows the password and reads the mail.",
    ),
    Rule(
        "W012",
        "TOTP_ISSUER",
        lambda value: value != "MyApp",
        "a name of your own",
        "Set it to the name of your site. Authenticator apps keep what they were shown first.",
    ),
)


@register(Tags.security)
def check_encryption_key(**kwargs: Any) -> list[CheckMessage]:
    key = conf.TOTP_ENCRYPTION_KEY
    if _is_key(key):
        return []
    wrong = "is not a Fernet key" if key else "is not set"
    return [Error(f"TOTP_ENCRYPTION_KEY {wrong}.", hint=MAKE_A_KEY, id="django_totp.E001")]


@register(Tags.security)
def check_encryption_key_fallbacks(**kwargs: Any) -> list[CheckMessage]:
    setting, id_ = "TOTP_ENCRYPTION_KEY_FALLBACKS", "django_totp.E002"
    keys = conf.TOTP_ENCRYPTION_KEY_FALLBACKS
    if not isinstance(keys, list | tuple):
        hint = "Put a single key into brackets, too."
        return [Error(f"{setting} must be a list of keys.", hint=hint, id=id_)]
    hint = "Put the older key there as it was, or remove it if nothing is encrypted under it."
    wrong = [number for number, key in enumerate(keys) if not _is_key(key)]
    return [
        Error(f"{setting}[{number}] is not a Fernet key.", hint=hint, id=id_) for number in wrong
    ]


@register(Tags.security)
def check_values(**kwargs: Any) -> list[CheckMessage]:
    return [
        Error(f"{rule.setting} must be {rule.wanted}, not {value!r}.", hint=rule.hint, id=id_)
        for rule, id_, value in _broken(MISTAKES)
    ]


@register(Tags.security)
def check_old_settings(**kwargs: Any) -> list[CheckMessage]:
    hint = "Remove it. What has taken its place is told under TOTP_RECOVERY_DELAY."
    return [
        Warning(f"{name} means nothing any more.", hint=hint, id="django_totp.W020")
        for name in OF_1_1
        if hasattr(settings, name)
    ]


@register(Tags.security, deploy=True)
def check_weak_values(**kwargs: Any) -> list[CheckMessage]:
    return [
        Warning(f"{rule.setting} should be {rule.wanted}, not {value!r}.", hint=rule.hint, id=id_)
        for rule, id_, value in _broken(WEAKNESSES)
    ]


def _is_key(value: Any) -> bool:
    try:
        Fernet(value)
    except (ValueError, TypeError):
        return False
    return True


def _broken(rules: Iterable[Rule]) -> Iterator[tuple[Rule, str, Any]]:
    for rule in rules:
        value = getattr(conf, rule.setting)
        if not rule.allows(value):
            yield rule, f"django_totp.{rule.id}", value
