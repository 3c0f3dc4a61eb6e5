"""The start-up checks: each fires on what it is for, and is silent otherwise."""

import itertools
import subprocess
import sys

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.db import connections
from django.db.models import DO_NOTHING, PROTECT, RESTRICT
from django.test import modify_settings
from django.urls import include, path
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.serializers import (
    TokenObtainPairSerializer,
    TokenObtainSlidingSerializer,
)
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, SlidingToken

from django_totp.authentication import StandingMixin
from django_totp.checks.settings import MISTAKES, WEAKNESSES, YEAR
from django_totp.encryption import MAKE_A_KEY
from django_totp.middleware import SecondFactorMiddleware
from django_totp.models import BackupCode
from django_totp.throttle import TotpThrottle
from django_totp.views import jwt
from django_totp.views.api import TotpStatusView
from tests import services

pytestmark = pytest.mark.usefixtures("unguarded")


KEY = b"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk="  # not a new one: it names tests
ADMIN_LOGIN = "django.contrib.admin.sites.AdminSite.login"
RATES = ["TOTP_ADDRESS_THROTTLE_RATE", "TOTP_THROTTLE_RATE"]
ODD = [None, "", "x", b"x", True, -1, 1.5, 10**30, (), [], {}, [None], object(), str]

WRONG = {
    "TOTP_ISSUER": ["", " ", ":", b"MyApp", 1, "x" * 201, "é" * 34],
    "TOTP_MAX_BACKUP_CODES": [-1, True, 1.0, "10"],
    "TOTP_TOKEN_SALT": ["", b"salt"],
    "TOTP_TOKEN_MAX_AGE": [0, -1, True, 120.0, "120", YEAR + 1],
    "TOTP_DIGITS": [5, 9, "6", True],
    "TOTP_PERIOD": [14, 121, "30", 30.0],
    "TOTP_ALGORITHM": ["MD5", "sha1", "", ["SHA1"], {}],
    "TOTP_VALID_WINDOW": [-1, True, "1", 1.0],
    "TOTP_SETUP_MAX_AGE": [0, "3600", False, YEAR + 1],
    "TOTP_FAILURE_LIMIT": [-1, True, "5"],
    "TOTP_LOCKOUT_SECONDS": [-1, True, 0.5],
    "TOTP_LOCKOUT_MAX_SECONDS": [29, -1, "900", YEAR + 1],
    "TOTP_FAILURE_CAP": [5, 0, True, "100", 100.0],
    "TOTP_REAUTHENTICATE": [1, 0, "False"],
    "TOTP_REAUTHENTICATE_MAX_AGE": [-1, True, "300", YEAR + 1],
    "TOTP_AUDIT_ALLOWED": [
        [ADMIN_LOGIN],
        {ADMIN_LOGIN: " "},
        {"": "x"},
        {None: "x"},
        {"x": 1},
    ],
    "TOTP_REQUIRED_FOR": ["everyone", b"staff", {"staff"}, 1, [None], ["staff", 1], {}],
    "TOTP_GRACE_PERIOD": [-1, True, "86400", 1.5, YEAR + 1],
    "TOTP_TRUSTED_DEVICE_MAX_AGE": [-1, True, "86400", YEAR + 1],
    "TOTP_RECOVERY_DELAY": [-1, False, "86400", YEAR + 1],
    "TOTP_RECOVERY_URL": ["https://example.com/{token}", "/{action}/", b"{action}{token}", 1],
    "TOTP_SEND_NOTICES": [1, "True"],
    "TOTP_NOTICE_URL": [b"https://example.com", 1],
}
RIGHT = {
    "TOTP_ISSUER": ["MyApp", "Ünïcode: a name", "x" * 200, "é" * 33],
    "TOTP_MAX_BACKUP_CODES": [0, 100],
    "TOTP_TOKEN_SALT": ["x"],
    "TOTP_TOKEN_MAX_AGE": [1, YEAR],
    "TOTP_DIGITS": [6, 7, 8],
    "TOTP_PERIOD": [15, 120],
    "TOTP_ALGORITHM": ["SHA1", "SHA256", "SHA512"],
    "TOTP_VALID_WINDOW": [0, 10],
    "TOTP_SETUP_MAX_AGE": [1, YEAR],
    "TOTP_FAILURE_LIMIT": [0, 99],
    "TOTP_LOCKOUT_SECONDS": [0, 900],
    "TOTP_LOCKOUT_MAX_SECONDS": [30, YEAR],
    "TOTP_FAILURE_CAP": [6, 10**6, None],
    "TOTP_REAUTHENTICATE": [True, False],
    "TOTP_REAUTHENTICATE_MAX_AGE": [0, YEAR],
    "TOTP_AUDIT_ALLOWED": [{}, {ADMIN_LOGIN: "Only from the office."}],
    "TOTP_REQUIRED_FOR": [[], ()],
    "TOTP_GRACE_PERIOD": [0, YEAR],
    "TOTP_TRUSTED_DEVICE_MAX_AGE": [0, YEAR],
    "TOTP_RECOVERY_DELAY": [None, 0, YEAR],
    "TOTP_RECOVERY_URL": ["", "https://example.com/{action}/{token}"],
    "TOTP_SEND_NOTICES": [True, False],
    "TOTP_NOTICE_URL": ["", "https://example.com/help/"],
}
WEAK = {
    "TOTP_ISSUER": ["MyApp"],
    "TOTP_TOKEN_SALT": ["django-totp-token-salt"],
    "TOTP_TOKEN_MAX_AGE": [601],
    "TOTP_VALID_WINDOW": [2],
    "TOTP_FAILURE_CAP": [101, None],
    "TOTP_LOCKOUT_SECONDS": [0],
    "TOTP_RECOVERY_DELAY": [0, 86399],
}
STRONG = {
    "TOTP_ISSUER": ["My own"],
    "TOTP_TOKEN_SALT": ["my own"],
    "TOTP_TOKEN_MAX_AGE": [600, "600"],
    "TOTP_VALID_WINDOW": [1, 0, "1"],
    "TOTP_FAILURE_CAP": [100, "100"],
    "TOTP_LOCKOUT_SECONDS": [1, "1"],
    "TOTP_RECOVERY_DELAY": [None, 86400, "1"],
}


