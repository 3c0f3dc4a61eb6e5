"""docs/upgrading.md: what differs from 1.1 does, and the ways out lead out."""

import importlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.signing import BadSignature
from django.urls import NoReverseMatch, reverse

from django_totp import auth, exceptions, qr
from django_totp.backup_code_utils import rotate_backup_codes
from django_totp.checks.settings import check_values
from django_totp.models import Account, BackupCode, Totp
from django_totp.serializers import PASSWORD_LENGTH
from django_totp.totp import confirm_totp_setup, start_totp_setup, verify_totp_code
from tests import markdown, scratch

PAGE = markdown.read("docs/upgrading.md")
NAMES = markdown.rows(markdown.sections(PAGE, 3)["Names that went"])

# All public names of 1.1.3 to 1.1.7, by module.
RELEASED = {
    "admin": "TotpAdmin BackupCodeInline",
    "apps": "DjangoTotpConfig",
    "auth": "AUTH_USER_MODEL TOKEN_SALT TOKEN_MAX_AGE is_totp_enabled generate_challenge_token"
    " verify_challenge_token get_user_from_challenge_token",
    "backup_code": "generate_backup_codes",
    "backup_code_utils": "store_backup_codes verify_backup_code rotate_backup_codes",
    "email": "",
    "email_utils": "",
    "encryption": "generate_fernet_key resolve_fernet_key encrypt decrypt",
    "models": "MAX_BACKUP_CODES User Totp BackupCode",
    "qrsvg": "render_qr_code_svg",
    "serializers": "EmptySerializer TotpCreateResponseSerializer BackupCodeListSerializer"
    " TotpConfirmRequestSerializer JWTCreateSerializer JWT2FAVerifySerializer"
    " TotpRecoveryRequestSerializer TotpRecoveryConfirmSerializer",
    "signals": "totp_created totp_disabled backup_codes_rotated totp_login_succeeded"
    " non_totp_login_succeeded totp_recovery_succeeded",
    "throttle": "THROTTLE_RATE TotpUserThrottle TotpThrottle TotpAnonThrottle",
    "totp": "TOTP_ISSUER generate_totp_secret verify_totp_code create_totp_setup"
    " confirm_totp_setup disable_totp",
    "urls": "router urlpatterns",
    "urls.jwt": "urlpatterns",
    "urls.recovery": "",
    "views": "TotpViewSet TotpRecoveryViewSet JWTCreateView JWTTOTP2FAVerifyView",
}


def _find(name: str) -> Any:
    """Return what the dotted ``name`` stands for, or raise ImportError or AttributeError."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(_find(module), attribute)


def _exists(name: str) -> bool:
    try:
        _find(name)
    except (ImportError, AttributeError, ValueError):
        return False
    return True


class TestNames:
    def test_those_that_went_are_gone(self) -> None:
        went = [name for old, _ in NAMES for name in markdown.code(old)]
        assert [name for name in went if _exists(name)] == []

    def test_those_that_came_are_there(self) -> None:
        came = [name for _, new in NAMES for name in markdown.code(new)]
        assert [name for name in came if not _exists(name)] == []

    def test_none_is_left_out(self) -> None:
        released = {
            f"django_totp.{module}{'.' if name else ''}{name}"
            for module, names in RELEASED.items()
            for name in (names.split() or [""])
        }
        went = {name for name in released if not _exists(name)}
        assert went == {name for old, _ in NAMES for name in markdown.code(old)}

    def test_the_names_of_urls_stay(self) -> None:
        for name in ("create", "confirm", "disable", "rotate-backup-codes"):
            assert reverse(f"totp-{name}")
        with pytest.raises(NoReverseMatch):
            reverse("api-root")


class TestSentences:
    TABLE = markdown.rows(markdown.sections(PAGE, 2)["What changes for clients"])

    def test_old_ones_are_gone(self) -> None:
        old = [sentence for row in self.TABLE[:3] for sentence in markdown.code(row[0])[:1]]
        source = "".join(path.read_text() for path in scratch.PACKAGE.rglob("*.py"))
        assert len(old) == 3
        assert [sentence for sentence in old if sentence in source] == []

    def test_new_ones_are_ours(self) -> None:
        new = {sentence for row in self.TABLE[:3] for sentence in markdown.code(row[1])}
        errors = [
            exceptions.InvalidTotpCode,
            exceptions.InvalidBackupCode,
            exceptions.TotpAlreadyExists,
        ]
        assert new == {str(error()) for error in errors}

    @pytest.mark.django_db
    @pytest.mark.parametrize("codes", [{}, {"otp_code": "1", "backup_code": "1"}])
    def test_field_errors_stay(self, client: Any, codes: dict[str, str]) -> None:
        body = {"totp_challenge_token": "x", **codes}
        answer = client.post(reverse("jwt-totp-verify"), body).json()
        assert set(answer) == {"non_field_errors", "detail", "code"}


@pytest.mark.django_db
class TestFunctions:
    def test_a_pending_enrollment_verifies_nothing(self, user: Any, otp: Any) -> None:
        setup = start_totp_setup(user)
        assert verify_totp_code(user, otp(setup.secret)) is False
        with pytest.raises(exceptions.TotpNotEnrolled):
            rotate_backup_codes(user)
        assert confirm_totp_setup(user, otp(setup.secret))

    def test_no_user_is_an_invalid_challenge(self, user: Any) -> None:
        token = auth.generate_challenge_token(user)
        user.delete()
        with pytest.raises(exceptions.InvalidChallenge) as caught:
            auth.get_user_from_challenge_token(token)
        assert isinstance(caught.value, BadSignature)

    def test_a_number_in_quotes_is_refused(self, settings: Any) -> None:
        settings.TOTP_MAX_BACKUP_CODES = "10"
        assert [message.id for message in check_values()] == ["django_totp.E004"]


def test_the_picture_is_an_element_to_put_into_a_page() -> None:
    assert qr.svg("otpauth://totp/x").startswith("<svg ")


def test_the_length_of_a_password() -> None:
    assert f"Passwords may have {PASSWORD_LENGTH} characters" in markdown.sentences(
        "docs/upgrading.md"
    )


def test_the_permissions_of_staff_are_those_of_the_model() -> None:
    staff = markdown.sections(PAGE, 3)["Staff"]
    own = {name for model in (Totp, Account) for name, _ in model._meta.permissions}
    assert own <= set(markdown.code(staff))
    assert set(markdown.code(staff)) - own - {"migrate"} == {
        f"{action}_totp" for action in ("view", "change", "delete")
    }


def test_what_is_needed_in_place_of_qrcode() -> None:
    project = markdown.read("pyproject.toml")
    assert '"segno' in project
    assert "qrcode" not in project


# Written by ``makemigrations`` of Django 5.2 beside django-totp 1.1.3.
WRITTEN = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_totp", "0001_initial")]
    operations = [
        migrations.AlterField(
            model_name=name,
            name="id",
            field=models.AutoField(
                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
            ),
        )
        for name in ("backupcode", "totp")
    ]
"""
OWN = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("django_totp", "PARENT")]
    operations = []
