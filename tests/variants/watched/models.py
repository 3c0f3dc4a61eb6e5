"""What a project hangs on our rows, and who watches them go."""

from typing import Any

from django.db import models
from django.db.models.signals import post_delete, pre_delete

gone: list[tuple[str, str]] = []


class Note(models.Model):
    """A note about an enrollment."""

    totp = models.ForeignKey("django_totp.Totp", on_delete=models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return "a note"


class CodeNote(models.Model):
    """A note about a backup code."""

    code = models.ForeignKey("django_totp.BackupCode", on_delete=models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return "a note about a code"


def watch(sender: Any, instance: Any, signal: Any, **kwargs: Any) -> None:
    """Read the database, as history packages do."""
    Note.objects.count()
    gone.append(("before" if signal is pre_delete else "after", sender.__name__))


pre_delete.connect(watch)
post_delete.connect(watch)
