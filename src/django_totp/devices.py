"""Trusted devices: browsers and apps whose logins with the password need no code for a while.

What a device keeps is a value of five parts: whose it is, when the code was given, the key of its
row, a random name (the series) and a random secret. The table has digests of it, and nothing there
opens anything. A value is used once: one conditional UPDATE puts the next one in its place, so of
any number of requests with it one gets a login. Whoever comes with a value that was used before
has copied it, or was copied: that ends the device, and a code tells which of them is the owner.
The series is what keeps strangers from ending devices by guesses.

A row also has a digest of what the device rests on, which is what a challenge rests on: the
session auth hash, the moment from which on logins count, the enrollment. So a new password, an
enrollment, a replacement and the end of all logins end devices by themselves. A password that is
merely hashed anew is the same password: whoever hashes it tells by ``rehashed``.

A device spares a code and nothing more. So nothing that is wrong here, with a value or with the
database, is raised: a code is asked for, as from any other device.
"""

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import get_hasher, identify_hasher
from django.db import connections, router, transaction
from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.views.decorators.debug import sensitive_variables

from . import events
from .accounts import account_by
from .assurance import Assurance, new_login, totp_of
from .challenges import digest_of, state_of
from .conf import conf
from .models import TrustedDevice, fetch
from .moments import CLOCK_SKEW, EPOCH
from .retrying import retried
from .users import session_hashes

T = TypeVar("T")

LONGEST_NAME, LONGEST_VALUE = 100, 200
KEY = re.compile(r"[0-9]{1,18}")
VALUE = re.compile(r"([\w-]{8})\.([0-9]{1,12})\.([0-9]{1,18})\.([\w-]{22})\.([\w-]{32})", re.ASCII)


@dataclass(frozen=True)
class Kept:
    """The parts of a value: ``at`` is the moment of the code, ``key`` that of the row."""

    tag: str
    at: int
    key: int
    series: str = field(repr=False)
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        return f"{self.tag}.{self.at}.{self.key}.{self.series}.{self.secret}"

    @property
    def name(self) -> str:
        """Return what the table knows the series by."""
        return _digest(self.series)

    @property
    def digest(self) -> str:
        """Return what the table knows all of it by, but the key, which is the table's."""
        return _digest(f"{self.tag}.{self.at}.{self.series}.{self.secret}")


@dataclass(frozen=True)
class Trusted:
    """What a device has given for a code: ``at`` is when that was given, ``key`` names the device.

    ``value`` is what the device has to keep from now on.
    """

    value: str = field(repr=False)
    key: str
    at: int

    def login(self, user: AbstractBaseUser, *methods: str) -> Assurance:
        """Return the login of ``user`` that it completes, which began by ``methods``."""
        login = new_login(user, *methods, "otp", "mfa", at=self.at)
        return replace(login, device=self.key)


def is_on() -> bool:
    """Return whether there are trusted devices in this project."""
    longest: object = conf.TOTP_TRUSTED_DEVICE_MAX_AGE
    return isinstance(longest, int) and longest > 0  # E032 tells of what is none


@sensitive_variables("value", "kept")
def use(user: AbstractBaseUser, value: object, *, request: Any = None) -> Trusted | None:
    """Return what stands in for a code of ``user``, if ``value`` is what a device of his keeps.

    ``user`` has just given the first factor, and comes with what judges a login. The value is used
    up. One that was used before, or that is good no more, ends its device.
    """
    kept = parsed(value)
    if kept is None or kept.tag != tag_of(user) or not is_on():
        return None
    return _harmless(partial(_used, user, kept, request))


@sensitive_variables("value")
def trust(user: AbstractBaseUser, login: Assurance, name: str = "", *, request: Any = None) -> str:
    """Return the value that a device has to keep for its next logins, or an empty string.

    ``login`` is one that ``user`` has just completed by a TOTP code, and by no other proof.
    """
    if not is_on() or login.time is None:
        return ""
    shown = _plain(name)
    value = _harmless(partial(_insert, user, login.time, shown))
    if value is None:
        return ""
    events.record("device_trusted", user, request, device=shown)
    return value


