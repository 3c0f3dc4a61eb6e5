"""Count attempts, confirm explicitly, and find backup codes by a digest.

Django-totp 1.1 took an enrollment for enabled if it had backup codes: those become confirmed.
Their codes get the digest that they are found by from now on. Nobody enrolls again.
"""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models, router
from django.db.models import Exists, F, OuterRef

import django_totp.moments
from django_totp.adoption import digest_of
from django_totp.encryption import resolve_fernet_keys

BATCH = 1000


def require_key_for_codes(apps: Any, schema_editor: Any) -> None:
    """Fail before anything is altered: not every database would take that back."""
    codes = rows_of("BackupCode", apps, schema_editor)
    if codes is not None and codes.exists():
        resolve_fernet_keys()


def confirm_what_was_enabled(apps: Any, schema_editor: Any) -> None:
    totps = rows_of("Totp", apps, schema_editor)
    codes = rows_of("BackupCode", apps, schema_editor)
    if totps is not None and codes is not None:
        has_codes = Exists(codes.filter(totp=OuterRef("pk")))
        totps.filter(has_codes).update(confirmed_at=F("created_at"))


def compute_digests(apps: Any, schema_editor: Any) -> None:
    codes = rows_of("BackupCode", apps, schema_editor)
    if codes is None:
        return
    codes = codes.order_by("totp_id", "pk")
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
            code.digest = digest_of(code.code)
            unreadable += code.digest is None
            if code.digest in seen:
                code.digest = None  # the same code twice: the first of them stands
            seen.add(code.digest)
        codes.bulk_update(batch, ["digest"], batch_size=BATCH // 4)
    if unreadable:
        print(f"\n    {unreadable} unreadable backup codes stay unusable.")


def rows_of(name: str, apps: Any, schema_editor: Any) -> Any:
    """Return the rows of a model, or ``None`` where the routers keep it out of this database."""
    model, alias = apps.get_model("django_totp", name), schema_editor.connection.alias
    return model.objects.using(alias) if router.allow_migrate_model(alias, model) else None


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
        migrations.AlterField(
            "totp", "created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")
        ),
        migrations.AddField(
            "totp",
            "confirmed_at",
            models.DateTimeField(blank=True, null=True, verbose_name="confirmed at"),
        ),
        migrations.AddField(
            "totp",
            "last_verified_at",
            models.DateTimeField(blank=True, null=True, verbose_name="last verified at"),
        ),
        migrations.AddField(
            "totp", "waiting_until", django_totp.moments.MomentField(blank=True, null=True)
        ),
        migrations.AddField(
            "totp", "last_used_step", models.BigIntegerField(blank=True, null=True)
        ),
        migrations.AddField(
            "totp", "version", models.PositiveBigIntegerField(db_default=0, default=0)
        ),
        migrations.AddField(
            "totp",
            "verifications",
            models.PositiveBigIntegerField(db_default=0, default=0, verbose_name="right codes"),
        ),
        migrations.AddField(
            "totp",
            "failures",
            models.PositiveBigIntegerField(
                db_default=0, default=0, verbose_name="wrong codes in a row"
            ),
        ),
        migrations.AddField(
            "totp",
            "digits",
            models.PositiveSmallIntegerField(db_default=6, default=6, verbose_name="digits"),
        ),
        migrations.AddField(
            "totp",
            "period",
            models.PositiveSmallIntegerField(
                db_default=30, default=30, verbose_name="period in seconds"
            ),
        ),
        migrations.AddField(
            "totp",
            "algorithm",
            models.CharField(
                db_default="SHA1", default="SHA1", max_length=6, verbose_name="algorithm"
            ),
        ),
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
