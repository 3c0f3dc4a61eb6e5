"""The life of a factor where it meets what projects, clocks, mails and thieves bring."""

import base64
import contextlib
import dataclasses
import json
import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django
import pytest
from django.contrib.auth.hashers import make_password
from django.core import mail
from django.core.checks import run_checks
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client, RequestFactory
from django.urls import path, reverse
from django.utils import translation
from django.utils.log import AdminEmailHandler
from drf_spectacular.generators import SchemaGenerator
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from django_totp import devices, recovery
from django_totp.accounts import account_by
from django_totp.assurance import new_login
from django_totp.auth import (
    end_sessions,
    finish_owed_enrollment,
    generate_challenge_token,
    next_step,
    start_owed_enrollment,
)
from django_totp.exceptions import InvalidChallenge, RecoveryOff, TotpAlreadyExists, TotpError
from django_totp.models import BackupCode, Totp
from django_totp.sentry import before_send
from django_totp.tokens import restate
from django_totp.totp import (
    confirm_totp_setup,
    start_totp_replacement,
    start_totp_setup,
    verify_totp_code,
)
from django_totp.users import email_field
from django_totp.views import api

from . import session_urls
from .browsing import SETUP, VERIFY, Browser
from .endpoints import wrong_code
from .rivals import act_after_reading

DELAY = 3 * 86400
NOON = datetime(2031, 5, 4, 12, 0, 10, tzinfo=UTC)
PAGE = "two-factor-recovery"
CANCEL = "totp-recovery-recovery-cancel"


def broken(request):
    raise RuntimeError("a bug of the project")


urlpatterns = [*session_urls.urlpatterns, path("broken/", broken)]