def devices_of(user: AbstractBaseUser) -> list[TrustedDevice]:
    """Return the devices that ``user`` trusts, the one that was used last first: one query."""
    if not is_on():
        return []
    rows = TrustedDevice.objects.filter(user_id=user.pk, **_in_time())
    owners = rows.select_related("user__totp", "user__totp_account")
    return [*filter(_rests_on_now, fetch(owners.order_by("-last_used_at", "-pk")))]


def is_live(device: TrustedDevice) -> bool:
    """Return whether ``device`` spares its user a code."""
    now = datetime.now(UTC)
    oldest = now - timedelta(seconds=conf.TOTP_TRUSTED_DEVICE_MAX_AGE)
    is_in_time = device.expires_at > now and oldest < device.created_at <= now + CLOCK_SKEW
    return is_in_time and _rests_on_now(device)


def remove(user: AbstractBaseUser, key: str, *, request: Any = None, reason: str = "") -> bool:
    """End the device of ``user`` with that key, and return whether there was one."""
    if not KEY.fullmatch(key):
        return False
    rows = TrustedDevice.objects.filter(user_id=user.pk, pk=int(key))
    device = next(fetch(rows), None)
    if device is None or not _delete(rows):
        return False
    events.record("device_removed", user, request, device=device.name, reason=reason)
    return True


def remove_all(user: AbstractBaseUser, *, request: Any = None) -> None:
    """End all devices of ``user``."""
    if _delete(TrustedDevice.objects.filter(user_id=user.pk)):
        events.record("device_removed", user, request, reason="all")


@sensitive_variables("before", "after")
def rehashed(user: AbstractBaseUser, *, before: str, after: str) -> None:
    """Let the devices of ``user`` rest on ``after``, which is another hash of the same password."""
    if is_on():
        _harmless(lambda: _rebind(account_by("pk", user.pk) or user, before, after))


@receiver(pre_save, dispatch_uid="django_totp.devices")
def notice_upgrade(
    sender: Any, instance: Any, update_fields: frozenset[str] | None = None, **kwargs: Any
) -> None:
    """Note that ``AbstractBaseUser.check_password`` hashes a password anew: it is the same one.

    It saves nothing but the hash, of a user whom it has made forget the raw password: that
    attribute is there and empty. After ``set_password()`` the raw password is in it, and who
    writes a hash by himself leaves none. And it does so only if the hash was not up to date.
    """
    if update_fields != frozenset({"password"}) or not is_on():
        return
    if isinstance(instance, get_user_model()) and vars(instance).get("_password", "") is None:
        _harmless(partial(_upgrade, instance))


def tag_of(user: AbstractBaseUser) -> str:
    """Return what the values of ``user`` begin with."""
    return _digest(str(user._meta.pk.value_to_string(user)))[:8]


@sensitive_variables("value", "parts")
def parsed(value: object) -> Kept | None:
    """Return the parts of ``value``, or ``None`` if it is none, whatever it is."""
    if not isinstance(value, str) or len(value) > LONGEST_VALUE:
        return None
    parts = VALUE.fullmatch(value)
    if parts is None:
        return None
    tag, at, key, series, secret = parts.groups()
    return Kept(tag, int(at), int(key), series, secret)


def left_of(kept: Kept) -> int:
    """Return for how many seconds at most a value is good."""
    longest = conf.TOTP_TRUSTED_DEVICE_MAX_AGE
    return min(kept.at + longest - int(time.time()), longest)


@sensitive_variables("kept", "following")
def _used(user: AbstractBaseUser, kept: Kept, request: Any) -> Trusted | None:
    following = replace(kept, secret=secrets.token_urlsafe(24))
    rows = TrustedDevice.objects.filter(pk=kept.key, user_id=user.pk, series=kept.name)
    good = [*_fingerprints(user)]
    changed = rows.filter(digest=kept.digest, fingerprint__in=good, **_in_time()).update(
        digest=following.digest, fingerprint=good[0], last_used_at=datetime.now(UTC)
    )
    if changed:
        return Trusted(following.text, str(kept.key), kept.at)
    _refuse(user, kept, rows, request)
    return None


