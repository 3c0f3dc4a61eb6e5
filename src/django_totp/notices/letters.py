"""One mail: what is known when something happens, and the letter that it makes."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.mail import EmailMultiAlternatives
from django.template.exceptions import TemplateDoesNotExist
from django.template.loader import get_template
from django.utils import translation
from django.utils.translation import gettext, pgettext
from django.views.decorators.debug import sensitive_variables

from django_totp import events
from django_totp.addresses import addresses_in
from django_totp.agents import described
from django_totp.conf import conf
from django_totp.models import BackupCode
from django_totp.moments import here, in_words, local, whole_minute
from django_totp.users import email_of, name_of

from .sentences import NOTICES

TEXT, HTML = "django_totp/mail/notice.txt", "django_totp/mail/notice.html"
MOMENTS = {"ready_at", "until"}  # facts that are ISO 8601
LONGEST = 150  # characters of a name that somebody has made up
ERROR_LENGTH = 300


@dataclass(frozen=True)
class Occasion:
    """What is known at the moment when something happens to the factor of ``user``.

    Who acts for the user, or outside of a request, has neither ``address`` nor ``agent``.
    """

    user: AbstractBaseUser
    to: str
    event: str
    facts: Mapping[str, str]
    at: datetime
    language: str
    address: str
    agent: str | None
    link: str = field(default="", repr=False)


@sensitive_variables("link")
def occasion(
    user: AbstractBaseUser,
    event: str,
    request: Any,
    facts: Mapping[str, str],
    link: str = "",
) -> Occasion:
    """Return ``event`` as it happens now: in the owner's language and time, if the owner acts."""
    is_own = events.is_own(user, request)
    speaks = is_own and NOTICES[event].is_owners
    return Occasion(
        user=user,
        to=email_of(user),
        event=event,
        facts=facts,
        at=_now(speaks),
        language=(translation.get_language() if speaks else None) or settings.LANGUAGE_CODE,
        address=events.address(request) if is_own else "",
        agent=events.user_agent(request) if is_own else None,
        link=link,
    )


@sensitive_variables()
def compose(told: Occasion) -> EmailMultiAlternatives:
    """Return the mail about it: subject, text and, where the project has a template, HTML."""
    with translation.override(told.language):
        context = _context(told)
        mail = EmailMultiAlternatives(
            context["subject"],
            get_template(TEXT).render(context),
            to=[told.to],
            headers={"Auto-Submitted": "auto-generated"},  # RFC 3834: nobody's absence answers
        )
        with complaining(told.event, told.user, told.link):
            html = _html(context)
            if html:
                mail.attach_alternative(html, "text/html")
    return mail


@contextlib.contextmanager
def complaining(event: str, user: AbstractBaseUser, link: str = "") -> Iterator[None]:
    """Log what is raised, and go on. An error may quote the mail, and so the ``link`` in it."""
    try:
        yield
    except Exception as error:
        events.complain(
            "The notice %r for user %r failed: %s. Check Django's settings for mail, the address "
            "of the user, and your template, if you have one.",
            event,
            str(user.pk),
            type(error).__name__ if link else repr(error)[:ERROR_LENGTH],
        )


@sensitive_variables()
def _html(context: dict[str, Any]) -> str:
    try:
        template = get_template(HTML)
    except TemplateDoesNotExist:
        return ""
    return template.render(context)


@sensitive_variables()
def _context(told: Occasion) -> dict[str, Any]:
    """Return what the templates know. What somebody has made up is one line, of any characters."""
    notice, site = NOTICES[told.event], _line(conf.TOTP_ISSUER)
    return {
        "event": told.event,
        "user": told.user,
        "site": site,
        "subject": f"{site}: {notice.subject}",
        "sentence": notice.sentence % _shown(told),
        "details": [(name, value) for name, value in _details(told) if value],
        "caption": str(notice.caption),
        "link": told.link,
        "advice": str(notice.advice),
        "notice_url": conf.TOTP_NOTICE_URL,
    }


def _shown(told: Occasion) -> dict[str, Any]:
    """Return the facts as a sentence has them."""
    shown: dict[str, Any] = {name: _line(value) for name, value in told.facts.items()}
    for name in MOMENTS:
        if shown.get(name):
            moment = whole_minute(datetime.fromisoformat(shown[name]))
            shown[name] = in_words(moment.astimezone(told.at.tzinfo))
    if told.event == "backup_code_used":
        shown["left"] = BackupCode.objects.filter(totp__user_id=told.user.pk, is_used=False).count()
    if told.event == "device_trusted":
        shown["device"] = shown.get("device") or described(told.agent)
    return shown


def _details(told: Occasion) -> Iterator[tuple[str, str]]:
    yield gettext("Account"), _line(name_of(told.user))
    yield pgettext("mail", "Time"), in_words(told.at)
    yield gettext("Address"), addresses_in(told.address)
    yield gettext("Browser"), "" if told.agent is None else described(told.agent)


def _now(is_own: bool) -> datetime:
    """Return the time in the time zone of the owner's request, or else in the project's."""
    now = datetime.now(UTC)
    return here(now) if is_own else local(now)


def _line(value: Any) -> str:
    """Return ``value`` as one line that is not long, without characters that are not seen."""
    seen = (one if one.isprintable() else " " for one in str(value)[:LONGEST])
    return " ".join("".join(seen).split())
