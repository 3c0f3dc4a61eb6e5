"""Encryption at rest, key rotation, and the key while a settings module is being imported."""

import base64
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured

import django_totp
from django_totp import encryption
from django_totp.encryption import (
    decrypt,
    encrypt,
    generate_fernet_key,
    keyed_digest,
    keyed_digests,
    resolve_fernet_key,
    resolve_fernet_keys,
)

PACKAGES = Path(django_totp.__file__).parent.parent
MAKE_A_KEY = r"from django_totp\.encryption import generate_fernet_key"
KEY, OTHER_KEY = (base64.urlsafe_b64encode(symbol * 32).decode() for symbol in (b"k", b"o"))

malformed = pytest.mark.parametrize(
    "key",
    [
        "secret",
        "k" * 44,
        KEY[:-2],
        KEY[:-1],
        base64.urlsafe_b64encode(b"k" * 31).decode(),
        base64.urlsafe_b64encode(b"k" * 33).decode(),
        KEY.replace("a", "ä"),
        "\ud800" * 44,
        b"\xff" * 44,
        ["key"],
        1.5,
    ],
    ids=repr,
)


@pytest.fixture
def key(settings):
    settings.TOTP_ENCRYPTION_KEY = KEY
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = []
    return KEY


@pytest.fixture
def no_key(settings):
    del settings.TOTP_ENCRYPTION_KEY


@pytest.fixture
def unread_settings(key, monkeypatch):
    """Make Django's settings look as they do while their module is being imported."""
    module = types.ModuleType("unread_settings")
    monkeypatch.setattr(encryption, "settings", LazySettings())
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", module.__name__)
    return module


