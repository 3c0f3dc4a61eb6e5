"""What the mails say: one table of events and sentences, for people and in easy words."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

NOT_YOU = _("If it was not you, change your password at once and tell us.")
NOT_ASKED = _("If you did not ask for this, tell us at once.")
SOMEBODY_KNOWS = _("If it was not you, somebody knows your password. Change it at once.")


@dataclass(frozen=True)
class Notice:
    """What a mail says: ``sentence`` with the facts in it, and what to do if it is a surprise.

    ``caption`` leads to the link of a mail that has one. Who causes what is not ``is_owners`` is
    unknown, whoever has logged in.
    """

    subject: Any
    sentence: Any
    advice: Any = NOT_YOU
    caption: Any = ""
    is_owners: bool = True
    is_recovery: bool = False


NOTICES = {
    "enrollment_confirmed": Notice(
        _("Two-factor authentication is on"),
        _(
            "Two-factor authentication was turned on for your account. From now on you log in "
            "with your password and a code from your authenticator app."
        ),
    ),
    "disabled": Notice(
        _("Two-factor authentication is off"),
        _(
            "Two-factor authentication was turned off for your account. Your password alone is "
            "now enough to log in."
        ),
    ),
    "reset": Notice(
        _("Two-factor authentication was reset"),
        _(
            "An administrator has reset two-factor authentication for your account. Your "
            "authenticator app and your backup codes no longer count. Set it up again."
        ),
        NOT_ASKED,
    ),
    "replaced": Notice(
        _("You have a new authenticator app"),
        _(
            "Another authenticator app was set up for your account. Codes from the one before no "
            "longer work."
        ),
    ),
    "backup_codes_rotated": Notice(
        _("You have new backup codes"),
        _("New backup codes were made for your account. The old ones no longer work."),
    ),
    "backup_code_used": Notice(
        _("A backup code was used"),
        ngettext_lazy(
            "One of your backup codes was used. %(left)d backup code is left.",
            "One of your backup codes was used. %(left)d backup codes are left.",
            "left",
        ),
    ),
    "wait_began": Notice(
        _("Too many wrong codes"),
        _(
            "Somebody who knows your password, or has a login of yours, gave too many wrong "
            "codes. Codes from your authenticator app are refused until %(until)s. A backup code "
            "works now."
        ),
        SOMEBODY_KNOWS,
        is_owners=False,
    ),
    "codes_off": Notice(
        _("Too many wrong codes"),
        _(
            "Somebody who knows your password, or has a login of yours, gave too many wrong codes. "
            "Codes from your authenticator app are refused until you use a backup code. If you "
            "have none, ask us for help."
        ),
        SOMEBODY_KNOWS,
        is_owners=False,
    ),
    "device_trusted": Notice(
        _("A device needs no codes now"),
        _(
            "A device is now trusted: %(device)s. For some time, your password alone is enough to "
            "log in from there."
        ),
    ),
    "recovery_asked": Notice(
        _("Do you want to set up a new authenticator app?"),
        _(
            "Somebody who knows your password has asked to set up a new authenticator app for "
            "your account."
        ),
        _("If it was not you, do not use the link, and change your password at once."),
        _("If it was you, go on here:"),
        is_owners=False,
        is_recovery=True,
    ),
    "recovery_started": Notice(
        _("You can soon set up a new authenticator app"),
        _(
            "From %(ready_at)s on, a new authenticator app can be set up for your account after "
            "a login with your password. Until then nothing changes."
        ),
        _("If it was not you, stop it, and change your password at once."),
        _("Stop it here:"),
        is_owners=False,
        is_recovery=True,
    ),
    "recovery_cancelled": Notice(
        _("No new authenticator app"),
        _(
            "It was stopped that a new authenticator app can be set up for your account without "
            "a code. The one that you have goes on working."
        ),
        is_recovery=True,
    ),
    "recovered": Notice(
        _("You have a new authenticator app"),
        _(
            "A new authenticator app was set up for your account without a code from the one "
            "before, which no longer works. All other logins were ended."
        ),
        is_recovery=True,
    ),
    "recovery_allowed": Notice(
        _("You can set up a new authenticator app"),
        _(
            "An administrator lets you set up a new authenticator app: log in with your "
            "password. Until then the one that you have goes on working."
        ),
        NOT_ASKED,
        _("Stop it here:"),
        is_recovery=True,
    ),
}
# Whoever has the link sends these.
LINKED = {"recovery_asked", "recovery_started", "recovery_allowed"}
