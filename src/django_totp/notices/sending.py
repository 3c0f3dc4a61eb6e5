"""When a mail is sent, and what happens if it cannot be."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connections, router, transaction
from django.views.decorators.debug import sensitive_variables

from django_totp import events
from django_totp.conf import conf
from django_totp.models import Totp

from .letters import Occasion, complaining, compose, occasion
from .sentences import LINKED, NOTICES


def hear(sender: str, user: Any, request: Any, facts: Mapping[str, str], **told: Any) -> None:
    """Mail the owner what has happened, if it is worth a mail: a receiver of ``happened``."""
    event = _event(sender, facts)
    notice = NOTICES.get(event)
    if notice is None or event in LINKED:
        return
    if not conf.TOTP_SEND_NOTICES and not notice.is_recovery:
        return
    with complaining(event, user):
        if event == "disabled" and not events.is_own(user, request):
            event = "reset"
        now = occasion(user, event, request, facts)
        if now.to:
            _after_commit(partial(deliver, now))


@sensitive_variables("link")
def send(
    user: AbstractBaseUser, event: str, request: Any = None, *, link: str = "", **facts: str
) -> bool:
    """Mail the owner about ``event``, whatever the settings, with ``link`` in the mail.

    It is sent when the transaction of the caller ends, or else now. Return whether it was handed
    over, as far as that is known by then; where there is no address, it is not.
    """
    outcomes: list[bool] = []

    @sensitive_variables()
    def run() -> None:
        outcomes.append(deliver(now))

    with complaining(event, user):
        now = occasion(user, event, request, facts, link)
        if now.to:
            _after_commit(run)
            return False not in outcomes
    return False


@sensitive_variables()
def deliver(told: Occasion) -> bool:
    """Write and send the mail about it. Return whether the mail was handed over."""
    with complaining(told.event, told.user, told.link):
        compose(told).send()  # a backend that queues may tell no number
        return True
    return False


def _event(sender: str, facts: Mapping[str, str]) -> str:
    """Return what ``NOTICES`` calls the event, or nothing that it knows."""
    if sender == "verified":
        return "backup_code_used" if facts.get("method") == "backup_code" else ""
    if sender == "disabled" and facts.get("was"):
        return ""  # it was never on
    if sender == "wait_began" and not facts.get("notice"):
        return ""
    if sender == "wait_began" and not facts.get("until"):
        return "codes_off"
    return sender


def _after_commit(run: Callable[[], Any]) -> None:
    """Call ``run`` once what was written is committed, which may be now."""
    using = router.db_for_write(Totp)
    connection = connections[using]
    if connection.in_atomic_block or connection.get_autocommit():
        transaction.on_commit(run, using=using, robust=True)
    else:  # nobody hears of the end of a transaction that is made by hand
        run()