@sensitive_variables("kept")
def _refuse(user: AbstractBaseUser, kept: Kept, rows: Any, request: Any) -> None:
    """End the device of a value that is good no more, and tell why."""
    device = next(fetch(rows), None)
    if device is None or not _delete(rows):
        return
    is_same, is_over = device.digest == kept.digest, device.expires_at <= datetime.now(UTC)
    reason = ("expired" if is_over or left_of(kept) <= 0 else "changed") if is_same else "used"
    facts = {"device": device.name, "reason": reason}
    events.record("device_refused", user, request, level=logging.WARNING, **facts)


@sensitive_variables("kept")
def _insert(user: AbstractBaseUser, at: int, name: str) -> str:
    kept = Kept(tag_of(user), at, 0, secrets.token_urlsafe(16), secrets.token_urlsafe(24))
    begin = EPOCH + timedelta(seconds=at)
    device = TrustedDevice.objects.create(
        user_id=user.pk,
        name=name,
        series=kept.name,
        digest=kept.digest,
        fingerprint=next(_fingerprints(user)),
        created_at=begin,
        last_used_at=begin,
        expires_at=begin + timedelta(seconds=conf.TOTP_TRUSTED_DEVICE_MAX_AGE),
    )
    return replace(kept, key=device.pk).text


@retried
def _delete(rows: Any) -> bool:
    _total, by_model = rows.delete()
    return bool(by_model.get(TrustedDevice._meta.label))


@sensitive_variables("row")
def _upgrade(instance: Any) -> None:
    """Let the devices rest on the hash that is about to be stored, if that was due."""
    row: Any = account_by("pk", instance.pk)
    if row is not None and _is_old(row.password) and _is_old(instance.password) is False:
        _rebind(row, row.password, instance.password)


@sensitive_variables("before", "after")
def _rebind(row: Any, before: str, after: str) -> None:
    """Let the devices that rest on a password's hash rest on another one."""
    row.password = before
    rows = TrustedDevice.objects.filter(user_id=row.pk, fingerprint__in=[*_fingerprints(row)])
    row.password = after
    rows.update(fingerprint=next(_fingerprints(row)))


def _rests_on_now(device: TrustedDevice) -> bool:
    """Return whether all is still there that ``device`` rests on."""
    totp = totp_of(device.user)
    if totp is None or not totp.is_enabled:
        return False
    return device.fingerprint in _fingerprints(device.user)


def _fingerprints(user: Any) -> Iterator[str]:
    """Yield digests of what devices of ``user`` rest on, under the present and the older keys."""
    totp = totp_of(user)
    for session_hash in session_hashes(user):
        own = session_hash or str(getattr(user, "password", ""))
        yield digest_of(state_of(own, user, totp))


def _in_time() -> dict[str, datetime]:
    """Return the conditions of rows whose time is not over: nor to come, for a wrong clock."""
    now = datetime.now(UTC)
    oldest = now - timedelta(seconds=conf.TOTP_TRUSTED_DEVICE_MAX_AGE)
    return {"expires_at__gt": now, "created_at__gt": oldest, "created_at__lte": now + CLOCK_SKEW}


@sensitive_variables("encoded")
def _is_old(encoded: str) -> bool | None:
    """Return whether a hash is to be made anew at the next login; ``None`` if it is no such."""
    preferred: Any = get_hasher()
    try:
        hasher = identify_hasher(encoded)
    except ValueError:
        return None
    return hasher.algorithm != preferred.algorithm or bool(preferred.must_update(encoded))


def _plain(name: str) -> str:
    """Return what can be shown and stored of ``name``."""
    return "".join(filter(str.isprintable, name)).strip()[:LONGEST_NAME]


@sensitive_variables("text")
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _harmless(act: Callable[[], T]) -> T | None:
    """Return what ``act`` gives. What it raises ends neither a login nor the transaction around it.

    It is told in the log.
    """
    try:
        with _savepoint():
            return retried(act)()
    except Exception:
        events.complain(
            "Trusted devices cannot be read or written, so a code is asked for. Look at the table "
            "django_totp_trusteddevice.",
            exc_info=True,
        )
        return None


def _savepoint() -> AbstractContextManager[None]:
    """Return a savepoint where a transaction is open, which an error of a database would end."""
    database = router.db_for_write(TrustedDevice)
    is_open = connections[database].in_atomic_block
    return transaction.atomic(using=database) if is_open else nullcontext()