@pytest.fixture(autouse=True)
def _without_recovery(settings):
    """Leave it off: most of the projects here have no pages for it."""
    settings.TOTP_RECOVERY_DELAY = None
    settings.TOTP_RECOVERY_URL = "https://app.example.com/{action}/{token}"


def cases(values, rules):
    """Return (setting, value, id) for each value of each setting."""
    ids = {rule.setting: f"django_totp.{rule.id}" for rule in rules}
    assert set(values) == set(ids)
    return [(setting, value, ids[setting]) for setting in values for value in values[setting]]


def messages(*, deploy=False):
    found = run_checks(tags=[Tags.security], include_deployment_checks=deploy)
    return [message for message in found if message.id.startswith("django_totp.")]


def ids(*, deploy=False):
    return [message.id for message in messages(deploy=deploy)]


def named(cls):
    return f"{cls.__module__}.{cls.__qualname__}"


def test_a_recovery_without_a_page(settings):
    settings.TOTP_RECOVERY_DELAY, settings.TOTP_RECOVERY_URL = 86400, ""
    settings.ROOT_URLCONF = urls(path("", include("django_totp.urls")))
    assert "django_totp.W022" in ids()
    settings.TOTP_RECOVERY_URL = "https://app.example.com/{action}/{token}"
    assert "django_totp.W022" not in ids()


def test_links_that_lead_to_any_host(settings):
    settings.TOTP_RECOVERY_DELAY, settings.TOTP_RECOVERY_URL = 86400, ""
    settings.ALLOWED_HOSTS = ["*"]
    assert "django_totp.W021" in ids(deploy=True)
    settings.ALLOWED_HOSTS = ["www.example.com"]
    assert "django_totp.W021" not in ids(deploy=True)


def test_settings_of_1_1_for_recovery_mean_nothing(settings):
    settings.TOTP_RECOVERY_EMAIL_TEMPLATE = settings.TOTP_RECOVERY_CONFIRM_URL = "x"
    told = [message.msg for message in messages() if message.id == "django_totp.W020"]
    assert told == [
        "TOTP_RECOVERY_CONFIRM_URL means nothing any more.",
        "TOTP_RECOVERY_EMAIL_TEMPLATE means nothing any more.",
    ]


def urls(*patterns):
    """Return a ROOT_URLCONF that is no module of its own."""
    return type("urls", (), {"urlpatterns": list(patterns)})


