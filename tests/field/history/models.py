"""The history of our rows, and rows of the project that point at them."""

from django.db import models
from simple_history import register

from django_totp.models import BackupCode, Totp

register(Totp, app=__package__)
register(BackupCode, app=__package__)


class Ticket(models.Model):
    """A case of the help desk: it goes with the enrollment."""

    totp = models.ForeignKey(Totp, models.CASCADE)

    def __str__(self):
        return f"ticket {self.pk}"


class Printout(models.Model):
    """A sheet of paper: it stays when the code goes."""

    code = models.ForeignKey(BackupCode, models.SET_NULL, null=True)

    def __str__(self):
        return f"printout {self.pk}"