@pytest.fixture
def clock(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


@pytest.fixture
def mails(settings, monkeypatch):
    """Let mails leave from the transaction of a test."""
    monkeypatch.setattr("django_totp.notices.sending._after_commit", lambda run: run())
    settings.TOTP_RECOVERY_DELAY = DELAY
    settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None
    return mail


@pytest.fixture
def owner(clock, mails, enrolled_user):
    setattr(enrolled_user, email_field(enrolled_user), "ada@example.com")
    enrolled_user.save()
    Totp.objects.update(confirmed_at=NOON - timedelta(days=1))
    return enrolled_user


def ask(user):
    request = RequestFactory().post("/")
    recovery.request_recovery(generate_challenge_token(user), request=request)
    return mailed_token()


def mailed_token():
    return re.findall(r"/two-factor/recovery/([^/\s]+)/", mail.outbox[-1].body)[0]


def cookie_of(client):
    return client.cookies["totp_device"].value


# --- error reports and logs -----------------------------------------------------------------


@pytest.fixture
def reports(settings):
    """Return the mails of errors that Django sends to the administrators."""
    root = "root@example.com"
    settings.ADMINS = [root] if django.VERSION >= (6, 0) else [("root", root)]

    ours = AdminEmailHandler(include_html=True)
    logger = logging.getLogger("django.request")
    logger.addHandler(ours)
    yield mail.outbox
    logger.removeHandler(ours)


@pytest.mark.urls("tests.test_life_in_projects")
def test_the_value_of_a_trusted_device_is_in_no_error_report(settings, enrolled, code, reports):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 86400
    enrolled.password()
    enrolled.client.post(reverse(VERIFY), {"otp_code": code(), "trust_device": "1"})
    value = cookie_of(enrolled.client)
    enrolled.client.raise_request_exception = False
    assert enrolled.client.get("/broken/").status_code == 500
    assert reports
    assert value not in "".join(str(each.message()) for each in reports)


@pytest.mark.urls("tests.session_urls")
def test_a_mailed_token_is_in_no_error_report(owner, reports, monkeypatch):
    token = ask(owner)
    mail.outbox.clear()

    def fails(*args, **kwargs):
        raise RuntimeError("the database is down")

    monkeypatch.setattr(recovery, "start_recovery", fails)
    client = Client(raise_request_exception=False)
    assert client.post(reverse(PAGE, args=[token])).status_code == 500
    assert reports
    text = "".join(each.subject + each.body for each in reports)
    assert token not in text


@pytest.mark.urls("tests.session_urls")
def test_a_mailed_token_that_is_still_good_is_in_no_log(settings, owner, caplog):
    token = ask(owner)
    settings.TOTP_THROTTLE_RATE = "1/minute"
    client = Client()
    link = reverse(PAGE, args=[token])
    client.get(link)
    assert client.get(link).status_code == 429
    assert Client(enforce_csrf_checks=True).post(link).status_code == 403
    assert token not in caplog.text


# --- mails ----------------------------------------------------------------------------------


def test_to_cancel_nothing_mails_nothing(owner, sign_in, secret, otp, clock):
    ask(owner)
    clock.shift(60)
    verify_totp_code(owner, otp(secret))  # which ends all of it
    mail.outbox.clear()
    client = sign_in(owner)
    for _ in range(3):
        assert client.post(reverse(CANCEL)).status_code == 204
    assert not mail.outbox


def test_the_hour_between_mails_holds_for_a_backend_that_tells_no_number(monkeypatch, owner, login):
    send = EmailBackend.send_messages

    def queue(backend, messages):
        """Queue as django-post_office does, and tell nothing of how many."""
        send(backend, messages)

    monkeypatch.setattr(EmailBackend, "send_messages", queue)
    token = login(owner).json()["totp_challenge_token"]
    mail.outbox.clear()
    body = {"totp_challenge_token": token}
    statuses = [
        APIClient().post(reverse("totp-recovery-recovery"), body, format="json").status_code
        for _ in range(3)
    ]
    assert len(mail.outbox) == 1
    assert statuses == [202, 202, 202]


def test_without_a_request_nobody_knows_the_address_of_the_page(owner):
    with pytest.raises(RecoveryOff):
        recovery.request_recovery(generate_challenge_token(owner))
    assert not mail.outbox


# --- recovery -------------------------------------------------------------------------------


def recovered(user, otp):
    token = next_step(account_by("pk", user.pk)).recovery
    setup = APIClient().post(
        reverse("jwt-totp-create"), {"totp_challenge_token": token}, format="json"
    )
    new = setup.json()["secret"]
    body = {"totp_challenge_token": token, "input_code": otp(new)}
    return APIClient().post(reverse("jwt-totp-confirm"), body, format="json")


def fail(user, secret, times):
    for _ in range(times):
        with contextlib.suppress(ValueError):
            verify_totp_code(user, wrong_code(secret))


def test_who_is_allowed_to_recover_can_do_so_while_codes_are_off(settings, owner, secret, otp):
    settings.TOTP_FAILURE_LIMIT, settings.TOTP_FAILURE_CAP = 99, 100
    fail(owner, secret, 100)
    recovery.allow_recovery(owner)
    answer = recovered(owner, otp)
    assert answer.status_code == 200, answer.json()


def test_a_thief_with_the_password_does_not_keep_the_owner_from_recovering(
    owner, secret, otp, clock
):
    recovery.start_recovery(ask(owner))
    clock.shift(DELAY)
    fail(owner, secret, 6)  # as he does again and again
    answer = recovered(owner, otp)
    assert answer.status_code == 200, answer.json()


@pytest.mark.urls("tests.session_urls")
def test_a_half_login_from_before_it_was_allowed_can_recover_or_says_so(owner, otp):
    browser = Browser(owner)
    browser.password()
    recovery.allow_recovery(owner)
    browser.client.post(reverse(VERIFY), {"recovery": "1"})
    shown = browser.client.get(reverse(SETUP))
    setup = shown.context["setup"]
    form = {"otp_code": otp(setup.secret), "secret": setup.secret}
    done = browser.client.post(reverse(SETUP), form)
    assert browser.is_signed_in, done.context["problem"]


@pytest.mark.urls("tests.session_urls")
def test_a_session_without_the_password_sets_up_no_new_app_in_a_recovery(user, mails, otp, clock):
    """A stolen session from before the enrollment gives the password to nobody."""

    setattr(user, email_field(user), "ada@example.com")
    user.save()
    clock.shift(-86400)
    thief = Browser(user)
    thief.password()  # the owner's own session, copied
    assert thief.is_signed_in
    setup = start_totp_setup(user)
    clock.shift(60)
    confirm_totp_setup(user, otp(setup.secret))
    clock.shift(86400)
    recovery.start_recovery(ask(user))
    clock.shift(DELAY)
    thief.client.get("/private/")
    thief.client.post(reverse(VERIFY), {"recovery": "1"})
    shown = thief.client.get(reverse(SETUP))
    new = shown.context["setup"].secret if shown.context and "setup" in shown.context else None
    if new:
        thief.client.post(reverse(SETUP), {"otp_code": otp(new), "secret": new})
    assert not thief.is_signed_in


def test_the_link_that_stops_is_good_as_long_as_there_is_a_recovery(owner):
    recovery.start_recovery(ask(owner), request=RequestFactory().post("/"))
    stop = mailed_token()
    recovery.allow_recovery(owner)  # somebody has talked the support into it
    recovery.cancel_recovery(stop)
    assert not Totp.objects.get().is_recovery_pending


def test_no_wait_begins_that_the_owner_could_not_be_told_of(monkeypatch, owner):
    token = ask(owner)

    def down(backend, messages):
        raise OSError

    monkeypatch.setattr(EmailBackend, "send_messages", down)
    with contextlib.suppress(ValueError):
        recovery.start_recovery(token, request=RequestFactory().post("/"))
    assert not Totp.objects.get().is_recovery_pending


def test_a_link_is_dead_once_the_account_has_another_address(owner):
    token = ask(owner)
    setattr(owner, email_field(owner), "new@example.com")
    owner.save()
    with pytest.raises(TotpError):
        recovery.start_recovery(token)


def test_stop_by_link_with_a_stale_header_where_requests_are_counted(settings, owner):
    settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = "10/minute"
    recovery.start_recovery(ask(owner), request=RequestFactory().post("/"))
    stale = APIClient(HTTP_AUTHORIZATION="Bearer junk")
    answer = stale.post(reverse(CANCEL), {"token": mailed_token()}, format="json")
    assert answer.status_code == 204


# --- replacement ----------------------------------------------------------------------------


def test_a_login_with_the_password_alone_confirms_no_replacement(owner, otp, clock, monkeypatch):
    """Begun by a stolen login with the second factor, which was ended."""
    setup = start_totp_replacement(owner)
    end_sessions(owner)
    clock.shift(60)

    name = owner.get_username()
    basic = base64.b64encode(f"{name}:correct horse battery staple".encode()).decode()

    client = APIClient(HTTP_AUTHORIZATION=f"Basic {basic}")
    monkeypatch.setattr(api.TotpConfirmView, "authentication_classes", [BasicAuthentication])
    body = {"input_code": otp(setup.secret)}
    answer = client.post(reverse("totp-confirm"), body, format="json")
    assert answer.status_code == 400, answer.json()


def test_end_sessions_ends_a_replacement_that_an_ended_login_has_begun(owner, otp):
    setup = start_totp_replacement(owner)
    end_sessions(owner)
    with pytest.raises(TotpError):
        confirm_totp_setup(owner, otp(setup.secret))


# --- time -----------------------------------------------------------------------------------


@pytest.mark.urls("tests.session_urls")
def test_moments_on_pages_are_local_where_time_zones_are_off(settings, owner):
    settings.USE_TZ, settings.TIME_ZONE = False, "Pacific/Auckland"
    token = ask(owner)
    shown = Client().post(reverse(PAGE, args=[token])).content.decode()
    # 12:00 UTC is midnight in Auckland, where 8 May begins
    assert "May 8, 2031" in shown, re.findall(r"From [^<]*", shown)


def test_moments_of_the_status_are_of_one_kind_where_time_zones_are_off(settings, owner, sign_in):
    settings.USE_TZ, settings.TIME_ZONE = False, "Pacific/Auckland"
    client = sign_in(owner)
    recovery.start_recovery(ask(owner))
    told = client.get(reverse("totp-status")).json()
    assert told["recovery_ready_at"][:10] == "2031-05-08", told


@pytest.mark.urls("tests.session_urls")
def test_the_key_of_a_session_changes_when_it_confirms_by_the_api(user, mails, otp, monkeypatch):
    for view in (api.TotpCreateView, api.TotpConfirmView):
        monkeypatch.setattr(view, "authentication_classes", [SessionAuthentication])
    browser = Browser(user)
    browser.password()
    before = browser.session.session_key
    secret = browser.client.post(reverse("totp-create")).json()["secret"]
    done = browser.client.post(
        reverse("totp-confirm"), {"input_code": otp(secret)}, content_type="application/json"
    )
    assert done.status_code == 200
    assert browser.session.session_key != before


def test_a_mail_that_fails_beside_a_wrong_code_is_told(monkeypatch, owner, login, secret):
    def down(backend, messages):
        fail(owner, secret, 1)
        raise OSError

    monkeypatch.setattr(EmailBackend, "send_messages", down)
    token = login(owner).json()["totp_challenge_token"]
    body = {"totp_challenge_token": token}
    url = reverse("totp-recovery-recovery")
    assert APIClient().post(url, body, format="json").status_code == 503


def test_whoever_knows_the_password_does_not_choose_the_language_of_the_warning(settings, owner):
    with translation.override("fr"):  # as LocaleMiddleware does for Accept-Language: fr
        token = ask(owner)
        recovery.start_recovery(token, request=RequestFactory().post("/"))
    text = "".join(each.body for each in mail.outbox)
    assert "mai 2031" not in text


@pytest.mark.parametrize("value", ["2592000", timedelta(days=30), 10**12])
def test_nothing_about_devices_raises_into_a_login(settings, enrolled_user, login, value):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = value
    assert login(enrolled_user).status_code == 200
    enrolled_user.password = enrolled_user.password
    enrolled_user.save(update_fields=["password"])


def test_a_check_asks_for_a_page_where_recovery_is_on_and_there_is_none(settings):
    settings.TOTP_RECOVERY_DELAY = DELAY
    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": []})
    found = [one for one in run_checks(include_deployment_checks=True) if "RECOVERY" in one.msg]
    assert found


@pytest.mark.parametrize("url", ["/recover/{action}/{token}", "javascript:{action}{token}"])
def test_the_address_of_a_page_is_an_address(settings, url):
    settings.TOTP_RECOVERY_URL = url
    assert "django_totp.E034" in [one.id for one in run_checks()]


@pytest.mark.urls("tests.session_urls")
def test_what_sentry_gets_has_no_value_of_a_device_and_no_mailed_token(owner):
    project = {
        "request": {
            "url": "http://testserver/private/",
            "cookies": {"totp_device": "VALUE"},
            "headers": {"Cookie": "totp_device=VALUE"},
        }
    }
    assert "VALUE" not in json.dumps(before_send(project, {}))


@pytest.mark.urls("tests.session_urls")
def test_what_sentry_gets_of_the_recovery_page(owner):
    path_ = reverse(PAGE, args=["TOKEN"])
    ours = {
        "transaction": path_,
        "request": {"url": f"http://testserver{path_}"},
        "logentry": {"message": "%s: %s", "params": ["Internal Server Error", path_]},
        "tags": {"url": path_},
    }
    assert "TOKEN" not in json.dumps(before_send(ours, {}))
    crumb = {
        "logger": "django.request",
        "logentry": {"message": f"Forbidden: {path_}", "params": []},
    }
    assert "TOKEN" not in json.dumps(before_send(crumb, {}))


@pytest.mark.urls("tests.session_urls")
def test_the_link_leads_to_its_page_whoever_was_signed_in_there(user, mails, otp, clock):
    """The owner's browser has a session from before the enrollment."""

    setattr(user, email_field(user), "ada@example.com")
    user.save()
    clock.shift(-86400)
    browser = Browser(user)
    browser.password()
    setup = start_totp_setup(user)
    clock.shift(60)
    confirm_totp_setup(user, otp(setup.secret))
    clock.shift(86400)
    recovery.start_recovery(ask(user), request=RequestFactory().post("/"))
    shown = browser.client.get(reverse(PAGE, args=[mailed_token()]))
    assert shown.status_code == 200, shown["Location"]


@pytest.mark.urls("tests.session_urls")
@pytest.mark.parametrize("why", ["required", "off"])
def test_the_page_offers_nothing_that_it_then_refuses(settings, owner, clock, why):
    recovery.start_recovery(ask(owner))
    clock.shift(DELAY)
    if why == "required":
        settings.TOTP_REQUIRED_FOR = ["everyone"]
    else:
        settings.TOTP_RECOVERY_DELAY = None
    browser = Browser(owner)
    browser.password()
    assert "Set up a new app" not in browser.client.get(reverse(VERIFY)).content.decode()


def test_who_ends_all_logins_ends_a_challenge_to_recover(owner, otp, clock, monkeypatch):
    recovery.start_recovery(ask(owner))
    clock.shift(DELAY)
    token = next_step(account_by("pk", owner.pk)).recovery
    setup = start_owed_enrollment(token)
    act_after_reading(monkeypatch, lambda: end_sessions(owner))
    with pytest.raises((InvalidChallenge, TotpAlreadyExists)):
        finish_owed_enrollment(token, otp(setup.secret))


def test_every_method_of_the_log_is_in_the_page_about_records():
    text = Path("docs/records.md").read_text()
    [line] = [one for one in text.splitlines() if one.startswith("| `method`")]
    assert "trusted_device" in line


@pytest.mark.urls("tests.session_urls")
def test_a_recovery_that_is_allowed_can_be_stopped_by_its_mail(owner):
    recovery.allow_recovery(owner, request=RequestFactory().post("/"))
    assert "/two-factor/recovery/" in mail.outbox[-1].body


def test_no_request_without_a_token_writes_an_error(settings, mails, caplog, db):
    settings.ROOT_URLCONF = "tests.recovery_urls"
    for _ in range(3):
        APIClient().post("/totp/recovery/", {"totp_challenge_token": "x"}, format="json")
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


@pytest.fixture
def old_row(owner):
    """Make it an enrollment as processes of 1.1.x write them: codes, and no confirmation."""
    Totp.objects.update(confirmed_at=None)
    return owner


def test_an_administrator_allows_recovery_of_an_enrollment_of_1_1(old_row, make_user):
    root = make_user("root", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(root)
    pk = Totp.objects.get().pk
    form = {"action": "allow_recovery", "_selected_action": [str(pk)]}
    url = reverse("admin:django_totp_totp_changelist")
    shown = client.post(url, form)
    seen = re.findall(r'name="seen" value="([^"]+)"', shown.content.decode())
    done = client.post(
        url, form | {"confirmed": "1", "reason": "called", "seen": seen}, follow=True
    )
    text = done.content.decode()
    assert Totp.objects.get().is_recovery_allowed, re.findall(r"[^>]*meanwhile[^<]*", text)


def test_allowed_for_who_is_not_on_is_refused(owner):
    Totp.objects.update(confirmed_at=None)

    BackupCode.objects.all().delete()
    with pytest.raises(TotpError):
        recovery.allow_recovery(owner)


@pytest.mark.parametrize("on", [False, True])
def test_a_login_by_a_device_confirms_no_replacement(settings, owner, otp, clock, sign_in, on):
    settings.TOTP_REAUTHENTICATE = on
    setup = start_totp_replacement(owner)
    row = account_by("pk", owner.pk)
    login = dataclasses.replace(new_login(row, "pwd", "otp"), device="1")
    token = AccessToken.for_user(owner)
    restate(token, login)
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")
    body = {"input_code": otp(setup.secret), "password": "correct horse battery staple"}
    answer = client.post(reverse("totp-confirm"), body, format="json")
    assert answer.status_code == 403, answer.json()


@pytest.mark.urls("tests.session_urls")
def test_a_device_is_worth_nothing_without_the_password(settings, enrolled, code):
    """Of a login by a link in a mail, say: the mailbox and the device are not the password."""
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 86400
    enrolled.password()
    enrolled.client.post(reverse(VERIFY), {"otp_code": code(), "trust_device": "1"})
    enrolled.client.post("/logout/")
    enrolled.client.get("/foreign/", {"pk": enrolled.user.pk})
    assert not enrolled.is_signed_in


def test_a_set_password_and_a_save_of_it_alone_end_devices(settings, owner, otp, secret):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 86400
    row = account_by("pk", owner.pk)
    value = devices.trust(row, new_login(row, "pwd", "otp"), "x")
    owner.set_password("another")
    owner.save()
    owner.password = make_password("a third")
    owner.save(update_fields=["password"])
    assert devices.use(account_by("pk", owner.pk), value) is None


def test_a_code_in_the_middle_of_a_recovery(owner, otp, clock, secret, monkeypatch):
    recovery.start_recovery(ask(owner))
    clock.shift(DELAY)
    token = next_step(account_by("pk", owner.pk)).recovery
    setup = start_owed_enrollment(token)
    act_after_reading(monkeypatch, lambda: verify_totp_code(owner, otp(secret)))
    with pytest.raises(TotpError):
        finish_owed_enrollment(token, otp(setup.secret))


@pytest.mark.parametrize("what", ["recovery_confirm", "recovery_cancel", "recovery"])
@pytest.mark.parametrize(
    "body",
    [
        [],
        "x",
        5,
        None,
        {"token": None},
        {"token": []},
        {"token": 5},
        {"token": "\0"},
        {"token": "é:a:b"},
        {"token": "a" * 5000},
    ],
)
def test_odd_bodies(owner, what, body):
    answer = APIClient().post(f"/api/totp/{what}/", body, format="json")
    assert 400 <= answer.status_code < 500, answer.status_code


@pytest.mark.urls("tests.session_urls")
@pytest.mark.parametrize("token", ["a", "é", "a:b:c", "%00", "a%20b", "x" * 3000])
def test_odd_links(owner, token):
    assert Client().get(f"/account/two-factor/recovery/{token}/").status_code in (400, 404)
    assert Client().post(f"/account/two-factor/recovery/{token}/").status_code in (400, 404)


@pytest.mark.urls("tests.session_urls")
def test_a_cookie_that_somebody_made_up_breaks_no_login(settings, enrolled, code):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 86400
    odd = f"deadbeef.999999999999.1.{'a' * 22}.{'b' * 32}"
    enrolled.client.cookies["totp_device"] = odd  # from a sibling domain, say
    enrolled.client.raise_request_exception = False
    enrolled.password()
    done = enrolled.client.post(reverse(VERIFY), {"otp_code": code(), "trust_device": "1"})
    assert done.status_code == 302


@pytest.mark.parametrize(
    "more",
    [
        {"device_name": "x" * 101},
        {"device_name": 5},
        {"device_name": None},
        {"trust_device": None},
        {"trust_device": "perhaps"},
    ],
)
def test_what_is_odd_about_a_device_keeps_nobody_from_a_login(login, enrolled, code, more):
    assert login(enrolled.user, otp_code=code(), **more).status_code == 200


@pytest.mark.parametrize("action", ["reset_two_factor", "end_the_wait"])
def test_the_other_remedies_for_an_enrollment_of_1_1(old_row, make_user, action):
    root = make_user("root", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(root)
    pk = Totp.objects.get().pk
    form = {"action": action, "_selected_action": [str(pk)]}
    url = reverse("admin:django_totp_totp_changelist")
    shown = client.post(url, form)
    seen = re.findall(r'name="seen" value="([^"]+)"', shown.content.decode())
    done = client.post(url, form | {"confirmed": "1", "reason": "x", "seen": seen}, follow=True)
    assert "meanwhile" not in done.content.decode()


def test_the_schema_says_that_a_mailed_token_is_enough_to_stop_it():
    schema = SchemaGenerator().get_schema(request=None, public=True)
    assert "security" not in schema["paths"]["/api/totp/recovery_cancel/"]["post"]


def test_mails_of_a_wait_tell_the_truth(settings, owner, sign_in, secret):
    """Wrong codes of a stolen token: nobody has logged in with the password."""
    settings.TOTP_SEND_NOTICES, settings.TOTP_FAILURE_LIMIT = True, 0
    mail.outbox.clear()
    client = sign_in(owner, "pwd")
    client.post(reverse("totp-disable"), {"otp_code": wrong_code(secret)}, format="json")
    assert "logged in with your password" not in mail.outbox[-1].body