@pytest.fixture
def ready_to_deploy(settings):
    """Give the project a configuration that nothing is to be said about."""
    settings.TOTP_AUDIT_ALLOWED = {ADMIN_LOGIN: "Only from the office."}
    settings.TOTP_ISSUER = "A site of its own"
    settings.TOTP_TOKEN_SALT = "a salt of its own"
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    settings.CACHES = {"default": services.CACHES["redis"]}


# --- A configuration that is right ---


def test_nothing_is_said_about_the_defaults():
    assert ids() == []


@pytest.mark.usefixtures("ready_to_deploy")
def test_nothing_is_said_about_a_project_that_is_ready_to_deploy(capsys):
    assert ids(deploy=True) == []
    call_command("check", deploy=True)
    assert "django_totp." not in "".join(capsys.readouterr())


# --- Keys ---


@pytest.mark.parametrize("key", [KEY, KEY.decode()])
def test_a_fernet_key_is_right(settings, key):
    settings.TOTP_ENCRYPTION_KEY = key
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = (key,)
    assert ids() == []


@pytest.mark.parametrize("key", [None, "", b""])
def test_a_key_is_missing(settings, key):
    settings.TOTP_ENCRYPTION_KEY = key
    [error] = messages()
    assert (error.id, error.hint) == ("django_totp.E001", MAKE_A_KEY)
    assert error.msg == "TOTP_ENCRYPTION_KEY is not set."
    assert error.is_serious()


@pytest.mark.parametrize("key", ["secret", "ä" * 44, b"x" * 44, KEY[:-4], 1, [KEY], object()])
def test_a_key_is_malformed_and_not_shown(settings, key):
    settings.TOTP_ENCRYPTION_KEY = key
    [error] = messages()
    assert (error.id, error.hint) == ("django_totp.E001", MAKE_A_KEY)
    assert error.msg == "TOTP_ENCRYPTION_KEY is not a Fernet key."


def test_the_hint_makes_a_key_that_the_check_accepts(settings):
    command = MAKE_A_KEY.partition("python -c ")[2].strip('"')
    made = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    settings.TOTP_ENCRYPTION_KEY = made.stdout.strip()
    assert settings.TOTP_ENCRYPTION_KEY
    assert ids() == []


@pytest.mark.parametrize("keys", [KEY, KEY.decode(), {KEY}, 1])
def test_the_fallbacks_are_no_list(settings, keys):
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = keys
    [error] = messages()
    assert error.id == "django_totp.E002"
    assert error.msg == "TOTP_ENCRYPTION_KEY_FALLBACKS must be a list of keys."


def test_each_malformed_fallback_is_named_and_not_shown(settings):
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [KEY, "an old password", None]
    found = messages()
    assert {error.id for error in found} == {"django_totp.E002"}
    assert [error.msg for error in found] == [
        "TOTP_ENCRYPTION_KEY_FALLBACKS[1] is not a Fernet key.",
        "TOTP_ENCRYPTION_KEY_FALLBACKS[2] is not a Fernet key.",
    ]


# --- One setting at a time ---


@pytest.mark.parametrize(("setting", "value", "id_"), cases(WRONG, MISTAKES))
def test_a_value_cannot_work(settings, setting, value, id_):
    setattr(settings, setting, value)
    [error] = messages()
    assert error.id == id_
    assert error.msg.startswith(f"{setting} must be ")
    assert error.msg.endswith(f", not {value!r}.")
    assert error.hint
    assert error.is_serious()


@pytest.mark.parametrize(("setting", "value", "id_"), cases(RIGHT, MISTAKES))
def test_a_value_can_work(settings, setting, value, id_):
    setattr(settings, setting, value)
    assert ids() == []


@pytest.mark.usefixtures("ready_to_deploy")
@pytest.mark.parametrize(("setting", "value", "id_"), cases(WEAK, WEAKNESSES))
def test_a_value_is_weak(settings, setting, value, id_):
    setattr(settings, setting, value)
    [warning] = messages(deploy=True)
    assert warning.id == id_
    assert warning.msg.startswith(f"{setting} should be ")
    assert warning.msg.endswith(f", not {value!r}.")
    assert warning.hint
    assert not warning.is_serious()
    assert ids() == []


