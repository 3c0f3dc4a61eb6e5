"""Every setting: its default, and that it is read when it is asked for."""

import pytest

from django_totp.conf import Conf, conf

SETTINGS = [
    ("TOTP_ENCRYPTION_KEY", None, "a key"),
    ("TOTP_ENCRYPTION_KEY_FALLBACKS", [], ["a key"]),
    ("TOTP_ISSUER", "MyApp", "Example"),
    ("TOTP_MAX_BACKUP_CODES", 10, 0),
    ("TOTP_THROTTLE_RATE", "10/minute", None),
    ("TOTP_ADDRESS_THROTTLE_RATE", "60/minute", None),
    ("TOTP_TOKEN_SALT", "django-totp-token-salt", "a salt"),
    ("TOTP_TOKEN_MAX_AGE", 120, 60),
    ("TOTP_DIGITS", 6, 8),
    ("TOTP_PERIOD", 30, 60),
    ("TOTP_ALGORITHM", "SHA1", "SHA256"),
    ("TOTP_VALID_WINDOW", 1, 0),
    ("TOTP_SETUP_MAX_AGE", 3600, 600),
    ("TOTP_FAILURE_LIMIT", 5, 3),
    ("TOTP_LOCKOUT_SECONDS", 30, 0),
    ("TOTP_LOCKOUT_MAX_SECONDS", 900, 60),
    ("TOTP_FAILURE_CAP", 100, None),
    ("TOTP_REAUTHENTICATE", False, True),
    ("TOTP_REAUTHENTICATE_MAX_AGE", 300, 60),
    ("TOTP_REQUIRED_FOR", [], ["everyone"]),
    ("TOTP_GRACE_PERIOD", 0, 86400),
    ("TOTP_EXEMPT_BACKENDS", [], ["django.contrib.auth.backends.RemoteUserBackend"]),
    ("TOTP_TRUSTED_DEVICE_MAX_AGE", 0, 2592000),
    ("TOTP_RECOVERY_DELAY", None, 259200),
    ("TOTP_RECOVERY_URL", "", "https://example.com/{action}/{token}"),
    ("TOTP_SEND_NOTICES", False, True),
    ("TOTP_NOTICE_URL", "", "https://example.com/not-me/"),
    ("TOTP_AUDIT_ALLOWED", {}, {"a finding": "a reason"}),
]


@pytest.mark.parametrize(("name", "default", "other"), SETTINGS)
def test_a_setting_that_is_absent_has_its_default(settings, name, default, other):
    delattr(settings, name)
    assert getattr(conf, name) == default


@pytest.mark.parametrize(("name", "default", "other"), SETTINGS)
def test_none_is_the_default_where_it_means_nothing(settings, name, default, other):
    """As ``os.getenv`` gives it."""
    setattr(settings, name, None)
    assert getattr(conf, name) == (default if other is not None else None)


@pytest.mark.parametrize(("name", "default", "other"), SETTINGS)
def test_a_setting_is_read_at_the_moment_of_use(settings, name, default, other):
    for value in (other, default, other):
        setattr(settings, name, value)
        assert getattr(conf, name) == value


def test_no_setting_is_missing_here():
    properties = {name for name, value in vars(Conf).items() if isinstance(value, property)}
    assert properties == {name for name, _, _ in SETTINGS}