@pytest.fixture
def project(tmp_path):
    """Return a function that runs Python in a project of its own and gives what it printed."""

    def run(command, settings_module="", **modules):
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(f"SECRET_KEY = 'project'\n{text}\n")
        environment = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(PACKAGES)])
        if settings_module:
            environment["DJANGO_SETTINGS_MODULE"] = settings_module
        python = [sys.executable, "-W", "error", "-c", command]
        done = subprocess.run(
            python, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()

    return run


# --- Encrypt and decrypt ---


@pytest.mark.parametrize("value", ["", "JBSWY3DPEHPK3PXP", "abcd-efgh-jkmn-pqrs", "schlüssel\0"])
def test_what_was_encrypted_can_be_decrypted(key, value):
    assert decrypt(encrypt(value)) == value


def test_a_token_is_one_of_fernet_and_shows_nothing(key):
    token = encrypt("JBSWY3DPEHPK3PXP")
    assert "JBSWY3DPEHPK3PXP" not in token
    assert Fernet(KEY).decrypt(token) == b"JBSWY3DPEHPK3PXP"


def test_two_tokens_of_one_value_differ(key):
    assert encrypt("value") != encrypt("value")


def test_a_key_may_be_bytes(settings):
    settings.TOTP_ENCRYPTION_KEY = KEY.encode()
    assert Fernet(KEY).decrypt(encrypt("value")) == b"value"


@pytest.mark.parametrize(
    "change",
    [str.swapcase, str.upper, "g{}".format, lambda token: token[:-4], lambda token: ""],
)
def test_a_token_that_was_changed_is_refused(key, change):
    with pytest.raises(InvalidToken):
        decrypt(change(encrypt("value")))


def test_another_key_reads_nothing(key, settings):
    token = encrypt("value")
    settings.TOTP_ENCRYPTION_KEY = OTHER_KEY
    with pytest.raises(InvalidToken):
        decrypt(token)


def test_a_fallback_reads_what_an_older_key_wrote(key, settings):
    token = encrypt("value")
    settings.TOTP_ENCRYPTION_KEY = OTHER_KEY
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [KEY]
    assert decrypt(token) == "value"


def test_a_fallback_writes_nothing(key, settings):
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [OTHER_KEY]
    token = encrypt("value")
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = []
    assert decrypt(token) == "value"


def test_a_fallback_reads_only_while_it_is_configured(key, settings):
    token = encrypt("value")
    settings.TOTP_ENCRYPTION_KEY = OTHER_KEY
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [KEY]
    decrypt(token)
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = []
    with pytest.raises(InvalidToken):
        decrypt(token)


# --- Digests, by which backup codes are found ---


def test_a_digest_has_80_bits_and_shows_nothing(key):
    digest = keyed_digest("abcdefghjkmnpqrs")
    assert len(base64.b32decode(digest.upper())) == 10
    assert "abcd" not in digest


def test_a_digest_depends_on_the_value_and_the_key(key, settings):
    digests = {keyed_digest("one"), keyed_digest("two")}
    settings.TOTP_ENCRYPTION_KEY = OTHER_KEY
    assert len(digests | {keyed_digest("one"), keyed_digest("two")}) == 4


def test_a_digest_stays_what_it_was(key):
    """It is stored: were it computed in another way, every backup code would be lost."""
    assert keyed_digest("abcdefghjkmnpqrs") == "rfkb22tsulmwh2gk"


def test_there_is_a_digest_under_each_key(key, settings):
    older = keyed_digest("value")
    settings.TOTP_ENCRYPTION_KEY = OTHER_KEY
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [KEY]
    assert keyed_digests("value") == [keyed_digest("value"), older]


# --- Keys ---


def test_generated_keys_are_fernet_keys_and_differ():
    made = {generate_fernet_key() for _ in range(10)}
    assert len(made) == 10
    assert all(Fernet(key) for key in made)


@pytest.mark.parametrize("configured", [KEY, KEY.encode()])
def test_the_configured_key_comes_as_bytes(settings, configured):
    settings.TOTP_ENCRYPTION_KEY = configured
    assert resolve_fernet_key() == KEY.encode()


def test_the_configured_key_goes_before_the_default(key):
    assert resolve_fernet_key(OTHER_KEY) == KEY.encode()


@pytest.mark.parametrize("default", [KEY, KEY.encode()])
def test_the_default_stands_in_for_a_key(no_key, default):
    assert resolve_fernet_key(default) == KEY.encode()


def test_all_keys_come_with_the_one_that_encrypts_first(key, settings):
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [OTHER_KEY.encode(), KEY]
    assert resolve_fernet_keys() == (KEY.encode(), OTHER_KEY.encode(), KEY.encode())


@pytest.mark.parametrize("use", [resolve_fernet_key, lambda: encrypt("v"), lambda: decrypt("v")])
def test_a_missing_key_is_an_error_that_says_how_to_make_one(no_key, use):
    with pytest.raises(ImproperlyConfigured, match=f"KEY is not set.*{MAKE_A_KEY}"):
        use()


@pytest.mark.parametrize("nothing", ["", b"", None])
def test_an_empty_key_is_a_missing_one(settings, nothing):
    settings.TOTP_ENCRYPTION_KEY = nothing
    with pytest.raises(ImproperlyConfigured, match=f"KEY is not set.*{MAKE_A_KEY}"):
        resolve_fernet_key()


@malformed
def test_a_malformed_key_is_an_error_that_says_how_to_make_one(settings, key):
    settings.TOTP_ENCRYPTION_KEY = key
    with pytest.raises(ImproperlyConfigured, match=f"KEY holds.*{MAKE_A_KEY}"):
        encrypt("value")


@malformed
def test_a_malformed_default_is_an_error(no_key, key):
    with pytest.raises(ImproperlyConfigured, match=MAKE_A_KEY):
        resolve_fernet_key(key)


@malformed
def test_a_malformed_fallback_is_an_error(settings, key):
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [key]
    with pytest.raises(ImproperlyConfigured, match=f"KEY_FALLBACKS holds.*{MAKE_A_KEY}"):
        decrypt("value")


def test_an_error_does_not_show_the_malformed_key(settings):
    settings.TOTP_ENCRYPTION_KEY = "almost-a-key"
    with pytest.raises(ImproperlyConfigured) as raised:
        resolve_fernet_key()
    assert "almost-a-key" not in str(raised.value)


# --- Without Django's settings, and while they are being imported ---


def test_the_command_of_the_errors_makes_a_key_without_any_settings(project):
    command = encryption.MAKE_A_KEY.partition('"')[2].rpartition('"')[0]
    assert Fernet(project(command))


def test_without_any_settings_the_default_is_used(project):
    command = "from django_totp.encryption import *; print(resolve_fernet_key({!r}).decode())"
    assert project(command.format(KEY)) == KEY


def test_without_any_settings_and_default_there_is_no_key(project):
    output = project("from django_totp.encryption import *; resolve_fernet_key()")
    assert "ImproperlyConfigured: TOTP_ENCRYPTION_KEY is not set." in output


def test_a_module_that_is_being_imported_is_asked_for_the_key(unread_settings):
    assert resolve_fernet_key(OTHER_KEY) == OTHER_KEY.encode()
    unread_settings.TOTP_ENCRYPTION_KEY = KEY
    assert resolve_fernet_key(OTHER_KEY) == KEY.encode()


def test_a_module_that_was_not_imported_is_read_by_django(unread_settings, monkeypatch):
    monkeypatch.delitem(sys.modules, unread_settings.__name__)
    assert resolve_fernet_key(OTHER_KEY) == KEY.encode()


def test_where_no_module_is_named_there_is_no_key(unread_settings, monkeypatch):
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    assert resolve_fernet_key(OTHER_KEY) == OTHER_KEY.encode()


SHOW = "from django.conf import settings; print(settings.KEY.decode())"
IMPORT = "from django_totp.encryption import resolve_fernet_key"


@pytest.mark.parametrize("argument", [repr(KEY), repr(KEY.encode())])
def test_inside_settings_the_default_is_used(project, argument):
    text = f"{IMPORT}\nKEY = resolve_fernet_key({argument})"
    assert project(SHOW, "site_settings", site_settings=text) == KEY


def test_inside_settings_the_key_that_stands_above_is_used(project):
    text = f"TOTP_ENCRYPTION_KEY = {KEY!r}\n{IMPORT}\nKEY = resolve_fernet_key({OTHER_KEY!r})"
    assert project(SHOW, "site_settings", site_settings=text) == KEY


def test_inside_settings_without_a_key_the_error_says_so(project):
    text = f"{IMPORT}\nKEY = resolve_fernet_key()"
    output = project(SHOW, "site_settings", site_settings=text)
    assert "ImproperlyConfigured: TOTP_ENCRYPTION_KEY is not set." in output


def test_inside_base_settings_the_default_is_used(project):
    base = f"{IMPORT}\nTOTP_ENCRYPTION_KEY = KEY = resolve_fernet_key({KEY!r})"
    shown = project(SHOW, "site_settings", base=base, site_settings="from base import *")
    assert shown == KEY


def test_the_key_of_base_settings_is_used_above_them(project):
    text = f"from base import *\n{IMPORT}\nKEY = resolve_fernet_key()"
    base = f"TOTP_ENCRYPTION_KEY = {KEY!r}"
    assert project(SHOW, "site_settings", base=base, site_settings=text) == KEY


def test_settings_go_on_after_the_key_was_resolved(project):
    """Had the call made Django read the settings, what stands below it would be missing."""
    text = f"{IMPORT}\nTOTP_ENCRYPTION_KEY = resolve_fernet_key({KEY!r})\nBELOW = 'read'"
    command = "from django.conf import settings; print(settings.BELOW)"
    assert project(command, "site_settings", site_settings=text) == "read"


def test_settings_that_nobody_has_read_yet_are_read(project):
    command = f"{IMPORT}; print(resolve_fernet_key().decode())"
    text = f"TOTP_ENCRYPTION_KEY = {KEY!r}"
    assert project(command, "site_settings", site_settings=text) == KEY


def test_settings_that_were_imported_but_not_read_are_used(project):
    command = f"import site_settings; {IMPORT}; print(resolve_fernet_key().decode())"
    text = f"TOTP_ENCRYPTION_KEY = {KEY!r}"
    assert project(command, "site_settings", site_settings=text) == KEY


def test_what_is_no_text_cannot_be_decrypted(settings):
    token = Fernet(settings.TOTP_ENCRYPTION_KEY).encrypt(b"\xff").decode()
    with pytest.raises(InvalidToken):
        decrypt(token)