"""
WITH_OWN = """
import os
TOTP_ENCRYPTION_KEY = os.environ["TOTP_ENCRYPTION_KEY"]
INSTALLED_APPS += ["django_totp", "own"]
"""


@pytest.mark.slow
def test_the_way_out_of_a_migration_that_makemigrations_wrote(tmp_path: Path) -> None:
    project = scratch.start(tmp_path)
    package = project / "site-packages" / "django_totp"
    shutil.copytree(scratch.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    [written] = set(re.findall(r"`(0002_alter_\w+)`", PAGE))
    foreign = package / "migrations" / f"{written}.py"
    ours = {path: path.read_text() for path in foreign.parent.glob("000[2-9]_*.py")}
    assert len(ours) > 1
    foreign.write_text(WRITTEN)
    own = project / "own" / "migrations" / "0001_initial.py"
    own.parent.mkdir(parents=True)
    (own.parent / "__init__.py").touch()
    (own.parents[1] / "__init__.py").touch()
    scratch.append(project, "settings", WITH_OWN)

    def manage(command: str, *, fails: bool = False) -> str:
        key = "dDXBhrWhUGOxLNmIf4_ZzzJQ0YEOJLZ8y6KXEwoPHx0="
        script = f"export TOTP_ENCRYPTION_KEY={key}\npython manage.py {command}"
        return scratch.run(project, script, fails=fails)

    # As 1.1 had it.
    own.write_text(OWN.replace("PARENT", written))
    for path in ours:
        path.unlink()
    manage("migrate --skip-checks")
    for path, text in ours.items():
        path.write_text(text)

    # What the page says goes wrong does.
    conflict = "Conflicting migrations detected; multiple leaf nodes in the migration graph"
    assert conflict in PAGE.replace("\n", " ")
    assert conflict in manage("migrate", fails=True)
    folder = scratch.run(project, markdown.blocks(PAGE, "sh")[1]).strip()
    assert Path(folder) == foreign.parent
    foreign.unlink()
    assert "NodeNotFoundError" in manage("migrate", fails=True)
    own.write_text(OWN.replace("PARENT", "0002_attempts_and_digests"))
    assert "InconsistentMigrationHistory" in manage("migrate", fails=True)

    # And the way out leads out.
    own.write_text(OWN.replace("PARENT", "0001_initial"))
    assert "Applying django_totp.0002_attempts_and_digests... OK" in manage("migrate")
    assert "No changes detected" in manage("makemigrations --check --dry-run")
    assert written not in manage("showmigrations")


@pytest.mark.django_db
class TestDump:
    """What ``dumpdata`` of 1.1 writes: none of our columns."""

    def load(self, path: Path, user: Any, token: str) -> None:
        at = "2026-05-05T09:23:00Z"
        rows = [
            ("totp", 7, {"user": str(user.pk), "secret_key": token, "created_at": at}),
            ("backupcode", 9, {"totp": 7, "code": token, "is_used": False, "created_at": at}),
        ]
        path.write_text(
            json.dumps([{"model": f"django_totp.{m}", "pk": pk, "fields": f} for m, pk, f in rows])
        )
        [command] = [line for line in markdown.blocks(PAGE, "sh") if "loaddata" in line]
        _, _, name, file, *options = command.split()
        assert file == path.name
        call_command(name, str(path), *options, verbosity=0)

    def test_it_is_loaded(self, tmp_path: Path, user: Any) -> None:
        self.load(tmp_path / "dump.json", user, "token")
        assert Totp.objects.get().user_id == user.pk
        assert BackupCode.objects.get().totp_id == Totp.objects.get().pk
