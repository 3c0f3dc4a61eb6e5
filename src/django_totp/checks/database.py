"""The check of what is stored: ``manage.py check --database default`` and ``migrate`` run it."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from cryptography.fernet import InvalidToken
from django.core.checks import CheckMessage, Info, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, models, router

from django_totp.encryption import decrypt
from django_totp.models import BackupCode, Totp
from django_totp.operations.support import State, in_state

ENCRYPTED = ((Totp, "secret_key"), (Totp, "replacement"), (BackupCode, "code"))
SAMPLE = 25  # of the oldest rows, and as many of the newest
HINT = (
    "Put the key that fits into TOTP_ENCRYPTION_KEY_FALLBACKS. If it is lost, reset these "
    "enrollments: until then their codes are refused."
)


HINT_ADOPTED = (
    "They are on, as they were there, and nothing needs to be done: each is taken over when its "
    "user next logs in. They come from processes or dumps of django-totp 1.1."
)


@register(Tags.database)
def check_adoption(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Info(
            f"{count} enrollments in the database {alias!r} were made by django-totp 1.1 and have "
            "not been used since.",
            hint=HINT_ADOPTED,
            id="django_totp.W091",
        )
        for alias in databases or ()
        if (count := _unadopted(alias))
    ]


@register(Tags.database)
def check_stored_rows(
    *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    return [
        Warning(
            f"No configured key can read {len(pks)} {model._meta.verbose_name_plural} of those "
            f"looked at in the database {alias!r}, by primary key: {', '.join(map(str, pks))}.",
            hint=HINT,
            id="django_totp.W090",
        )
        for alias in databases or ()
        for model, field in ENCRYPTED
        if (pks := sorted(_unreadable(alias, model, field)))
    ]


def _unreadable(alias: str, model: type[models.Model], field: str) -> Iterator[Any]:
    """Yield the primary keys of unreadable rows among the oldest and newest ones."""
    is_new = field == "replacement"  # by a migration that may not have run yet
    if not _has_table(alias, model) or (is_new and not _has_column(alias, field)):
        return
    rows = model._default_manager.using(alias).values_list("pk", field)
    rows = rows.exclude(replacement="") if is_new else rows
    sample = dict(chain(rows.order_by("pk")[:SAMPLE], rows.order_by("-pk")[:SAMPLE]))
    for pk, token in sample.items():
        if not _is_readable(token):
            yield pk


def _has_table(alias: str, model: type[models.Model]) -> bool:
    """Return whether the table is in the database: not so before the first ``migrate``."""
    return (
        router.allow_migrate_model(alias, model)
        and model._meta.db_table in connections[alias].introspection.table_names()
    )


def _unadopted(alias: str) -> int:
    """Return how many enrollments are on that nothing has confirmed."""
    if not _has_table(alias, Totp) or not _has_column(alias, "confirmed_at"):
        return 0
    return Totp.objects.using(alias).filter(in_state(State.ENABLED), confirmed_at=None).count()


def _has_column(alias: str, name: str) -> bool:
    """Return whether enrollments have the column: not so before an upgrade has migrated."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, Totp._meta.db_table)
    return name in {column.name for column in columns}


def _is_readable(token: str) -> bool:
    try:
        decrypt(token)
    except InvalidToken:
        return False
    except ImproperlyConfigured:
        return True  # nothing can be said: E001 or E002 speak of the keys
    return True
