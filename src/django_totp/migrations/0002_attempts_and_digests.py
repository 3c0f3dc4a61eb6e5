"""Count attempts, confirm explicitly, and find backup codes by a digest.

Django-totp 1.1 took an enrollment for enabled if it had backup codes: those become confirmed.
Their codes get the digest that they are found by from now on. Nobody enrolls again.
"""

from typing import Any

import django.db.models.deletion
from cryptography.fernet import InvalidToken
from django.db import migrations, models
from django.db.models import Exists, F, OuterRef

from django_totp.backup_code_utils import normalize
from django_totp.encryption import decrypt, keyed_digest, resolve_fernet_keys

BATCH = 1000


def require_key_for_codes(apps: Any, schema_editor: Any) -> None:
    """Fail before anything is altered: not every database would take that back."""
    BackupCode = apps.get_model("django_totp", "BackupCode")
    if BackupCode.objects.using(schema_editor.connection.alias).exists():
        resolve_fernet_keys()


def confirm_what_was_enabled(apps: Any, schema_editor: Any) -> None:
    Totp = apps.get_model("django_totp", "Totp")
    BackupCode = apps.get_model("django_totp", "BackupCode")
    alias = schema_editor.connection.alias
    has_codes = Exists(BackupCode.objects.filter(totp=OuterRef("pk")))
    Totp.objects.using(alias).filter(has_codes).update(confirmed_at=F("created_at"))


def compute_digests(apps: Any, schema_editor: Any) -> None:
    BackupCode = apps.get_model("django_totp", "BackupCode")
    codes = BackupCode.objects.using(schema_editor.connection.alias).order_by("totp_id", "pk")
    last_totp, last_pk, unreadable = 0, 0, 0
    seen: set[str | None] = set()
    while True:
        after = models.Q(totp_id=last_totp, pk__gt=last_pk) | models.Q(totp_id__gt=last_totp)
        batch = list(codes.filter(after)[:BATCH])
        if not batch:
            break
        for code in batch:
            seen = seen if code.totp_id == last_totp else set()
            last_totp, last_pk = code.totp_id, code.pk
            code.digest = _digest(code.code)
            unreadable += code.digest is None
            if code.digest in seen:
                code.digest = None  # the same code twice: the first of them stands
            seen.add(code.digest)
        codes.bulk_update(batch, ["digest"], batch_size=BATCH // 4)
    if unreadable:
        print(f"\n    {unreadable} unreadable backup codes stay unusable.")


def _digest(token: str) -> str | None:
    try:
        code = normalize(decrypt(token))
    except InvalidToken:
        return None
    return None if code is None else keyed_digest(code)


class Migration(migrations.Migration):
    dependencies = [("django_totp", "0001_initial")]

    operations = [
        migrations.RunPython(require_key_for_codes, migrations.RunPython.noop),
        migrations.AlterModelOptions(
            name="backupcode",
            options={"verbose_name": "backup code", "verbose_name_plural": "backup codes"},
        ),
        migrations.AlterModelOptions(
            name="totp",
            options={
                "permissions": [
                    ("reset_totp", "Can reset two-factor authentication"),
                    ("unlock_totp", "Can end the wait after wrong TOTP codes"),
                ],
                "verbose_name": "TOTP enrollment",
                "verbose_name_plural": "TOTP enrollments",
            },
        ),
        migrations.AddField("totp", "confirmed_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "totp", "last_verified_at", models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddField("totp", "waiting_until", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "totp", "last_used_step", models.BigIntegerField(blank=True, null=True)
        ),
        migrations.AddField("totp", "version", models.PositiveIntegerField(default=0)),
        migrations.AddField("totp", "verifications", models.PositiveIntegerField(default=0)),
        migrations.AddField("totp", "failures", models.PositiveIntegerField(default=0)),
        migrations.AddField("totp", "digits", models.PositiveSmallIntegerField(default=6)),
        migrations.AddField("totp", "period", models.PositiveSmallIntegerField(default=30)),
        migrations.AddField("totp", "algorithm", models.CharField(default="SHA1", max_length=6)),
        migrations.AddField(
            "backupcode", "digest", models.CharField(editable=False, max_length=16, null=True)
        ),
        migrations.RunPython(confirm_what_was_enabled, migrations.RunPython.noop),
        migrations.RunPython(compute_digests, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="backupcode",
            constraint=models.UniqueConstraint(
                fields=["totp", "digest"], name="django_totp_backupcode_digest_unique"
            ),
        ),
        # Its index goes: the constraint, which must be there first, serves as one.
        migrations.AlterField(
            "backupcode",
            "totp",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="backup_codes",
                to="django_totp.totp",
            ),
        ),
    ]