@pytest.mark.usefixtures("ready_to_deploy")
@pytest.mark.parametrize(("setting", "value", "id_"), cases(STRONG, WEAKNESSES))
def test_a_value_is_not_weak(settings, setting, value, id_):
    """A string where a number belongs is an error, and not a weakness as well."""
    setattr(settings, setting, value)
    assert id_ not in ids(deploy=True)


def test_bounds_that_are_no_numbers_bound_nothing(settings):
    settings.TOTP_LOCKOUT_SECONDS = settings.TOTP_FAILURE_LIMIT = "five"
    assert sorted(ids()) == ["django_totp.E012", "django_totp.E013"]


@pytest.mark.parametrize("value", ODD)
def test_no_check_raises_whatever_the_settings_are(settings, value):
    names = [rule.setting for rule in MISTAKES]
    names += ["TOTP_ENCRYPTION_KEY", "TOTP_ENCRYPTION_KEY_FALLBACKS", *RATES]
    for name in names:
        setattr(settings, name, value)
    assert len(ids(deploy=True)) > 5


# --- Who must have a second factor ---

AUTHENTICATION = "rest_framework_simplejwt.authentication"
OURS = "django_totp.authentication.JWTAuthentication"


def must_have_one(user):
    return True


NO_FUNCTION = "no function"


class OwnAuthentication(JWTAuthentication):
    pass


class OwnThatAsks(StandingMixin, OwnAuthentication):
    pass


@pytest.fixture
def authenticate_by(settings):
    """Return a function that sets the classes by which REST framework authenticates."""

    def authenticate_by(*classes):
        names = [cls if isinstance(cls, str) else named(cls) for cls in classes]
        settings.REST_FRAMEWORK = {
            **settings.REST_FRAMEWORK,
            "DEFAULT_AUTHENTICATION_CLASSES": names,
        }

    return authenticate_by


@pytest.fixture
def asks(authenticate_by):
    authenticate_by(OURS)


@pytest.mark.usefixtures("asks")
@pytest.mark.parametrize(
    "words",
    [
        ["everyone"],
        ("staff", "superusers"),
        ["group:a group: the first", "tests.test_checks.must_have_one"],
    ],
)
def test_words_that_can_be_asked(settings, words):
    settings.TOTP_REQUIRED_FOR = words
    assert ids() == []


@pytest.mark.usefixtures("asks")
@pytest.mark.parametrize(
    ("word", "wrong"),
    [
        ("stuff", "which is no word of it"),
        ("Staff", "which is no word of it"),
        ("", "which is no word of it"),
        ("group:", "a group without a name"),
        ("group: ", "a group without a name"),
        ("tests.test_checks.no_such_function", "which cannot be imported (ImportError)"),
        ("tests.no_such_module.f", "which cannot be imported (ModuleNotFoundError)"),
        ("..", "which cannot be imported ("),
        ("tests.test_checks.NO_FUNCTION", "which cannot be called"),
    ],
)
def test_a_word_that_cannot_be_asked(settings, word, wrong):
    settings.TOTP_REQUIRED_FOR = ["everyone", word]
    [error] = messages()
    assert error.id == "django_totp.E025"
    assert error.msg.startswith(f"TOTP_REQUIRED_FOR names {word!r}, {wrong}")
    assert "'everyone', 'staff', 'superusers', 'group:NAME', and the dotted path" in error.hint
    assert error.is_serious()


@pytest.mark.usefixtures("asks")
@pytest.mark.parametrize(
    ("word", "lacking"),
    [("staff", "is_staff"), ("superusers", "is_superuser"), ("group:editors", "groups")],
)
def test_a_user_model_that_lacks_what_a_word_asks(settings, monkeypatch, word, lacking):
    class Person:
        _meta = LogEntry._meta

    monkeypatch.setattr("django_totp.checks.policy.get_user_model", lambda: Person)
    monkeypatch.setattr("django_totp.policy.get_user_model", lambda: Person)
    settings.TOTP_REQUIRED_FOR = ["everyone", "tests.test_checks.must_have_one", word]
    [error] = messages()
    assert error.id == "django_totp.E026"
    assert error.msg == f"TOTP_REQUIRED_FOR names {word!r}, and admin.LogEntry has no {lacking!r}."
    assert error.is_serious()


