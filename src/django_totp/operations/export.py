"""Moving out: what another package needs to go on with everybody's authenticator app."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from cryptography.fernet import InvalidToken
from django.db import router
from django.views.decorators.debug import sensitive_variables

from django_totp import events, oath, spelling
from django_totp.conf import conf
from django_totp.encryption import decrypt
from django_totp.models import Totp, fetch
from django_totp.moments import past
from django_totp.users import name_of, username_of

from .support import State, count_codes, in_state

BATCH_SIZE = 1000


@dataclass
class Export:
    """All confirmed enrollments in the database ``using``, or in that which the routers name.

    To iterate over it is an event. ``unreadable`` has the keys of enrollments whose secret no
    configured key could read, or in which there was none.
    """

    using: str | None = None
    unreadable: list[Any] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        """Yield a line of JSON for each enrollment. Raise ImproperlyConfigured."""
        events.record("exported", None, None, level=logging.WARNING)
        using = self.using or router.db_for_write(Totp)
        for batch in _batches(using):
            codes = count_codes(batch, using=using)
            for totp in batch:
                try:
                    yield _line(totp, codes[totp.pk].left)
                except InvalidToken:
                    self.unreadable.append(totp.pk)


def _batches(using: str) -> Iterator[list[Totp]]:
    rows = Totp.objects.using(using).filter(in_state(State.ENABLED))
    rows = rows.select_related("user").order_by("pk")
    batch = list(fetch(rows[:BATCH_SIZE]))
    while batch:
        yield batch
        batch = list(fetch(rows.filter(pk__gt=batch[-1].pk)[:BATCH_SIZE]))


@sensitive_variables("uri", "facts")
def _line(totp: Totp, codes_left: int) -> str:
    """Return an enrollment as JSON. Raise InvalidToken."""
    confirmed_at = past(totp.confirmed_at or totp.created_at)  # that of 1.1.x has only this
    facts = {
        "user": _plain(username_of(totp.user)),
        "pk": _plain(totp.user.pk),
        "otpauth_uri": _uri(totp),
        "confirmed_at": confirmed_at.astimezone(UTC).isoformat(),
        "backup_codes_left": codes_left,
    }
    return json.dumps(facts)


@sensitive_variables("secret")
def _uri(totp: Totp) -> str:
    secret = spelling.secret(decrypt(totp.secret_key))
    if not oath.is_secret(secret):
        raise InvalidToken
    return oath.provisioning_uri(
        secret,
        account=name_of(totp.user),
        issuer=conf.TOTP_ISSUER,
        digits=totp.digits,
        period=totp.period,
        algorithm=totp.algorithm,
    )


def _plain(value: Any) -> Any:
    """Return ``value`` if JSON has it, and else as text: a key may be a UUID."""
    return value if isinstance(value, int | str | None) else str(value)
