"""Encryption at rest (Fernet), and the keyed digest by which a backup code is found."""

import base64
import functools
import hmac
import os
import sys
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.exceptions import ImproperlyConfigured

from .conf import conf

DIGEST_BYTES = 10  # as many bits as a backup code has
DIGEST_CONTEXT = b"django_totp.backup_code"
MAKE_A_KEY = (
    "Make one with: python -c "
    '"from django_totp.encryption import generate_fernet_key; print(generate_fernet_key())"'
)
FERNET_HEAD, FERNET_VERSION = 12, 0x80  # characters with the version and the timestamp


def generate_fernet_key() -> str:
    """Return a new key for ``TOTP_ENCRYPTION_KEY``: 32 random bytes in URL-safe base64."""
    return Fernet.generate_key().decode()


def resolve_fernet_key(default: str | bytes | None = None) -> bytes:
    """Return the key that ``TOTP_ENCRYPTION_KEY`` holds, or else ``default``, as bytes.

    It may be called inside ``settings.py`` while that is being imported. Raise
    ImproperlyConfigured where there is no key or it is malformed.
    """
    key = _configured_key() or default
    if not key:
        raise ImproperlyConfigured(f"TOTP_ENCRYPTION_KEY is not set. {MAKE_A_KEY}")
    return _checked_key(key, "TOTP_ENCRYPTION_KEY")


def resolve_fernet_keys() -> tuple[bytes, ...]:
    """Return all configured keys, the one that encrypts first. Raise ImproperlyConfigured."""
    fallbacks = conf.TOTP_ENCRYPTION_KEY_FALLBACKS
    return (
        resolve_fernet_key(),
        *(_checked_key(key, "TOTP_ENCRYPTION_KEY_FALLBACKS") for key in fallbacks),
    )


def encrypt(value: str) -> str:
    """Return ``value`` as a Fernet token under the first key. Raise ImproperlyConfigured."""
    return _multi_fernet(resolve_fernet_keys()).encrypt(value.encode()).decode()


def decrypt(value: str) -> str:
    """Return what the Fernet token ``value`` holds, under any configured key.

    Raise ``cryptography.fernet.InvalidToken`` where none of them fits or the content is no text,
    and ImproperlyConfigured where no valid key is configured.
    """
    plain = _multi_fernet(resolve_fernet_keys()).decrypt(value.encode())
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise InvalidToken from None  # made with our key, but not by encrypt()


def made_at(token: str) -> int:
    """Return when a Fernet token was made, in seconds since the epoch, and 0 of what is none.

    To encrypt it again under another key makes it no younger. No key is needed to know it, and
    nothing is verified: ``decrypt`` does that.
    """
    try:
        version, *timestamp = base64.urlsafe_b64decode(token[:FERNET_HEAD])
    except ValueError:
        return 0
    return int.from_bytes(bytes(timestamp), "big") if version == FERNET_VERSION else 0


def keyed_digest(value: str) -> str:
    """Return the look-up digest of ``value`` under the first key: 80 bits, as base32 text."""
    return _digest(resolve_fernet_key(), value)


def keyed_digests(value: str) -> list[str]:
    """Return the digests of ``value`` under each configured key."""
    return [_digest(key, value) for key in resolve_fernet_keys()]


def _configured_key() -> str | bytes | None:
    """Return the setting without making Django freeze a settings module that is half read."""
    if not settings.configured:
        name = os.environ.get(ENVIRONMENT_VARIABLE)
        if not name:
            return None
        if name in sys.modules:
            return getattr(sys.modules[name], "TOTP_ENCRYPTION_KEY", None)
    return conf.TOTP_ENCRYPTION_KEY


def _checked_key(key: object, setting: str) -> bytes:
    try:
        return _key_bytes(key)
    except (ValueError, TypeError) as error:
        raise ImproperlyConfigured(
            f"{setting} holds something that is not a Fernet key. {MAKE_A_KEY}"
        ) from error


@functools.lru_cache(maxsize=16)
def _key_bytes(key: Any) -> bytes:
    """Return ``key`` as bytes. Raise ValueError or TypeError if Fernet does not take it."""
    Fernet(key)
    return key.encode() if isinstance(key, str) else bytes(key)


@functools.lru_cache(maxsize=8)
def _multi_fernet(keys: tuple[bytes, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


@functools.lru_cache(maxsize=8)
def _digest_key(key: bytes) -> bytes:
    return hmac.digest(base64.urlsafe_b64decode(key), DIGEST_CONTEXT, "sha256")


def _digest(key: bytes, value: str) -> str:
    digest = hmac.digest(_digest_key(key), value.encode(), "sha256")
    return base64.b32encode(digest[:DIGEST_BYTES]).decode().lower()