@pytest.mark.parametrize(
    ("classes", "named_in_it"),
    [
        ([f"{AUTHENTICATION}.JWTAuthentication"], ["JWTAuthentication"]),
        ([f"{AUTHENTICATION}.JWTStatelessUserAuthentication"], ["JWTStatelessUserAuthentication"]),
        ([OURS, OwnAuthentication], ["OwnAuthentication"]),
        ([OURS, OwnThatAsks, SessionAuthentication], []),
        (["tests.no_such_module.Authentication"], []),
        ([], []),
    ],
)
def test_authentication_that_does_not_ask(settings, authenticate_by, classes, named_in_it):
    authenticate_by(*classes)
    assert "django_totp.W017" not in ids()
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    found = [message for message in messages() if message.id == "django_totp.W017"]
    assert len(found) == len(named_in_it)
    for warning, name in zip(found, named_in_it, strict=True):
        assert f".{name} in REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES']" in warning.msg
        assert OURS in warning.hint
        assert not warning.is_serious()


def test_authentication_does_not_matter_without_our_urls(settings):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    settings.ROOT_URLCONF = urls()
    assert ids() == []


# --- The throttle ---


@pytest.mark.parametrize("rate", ["10", "ten/minute", "10/fortnight", "", 10, "0/minute", "-1/s"])
@pytest.mark.parametrize("setting", RATES)
def test_a_throttle_rate_lets_nothing_through(settings, setting, rate):
    setattr(settings, setting, rate)
    [error] = messages()
    assert error.id == "django_totp.E018"
    assert error.msg.startswith(f"{setting} must be ")
    assert error.msg.endswith(f", not {rate!r}.")
    assert "django_totp.W007" not in ids(deploy=True)


@pytest.mark.usefixtures("ready_to_deploy")
@pytest.mark.parametrize("rate", ["60/minute", "1/second", "1/day", "3600/h"])
@pytest.mark.parametrize("setting", RATES)
def test_a_throttle_rate_is_right(settings, setting, rate):
    setattr(settings, setting, rate)
    assert ids(deploy=True) == []


@pytest.mark.usefixtures("ready_to_deploy")
@pytest.mark.parametrize(
    ("setting", "rate"),
    [
        *(("TOTP_THROTTLE_RATE", rate) for rate in (None, "61/minute", "2/s")),
        *(("TOTP_ADDRESS_THROTTLE_RATE", rate) for rate in (None, "601/minute", "11/s")),
    ],
)
def test_a_throttle_rate_is_weak(settings, setting, rate):
    setattr(settings, setting, rate)
    assert ids() == []
    [warning] = messages(deploy=True)
    assert warning.id == "django_totp.W007"
    assert warning.msg.startswith(f"{setting} should be at most ")
    assert warning.msg.endswith(f", not {rate!r}.")


@pytest.mark.usefixtures("ready_to_deploy")
@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ("locmem.LocMemCache", "LocMemCache does not count for all processes."),
        ("dummy.DummyCache", "DummyCache keeps nothing."),
        ("filebased.FileBasedCache", "FileBasedCache looks before it writes, "),
        ("db.DatabaseCache", "DatabaseCache drops counts when it is full, and lets a burst "),
        ("none.NoCache", "it cannot be made."),
    ],
)
def test_a_cache_does_not_count_each_request(settings, tmp_path, backend, reason):
    backend = f"django.core.cache.backends.{backend}"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": str(tmp_path)}}
    assert ids() == []
    [warning] = messages(deploy=True)
    assert warning.id == "django_totp.W008"
    assert f"default cache, and {reason}" in warning.msg


