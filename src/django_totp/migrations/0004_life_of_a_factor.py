"""Remember a replacement, a recovery, trusted devices and, where that is wanted, events."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import django_totp.moments


class Migration(migrations.Migration):
    dependencies = [
        ("django_totp", "0003_account"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="totp",
            options={
                "permissions": [
                    ("reset_totp", "Can reset two-factor authentication"),
                    ("allow_recovery", "Can let a user set up a new authenticator without a code"),
                    ("unlock_totp", "Can end the wait after wrong TOTP codes"),
                ],
                "verbose_name": "TOTP enrollment",
                "verbose_name_plural": "TOTP enrollments",
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", django_totp.moments.MomentField(db_index=True, verbose_name="time")),
                ("event", models.CharField(max_length=40, verbose_name="event")),
                ("user_pk", models.CharField(blank=True, max_length=255, verbose_name="user")),
                ("actor_pk", models.CharField(blank=True, max_length=255, verbose_name="done by")),
                ("method", models.CharField(blank=True, max_length=40, verbose_name="method")),
                ("reason", models.CharField(blank=True, max_length=255, verbose_name="reason")),
                ("address", models.CharField(blank=True, max_length=255, verbose_name="address")),
                (
                    "user_agent",
                    models.CharField(blank=True, max_length=255, verbose_name="browser"),
                ),
            ],
            options={
                "verbose_name": "event",
                "verbose_name_plural": "events",
                "indexes": [
                    models.Index(fields=["user_pk"], name="django_totp_event_user_pk"),
                    models.Index(fields=["event"], name="django_totp_event_event"),
                ],
            },
        ),
        migrations.AddField(
            model_name="totp",
            name="is_recovery_allowed",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="totp",
            name="recovery_asked_at",
            field=django_totp.moments.MomentField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="totp",
            name="recovery_ready_at",
            field=django_totp.moments.MomentField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="totp",
            name="replacement",
            field=models.CharField(blank=True, db_default="", default="", max_length=255),
        ),
        migrations.AddField(
            model_name="totp",
            name="wait_told_at",
            field=django_totp.moments.MomentField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="TrustedDevice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(blank=True, default="", max_length=100, verbose_name="name"),
                ),
                ("series", models.CharField(editable=False, max_length=64, unique=True)),
                ("digest", models.CharField(editable=False, max_length=64)),
                ("fingerprint", models.CharField(editable=False, max_length=64)),
                ("created_at", django_totp.moments.MomentField(verbose_name="trusted since")),
                ("last_used_at", django_totp.moments.MomentField(verbose_name="last used")),
                ("expires_at", django_totp.moments.MomentField(verbose_name="trusted until")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="totp_devices",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "trusted device",
                "verbose_name_plural": "trusted devices",
            },
        ),
    ]
