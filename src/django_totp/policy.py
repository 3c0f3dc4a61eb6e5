"""Who must have a second factor, and from when on.

``TOTP_REQUIRED_FOR`` names them by words; the row of the account knows who is exempt for how
long, and since when somebody is known to owe a factor. The start is stored and not the end, so
a change of ``TOTP_GRACE_PERIOD`` holds for everybody at once.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError, router, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.module_loading import import_string

from . import events
from .conf import conf
from .exceptions import PolicyUnavailable, TotpRequired
from .models import Account, Totp, relate, related
from .moments import today
from .retrying import retried

EVERYONE, GROUP = "everyone", "group:"
COLUMNS = {"staff": "is_staff", "superusers": "is_superuser"}  # words, and what they ask
IN_GROUP = "is_in_group_that_must_have_totp"  # of a user whom ``with_groups`` has read


def required_from(user: AbstractBaseUser) -> datetime | None:
    """Return from when on ``user`` must have a second factor, or ``None`` if that is never.

    The first time that this is asked is stored: the grace period begins then. Raise
    PolicyUnavailable.
    """
    if not is_named(user):
        return None
    account = related(Account, user)
    if is_exempt(account):
        return None
    since = account and account.required_since
    return (since or _note(user, account)) + timedelta(seconds=conf.TOTP_GRACE_PERIOD)


def owes(user: AbstractBaseUser) -> bool:
    """Return whether ``user`` must have a second factor now."""
    begin = required_from(user)
    return begin is not None and begin <= datetime.now(UTC)


def refuse_to_disable(user: AbstractBaseUser) -> None:
    """Raise TotpRequired if ``user`` must have a second factor, now or after the grace period."""
    if must_have(user):
        raise TotpRequired


def must_have(user: AbstractBaseUser) -> bool:
    """Return whether ``user`` must have a second factor, now or after the grace period."""
    return is_named(user) and not is_exempt(related(Account, user))


def is_named(user: AbstractBaseUser) -> bool:
    """Return whether ``TOTP_REQUIRED_FOR`` names ``user``, exempt or not.

    Raise PolicyUnavailable if it cannot be told: a predicate has raised, or there is none.
    """
    try:
        return any(names(word, user) for word in conf.TOTP_REQUIRED_FOR)
    except Exception as error:
        events.complain(
            "TOTP_REQUIRED_FOR could not be decided for user %r: logins without a second factor "
            "are refused. Mend the predicate, or the word.",
            str(user.pk),
            exc_info=True,
        )
        raise PolicyUnavailable from error


def names(word: str, user: AbstractBaseUser) -> bool:
    """Return whether a word of ``TOTP_REQUIRED_FOR`` names ``user``. A predicate may raise."""
    if is_group(word):
        return _is_in_group(word.removeprefix(GROUP), user)
    if word in COLUMNS:
        return bool(getattr(user, COLUMNS[word], False))
    return word == EVERYONE or bool(import_string(word)(user))


def is_exempt(account: Account | None) -> bool:
    """Return whether the user of ``account`` is exempt today, in the time zone of the project."""
    return (
        account is not None and account.exempt_until is not None and account.exempt_until >= today()
    )


def with_groups(users: QuerySet[Any]) -> QuerySet[Any]:
    """Return ``users``, told on the way whether they are in a group that the policy names."""
    names = groups()
    if not names or not has_groups():
        return users
    same = users.model._base_manager.filter(pk=OuterRef("pk"), groups__name__in=names)
    told: QuerySet[Any] = users.annotate(**{IN_GROUP: Exists(same)})
    return told


def groups() -> list[str]:
    """Return the names of the groups that the policy names."""
    return [word.removeprefix(GROUP) for word in conf.TOTP_REQUIRED_FOR if is_group(word)]


def has_groups() -> bool:
    """Return whether the user model has ``groups`` that have names."""
    try:
        groups: Any = get_user_model()._meta.get_field("groups")
        return bool(groups.is_relation and groups.related_model._meta.get_field("name"))
    except FieldDoesNotExist:
        return False


def is_group(word: object) -> bool:
    """Return whether a word of ``TOTP_REQUIRED_FOR`` names a group."""
    return isinstance(word, str) and word.startswith(GROUP)


def _is_in_group(name: str, user: Any) -> bool:
    told: bool | None = vars(user).get(IN_GROUP)
    if told is not None:
        return told
    groups = user.groups.using(router.db_for_write(Totp))
    return bool(groups.filter(name=name).exists())


@retried
def _note(user: AbstractBaseUser, account: Account | None) -> datetime:
    """Store that ``user`` was found to owe a factor. The first who stores it is right."""
    now = datetime.now(UTC)
    rows = Account.objects.filter(user_id=user.pk, required_since=None)
    if not rows.update(required_since=now):
        with suppress(IntegrityError), transaction.atomic(using=rows.db):
            Account.objects.create(user_id=user.pk, required_since=now)
    account = account or Account(user_id=user.pk)
    account.required_since = now
    relate(Account, user, account)
    return now