@pytest.mark.usefixtures("ready_to_deploy")
def test_without_a_throttle_any_cache_will_do(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    settings.TOTP_THROTTLE_RATE = None
    found = sorted(ids(deploy=True))
    assert found == ["django_totp.W007", "django_totp.W008"]  # addresses are counted
    settings.TOTP_ADDRESS_THROTTLE_RATE = None
    assert ids(deploy=True) == ["django_totp.W007", "django_totp.W007"]


@pytest.mark.usefixtures("ready_to_deploy")
def test_a_throttle_of_the_project_with_a_setting_of_its_own_is_its_own(settings, monkeypatch):
    own = type("Own", (TotpThrottle,), {"setting": "OWN_RATE", "rate": "nonsense"})
    monkeypatch.setattr(TotpStatusView, "throttle_classes", (own,))
    assert ids(deploy=True) == []


# --- What is around the endpoints ---


def test_rest_framework_is_not_installed():
    with modify_settings(INSTALLED_APPS={"remove": "rest_framework"}):
        [warning] = messages()
    assert warning.id == "django_totp.W001"
    assert "INSTALLED_APPS" in warning.hint


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_database_that_nobody_commits_to(monkeypatch, autocommit):
    monkeypatch.setitem(connections.settings["default"], "AUTOCOMMIT", autocommit)
    found = [message.id for message in run_checks(tags=[Tags.security])]
    assert ("django_totp.W015" in found) is not autocommit


@pytest.mark.parametrize("on_delete", [PROTECT, RESTRICT, DO_NOTHING])
def test_a_foreign_key_that_keeps_an_enrollment(monkeypatch, on_delete):
    assert "django_totp.W016" not in ids()
    monkeypatch.setattr(BackupCode._meta.get_field("totp").remote_field, "on_delete", on_delete)
    [warning] = [message for message in messages() if message.id == "django_totp.W016"]
    assert warning.msg == ("django_totp.BackupCode.totp keeps TOTP enrollments from being removed.")


class OwnBasic(BasicAuthentication):
    pass


class BasicStatus(TotpStatusView):
    authentication_classes = (OwnBasic,)


class ChoosingStatus(TotpStatusView):
    def get_authenticators(self):
        return [*super().get_authenticators(), OwnBasic()]


class InheritingStatus(ChoosingStatus):
    permission_classes = ()


class StatusByMethod(TotpStatusView):
    def get_authenticators(self):
        return [OwnBasic()] if self.request.method == "POST" else super().get_authenticators()


class StatusOfAHelper(TotpStatusView):
    def get_authenticators(self):
        return list(make_authenticators())


def make_authenticators():
    yield OwnBasic()


@pytest.mark.parametrize(
    "view",
    [
        BasicStatus.as_view(),
        TotpStatusView.as_view(authentication_classes=[SessionAuthentication, OwnBasic]),
        ChoosingStatus.as_view(),
        InheritingStatus.as_view(),
        StatusByMethod.as_view(),
        StatusOfAHelper.as_view(),
    ],
)
def test_basic_authentication_opens_our_endpoints(settings, view):
    settings.ROOT_URLCONF = urls(path("", include([path("totp/", view)])))
    [warning] = messages()
    assert warning.id == "django_totp.W009"
    assert not warning.is_serious()
    assert "to enroll" in warning.hint


class SessionsInPlaceOfBasic(BasicStatus):
    def get_authenticators(self):
        return [SessionAuthentication()]


class PasswordAndCode(OwnBasic):
    asks_second_factor = True


class EndlessStatus(TotpStatusView):
    authentication_classes = itertools.repeat(OwnBasic)


@pytest.mark.parametrize(
    "view",
    [
        TotpStatusView.as_view(),
        SessionsInPlaceOfBasic.as_view(),
        TotpStatusView.as_view(authentication_classes=[PasswordAndCode]),
        EndlessStatus.as_view(),
        APIView.as_view(authentication_classes=[OwnBasic]),
    ],
)
def test_a_password_alone_does_not_open_our_endpoints(settings, view):
    settings.ROOT_URLCONF = urls(path("", view))
    assert ids() == []


class Endless:
    """A callable that has all attributes, each of them another one of its kind."""

    def __call__(self, request):
        raise AssertionError

    def __getattr__(self, name):
        return Endless()


def test_an_odd_view_hides_no_other(settings):
    settings.ROOT_URLCONF = urls(path("odd/", Endless()), path("", BasicStatus.as_view()))
    assert ids() == ["django_totp.W009"]


# --- What simplejwt is told ---


class OwnObtain(TokenObtainPairSerializer):
    @classmethod
    def get_token(cls, user):
        return super().get_token(user)


class OwnValidate(OwnObtain):
    def validate(self, attrs):
        return super().validate(attrs)


class OwnValidateOfParent(OwnValidate):
    pass


class SlidingObtain(OwnObtain):
    token_class = SlidingToken


class ObtainByItself:
    @staticmethod
    def get_token(user):
        return RefreshToken.for_user(user)


@pytest.mark.parametrize("serializer", [TokenObtainPairSerializer, OwnObtain, ObtainByItself])
def test_a_serializer_makes_our_tokens(simplejwt, serializer):
    simplejwt(TOKEN_OBTAIN_SERIALIZER=named(serializer))
    assert ids() == []


@pytest.mark.parametrize(
    "name",
    [
        named(TokenObtainSlidingSerializer),
        named(SlidingObtain),
        "rest_framework_simplejwt.serializers.TokenObtainSerializer",
        "rest_framework_simplejwt.serializers.TokenVerifySerializer",
        "tests.no_such_module.Serializer",
        "",
        7,
    ],
)
def test_a_serializer_makes_no_refresh_tokens(simplejwt, name):
    simplejwt(TOKEN_OBTAIN_SERIALIZER=name)
    error = next(message for message in messages() if message.id == "django_totp.E020")
    assert repr(name) in error.msg
    assert "TokenObtainPairSerializer" in error.hint


@pytest.mark.parametrize("name", ["no.such.Serializer", "", 7])
def test_a_refresh_serializer_that_cannot_be_imported(simplejwt, name):
    simplejwt(TOKEN_REFRESH_SERIALIZER=name)
    [error] = messages()
    assert error.id == "django_totp.E027"
    assert repr(name) in error.msg
    assert error.is_serious()


@pytest.mark.parametrize("serializer", [OwnValidate, OwnValidateOfParent])
def test_a_validate_of_its_own_is_not_called(simplejwt, serializer):
    simplejwt(TOKEN_OBTAIN_SERIALIZER=named(serializer))
    [warning] = messages()
    assert warning.id == "django_totp.W014"
    assert "USER_AUTHENTICATION_RULE" in warning.hint
    assert "get_token" in warning.hint
    assert not warning.is_serious()


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ((AccessToken,), []),
        ([AccessToken, type("OwnAccess", (AccessToken,), {})], []),
        ((SlidingToken,), ["django_totp.E021"]),
        ((RefreshToken,), ["django_totp.E021"]),
        ((AccessToken, SlidingToken), ["django_totp.W013"]),
        ((), []),
        (None, []),
    ],
)
def test_the_tokens_that_authenticate(simplejwt, classes, expected):
    simplejwt(AUTH_TOKEN_CLASSES=classes)
    assert ids() == expected


