"""What is known of a user beside the enrollment: must there be one, and which logins count."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.translation import gettext_lazy as _

from django_totp import events, policy
from django_totp.conf import conf
from django_totp.exceptions import PolicyUnavailable, TotpError
from django_totp.models import Account
from django_totp.moments import as_configured
from django_totp.retrying import retried


class NotExempt(TotpError):
    """There is no exemption that could be ended."""

    code = "not_exempt"
    message = _("This user is not exempt.")


@dataclass(frozen=True)
class AccountStatus:
    """The account of one user as support may see it. ``is_required`` is ``None`` if none can tell.

    ``required_since`` is ``None`` until the next login of a user who must have a second factor.
    """

    is_required: bool | None
    required_since: datetime | None
    required_from: datetime | None
    exempt_until: date | None
    exempt_reason: str
    logins_count_from: datetime | None


def account_status_of(user: AbstractBaseUser, *, using: str | None = None) -> AccountStatus:
    """Return how the account of ``user`` stands. Nothing is stored."""
    account = Account.objects.db_manager(using).of(user)
    since = account.required_since
    grace = timedelta(seconds=conf.TOTP_GRACE_PERIOD)
    return AccountStatus(
        is_required=_is_named(user, account._state.db),
        required_since=since and as_configured(since),
        required_from=since and as_configured(since + grace),
        exempt_until=account.exempt_until,
        exempt_reason=account.exempt_reason,
        logins_count_from=account.valid_from and as_configured(account.valid_from),
    )


def exempt(user: AbstractBaseUser, until: date, *, reason: str, using: str | None = None) -> None:
    """Let ``user`` do without a second factor up to and on the day ``until``.

    An exemption that there is becomes this one. ``reason`` is stored and goes to the log;
    ``using`` names the database, if not the routers do.
    """
    _write(user, until, reason, using)
    events.record("exempted", user, None, reason=reason, until=until.isoformat())


def end_exemption(user: AbstractBaseUser, *, reason: str = "", using: str | None = None) -> None:
    """End the exemption of ``user``. Raise NotExempt if there is none today."""
    _end(user, using)
    events.record("exemption_ended", user, None, reason=reason)


@retried
def _write(user: AbstractBaseUser, until: date, reason: str, using: str | None) -> None:
    Account.objects.db_manager(using).of(user).exempt(until, reason)


@retried
def _end(user: AbstractBaseUser, using: str | None) -> None:
    account = Account.objects.db_manager(using).of(user)
    if not policy.is_exempt(account):
        raise NotExempt
    account.exempt(None)


def _is_named(user: AbstractBaseUser, database: str | None) -> bool | None:
    found = user.__class__._base_manager.using(database).filter(pk=user.pk)
    try:
        return any(map(policy.is_named, policy.with_groups(found)))
    except PolicyUnavailable:
        return None
