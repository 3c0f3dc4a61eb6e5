"""Remember which logins count and who must enroll, also where there is no enrollment."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import django_totp.moments


class Migration(migrations.Migration):
    dependencies = [
        ("django_totp", "0002_attempts_and_digests"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            "totp",
            "confirmed_sid",
            models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.CreateModel(
            "Account",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="totp_account",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "valid_from",
                    django_totp.moments.MomentField(
                        blank=True, null=True, verbose_name="logins count from"
                    ),
                ),
                (
                    "required_since",
                    django_totp.moments.MomentField(
                        blank=True, null=True, verbose_name="must enroll since"
                    ),
                ),
                (
                    "exempt_until",
                    models.DateField(blank=True, null=True, verbose_name="exempt until"),
                ),
                (
                    "exempt_reason",
                    models.CharField(
                        blank=True,
                        default="",
                        max_length=200,
                        verbose_name="reason of the exemption",
                    ),
                ),
                ("imported_at", django_totp.moments.MomentField(editable=False, null=True)),
            ],
            options={
                "verbose_name": "account",
                "verbose_name_plural": "accounts",
                "permissions": [("end_sessions", "Can end all logins of a user")],
            },
        ),
    ]
