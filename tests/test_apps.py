"""What the app brings with it when Django starts, and what it leaves alone."""

import subprocess
import sys

import pytest
from django.apps import apps
from django.test import modify_settings

import django_totp

PYTHON_API_ONLY = """
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_totp"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TOTP_ENCRYPTION_KEY="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    TOTP_ISSUER="Example",
    TOTP_TOKEN_SALT="only here",
)

import sys

import django
from django.core.management import call_command

django.setup()
call_command("check", deploy=True, tags=["security"])
call_command("migrate", verbosity=0)

from django.contrib.auth import get_user_model
from django_totp import auth, backup_code_utils, totp

ada = get_user_model().objects.create_user("ada")
assert totp.create_totp_setup(ada).startswith("<svg")
assert backup_code_utils.store_backup_codes(ada, ["abcd-efgh"]) == ["abcd-efgh"]
assert auth.is_totp_enabled(ada)
assert backup_code_utils.verify_backup_code(ada, "ABCDEFGH")

loaded = {name.partition(".")[0] for name in sys.modules}
print(*loaded & {"rest_framework", "rest_framework_simplejwt", "drf_spectacular"})
"""


def test_the_app_has_the_label_of_its_tables():
    config = apps.get_app_config("django_totp")
    assert (config.name, config.label) == ("django_totp", "django_totp")
    assert {model._meta.db_table for model in config.get_models()} == {
        "django_totp_totp",
        "django_totp_backupcode",
        "django_totp_account",
        "django_totp_trusteddevice",
        "django_totp_event",
    }
    assert config.default_auto_field == "django.db.models.BigAutoField"


@pytest.fixture
def no_schema(monkeypatch):
    """Forget that the schema has been imported."""
    monkeypatch.delitem(sys.modules, "django_totp.schema")
    monkeypatch.delattr(django_totp, "schema")


@pytest.mark.usefixtures("no_schema")
def test_the_schema_is_imported_where_drf_spectacular_is_installed():
    apps.get_app_config("django_totp").ready()
    assert "django_totp.schema" in sys.modules


@pytest.mark.usefixtures("no_schema")
def test_no_schema_is_imported_without_drf_spectacular():
    with modify_settings(INSTALLED_APPS={"remove": "drf_spectacular"}):
        apps.get_app_config("django_totp").ready()
        assert "django_totp.schema" not in sys.modules


@pytest.mark.slow
def test_a_project_of_the_python_api_alone_never_loads_rest_framework():
    command = [sys.executable, "-W", "error", "-c", PYTHON_API_ONLY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
    assert "django_totp." not in done.stderr