@pytest.mark.parametrize("field", ["pk", "password"])
def test_a_field_that_names_users(simplejwt, field):
    simplejwt(USER_ID_FIELD=field)
    assert ids() == []


@pytest.mark.parametrize("field", ["no_such_field", "totp", "logentry", "", ["id"]])
def test_a_field_that_the_user_model_lacks(simplejwt, field):
    simplejwt(USER_ID_FIELD=field)
    [error] = messages()
    assert error.id == "django_totp.E022"
    assert get_user_model()._meta.label in error.msg
    assert repr(get_user_model()._meta.pk.name) in error.hint


def test_simplejwt_does_not_matter_without_our_jwt_urls(settings, simplejwt):
    settings.ROOT_URLCONF = urls(path("", include("django_totp.urls")))
    simplejwt(
        AUTH_TOKEN_CLASSES=[SlidingToken],
        TOKEN_OBTAIN_SERIALIZER="tests.no_such_module.Serializer",
        USER_ID_FIELD="no_such_field",
    )
    assert ids() == []


def test_settings_of_simplejwt_that_cannot_be_read(simplejwt, monkeypatch):
    """simplejwt raises then, wherever it is used."""
    monkeypatch.setattr(jwt, "api_settings", object())
    assert ids() == []


# --- Addresses ---


@pytest.mark.usefixtures("ready_to_deploy")
def test_a_client_names_its_own_address(settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": None}
    assert ids() == []
    assert ids(deploy=True) == ["django_totp.W010"]
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 0}
    assert ids(deploy=True) == []


def not_ours(request):
    raise AssertionError


@pytest.mark.parametrize(
    "urlconf",
    [urls(), urls(path("", not_ours)), urls("no pattern"), "tests.no_such_module", None, ()],
)
def test_what_is_around_does_not_matter_without_our_urls(settings, urlconf):
    settings.ROOT_URLCONF = urlconf
    settings.TOTP_THROTTLE_RATE = "nonsense"
    with modify_settings(INSTALLED_APPS={"remove": "rest_framework"}):
        assert ids(deploy=True) == ["django_totp.W002", "django_totp.W012"]


def test_a_project_without_urls(settings):
    del settings.ROOT_URLCONF
    assert ids(deploy=True) == ["django_totp.W002", "django_totp.W012"]


