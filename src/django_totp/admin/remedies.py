"""What support can do for users in the admin."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import CHANGE, DELETION
from django.utils.translation import gettext_lazy, ngettext_lazy

from django_totp import devices
from django_totp.auth import end_sessions, reset_totp
from django_totp.exceptions import TotpError
from django_totp.operations.support import act_upon
from django_totp.recovery import allow_recovery, cancel_recovery_of
from django_totp.totp import end_wait


@dataclass(frozen=True)
class Remedy:
    """What an action does for each of the selected users, and what it says.

    ``opens`` says that an account is easier to get into afterwards: then not everybody may do it
    for everybody. ``apply`` gets the row of the list, and the user and what is known as keywords.
    """

    action: str
    apply: Callable[..., None]
    opens: bool
    flag: int
    title: Any
    explanation: Any
    button: Any
    entry: str
    done: Any


def _on_enrollment(service: Callable[..., None]) -> Callable[..., None]:
    """Return what calls ``service`` if the enrollment is still the one in the list."""
    return lambda totp, **facts: act_upon(totp, service, **facts)


def _end_sessions(row: Any, *, user: Any, **facts: Any) -> None:
    end_sessions(user, using=row._state.db, **facts)


def _remove_device(row: Any, *, user: Any, **facts: Any) -> None:
    if not devices.remove(user, str(row.pk), **facts):
        raise TotpError  # somebody has removed it meanwhile


def _stop_recovery(row: Any, *, user: Any, request: Any, **facts: Any) -> None:
    cancel_recovery_of(user, request=request)


RESET = Remedy(
    action="reset_two_factor",
    apply=_on_enrollment(reset_totp),
    opens=True,
    flag=DELETION,
    title=gettext_lazy("Reset two-factor authentication"),
    explanation=gettext_lazy(
        "The authenticator apps and backup codes of these users stop working, and all their "
        "logins end. They sign in with their password alone until they enroll again: those who "
        "must have two-factor authentication at their next login."
    ),
    button=gettext_lazy("Yes, reset two-factor authentication"),
    entry="Reset two-factor authentication.",
    done=ngettext_lazy(
        "Two-factor authentication of %(count)d user was reset.",
        "Two-factor authentication of %(count)d users was reset.",
        "count",
    ),
)
UNLOCK = Remedy(
    action="end_the_wait",
    apply=_on_enrollment(end_wait),
    opens=True,
    flag=CHANGE,
    title=gettext_lazy("End the wait"),
    explanation=gettext_lazy(
        "The wrong codes of these users will be forgotten: TOTP codes are accepted again at once. "
        "Make sure that it was not somebody else who guessed."
    ),
    button=gettext_lazy("Yes, end the wait"),
    entry="Ended the wait after wrong TOTP codes.",
    done=ngettext_lazy(
        "The wait of %(count)d user was ended.",
        "The wait of %(count)d users was ended.",
        "count",
    ),
)
ALLOW_RECOVERY = Remedy(
    action="allow_recovery",
    apply=_on_enrollment(allow_recovery),
    opens=True,
    flag=CHANGE,
    title=gettext_lazy("Allow recovery"),
    explanation=gettext_lazy(
        "At their next login, these users set up a new authenticator app with their password "
        "alone, within seven days. Until then the old one counts. They are told by mail. Make "
        "sure who it is that asks."
    ),
    button=gettext_lazy("Yes, allow recovery"),
    entry="Allowed recovery.",
    done=ngettext_lazy(
        "%(count)d user may set up a new authenticator app.",
        "%(count)d users may set up a new authenticator app.",
        "count",
    ),
)
STOP_RECOVERY = Remedy(
    action="stop_recovery",
    apply=_stop_recovery,
    opens=False,
    flag=CHANGE,
    title=gettext_lazy("Stop recovery"),
    explanation=gettext_lazy(
        "Whatever there is of a recovery of these users ends, whether they have asked for it "
        "themselves or an administrator has allowed it. Their authenticator apps go on working."
    ),
    button=gettext_lazy("Yes, stop recovery"),
    entry="Stopped recovery.",
    done=ngettext_lazy(
        "The recovery of %(count)d user was stopped.",
        "The recovery of %(count)d users was stopped.",
        "count",
    ),
)
END_SESSIONS = Remedy(
    action="end_sessions",
    apply=_end_sessions,
    opens=False,
    flag=CHANGE,
    title=gettext_lazy("End all logins"),
    explanation=gettext_lazy(
        "Whoever is signed in as one of these users must sign in again, password and all. Their "
        "second factor stays as it is."
    ),
    button=gettext_lazy("Yes, end all logins"),
    entry="Ended all logins.",
    done=ngettext_lazy(
        "All logins of %(count)d user were ended.",
        "All logins of %(count)d users were ended.",
        "count",
    ),
)
REMOVE_DEVICES = Remedy(
    action="remove_devices",
    apply=_remove_device,
    opens=False,
    flag=DELETION,
    title=gettext_lazy("Remove trusted devices"),
    explanation=gettext_lazy(
        "These devices ask for a code again at their next login. Who is logged in there stays so: "
        "to change that as well, end all logins."
    ),
    button=gettext_lazy("Yes, remove these devices"),
    entry="Removed a trusted device.",
    done=ngettext_lazy(
        "%(count)d trusted device was removed.",
        "%(count)d trusted devices were removed.",
        "count",
    ),
)