@pytest.mark.parametrize("setting", [rule.setting for rule in MISTAKES])
def test_none_counts_as_unset(settings, setting):
    setattr(settings, setting, None)
    assert ids() == []


@pytest.mark.usefixtures("ready_to_deploy")
def test_an_unset_salt_is_told_at_deploy(settings):
    settings.TOTP_TOKEN_SALT = None
    assert ids(deploy=True) == ["django_totp.W002"]


# --- The session face ---

GUARD = "django_totp.middleware.SecondFactorMiddleware"
DJANGOS = "django.contrib.auth.middleware.AuthenticationMiddleware"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
REMOTE_BACKEND = "django.contrib.auth.backends.RemoteUserBackend"


class OwnGuard(SecondFactorMiddleware):
    pass


class OwnDjangos(AuthenticationMiddleware):
    pass


def test_pages_without_the_middleware(settings):
    settings.ROOT_URLCONF = "tests.urls"
    [error] = messages()
    assert error.id == "django_totp.E028"
    assert error.hint == f"Add {GUARD!r} to MIDDLEWARE, after {DJANGOS!r}."


def test_a_guard_without_the_middleware(settings):
    settings.ROOT_URLCONF = "tests.checks_urls"
    assert ids() == ["django_totp.E028"]
    settings.MIDDLEWARE = [DJANGOS, GUARD]
    assert ids() == ["django_totp.E030"]


@pytest.mark.parametrize(
    ("chain", "is_right"),
    [
        ([DJANGOS, GUARD], True),
        ([DJANGOS, f"{__name__}.OwnGuard"], True),
        ([f"{__name__}.OwnDjangos", GUARD], True),
        ([GUARD, DJANGOS], False),
        ([GUARD], False),
        (["no.such.Middleware", GUARD], False),
    ],
)
def test_the_place_of_the_middleware(settings, chain, is_right):
    settings.ROOT_URLCONF, settings.MIDDLEWARE = "tests.urls", chain
    assert ids() == ([] if is_right else ["django_totp.E029"])


def test_no_pages(settings):
    settings.MIDDLEWARE = [DJANGOS, GUARD]
    [error] = messages()
    assert error.id == "django_totp.E030"
    assert "django_totp.urls.pages" in error.hint


def test_broken_urls_are_djangos_to_tell(settings):
    settings.ROOT_URLCONF, settings.MIDDLEWARE = "no.such.urls", [DJANGOS, GUARD]
    assert not {"django_totp.E028", "django_totp.E030"} & {*ids()}
    settings.MIDDLEWARE = []
    assert "django_totp.E028" not in ids()


@pytest.mark.parametrize(
    ("exempt", "found"),
    [
        ([], []),
        ((REMOTE_BACKEND,), []),
        (REMOTE_BACKEND, ["django_totp.E031"]),
        (["x.Y"], ["django_totp.E031"]),
        ([1], ["django_totp.E031"]),
        ([MODEL_BACKEND], ["django_totp.W018"]),
    ],
)
def test_exempt_backends(settings, exempt, found):
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, REMOTE_BACKEND]
    settings.TOTP_EXEMPT_BACKENDS = exempt
    assert ids() == found


@pytest.mark.parametrize("rate", ["10", "x/minute", "1/fortnight", 10, "0/minute", ""])
def test_a_rate_that_only_pages_read(settings, rate):
    settings.ROOT_URLCONF, settings.MIDDLEWARE = "tests.pages_urls", [DJANGOS, GUARD]
    settings.TOTP_ADDRESS_THROTTLE_RATE = rate
    assert ids() == ["django_totp.E018"]
    settings.TOTP_ADDRESS_THROTTLE_RATE = "601/minute"
    assert "django_totp.W007" in ids(deploy=True)
    settings.TOTP_ADDRESS_THROTTLE_RATE = None
    assert "django_totp.E018" not in ids()


def test_an_address_that_only_pages_read(settings):
    settings.ROOT_URLCONF, settings.MIDDLEWARE = "tests.pages_urls", [DJANGOS, GUARD]
    settings.REST_FRAMEWORK = {}
    assert "django_totp.W010" in ids(deploy=True)
    settings.REST_FRAMEWORK = {"NUM_PROXIES": 0}
    assert "django_totp.W010" not in ids(deploy=True)
