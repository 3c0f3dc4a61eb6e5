"""The plain tables of the floor: a secret as it is, and a digest of each backup code."""

import hmac
import time
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F
from django.utils.crypto import salted_hmac

from benchmarks.peers import PERIOD, code_of

LIMIT = 10  # wrong codes in a row


def digest_of(code: str) -> str:
    return salted_hmac("benchmarks.floor", code).hexdigest()


class Device(models.Model):
    objects: Any = models.Manager()
    user: Any = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    secret: Any = models.CharField(max_length=32)
    last_step: Any = models.BigIntegerField(default=0)
    failures: Any = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"Device {self.pk}"

    def accepts(self, otp_code: str, backup_code: str) -> bool:
        """Return whether a code is right and unused: one UPDATE, or two if a backup code is not."""
        if self.failures >= LIMIT:
            return False
        return self._spend(backup_code) if backup_code else self._move(otp_code)

    def _spend(self, code: str) -> bool:
        unused = Code.objects.filter(device=self, digest=digest_of(code), is_used=False)
        return bool(unused.update(is_used=True)) or self._fail()

    def _move(self, code: str) -> bool:
        step = self._step_of(code)
        if step is None:
            return self._fail()
        rows = Device.objects.filter(pk=self.pk, last_step__lt=step)
        return bool(rows.update(last_step=step, failures=0))

    def _fail(self) -> bool:
        Device.objects.filter(pk=self.pk).update(failures=F("failures") + 1)
        return False

    def _step_of(self, code: str) -> int | None:
        """Return the time step whose code this is: the present one, or one beside it."""
        now = int(time.time()) // PERIOD
        for steps in (-1, 0, 1):
            if hmac.compare_digest(code_of(self.secret, steps).encode(), code.encode()):
                return now + steps
        return None


class Code(models.Model):
    objects: Any = models.Manager()
    device: Any = models.ForeignKey(Device, on_delete=models.CASCADE)
    digest: Any = models.CharField(max_length=64, db_index=True)
    is_used: Any = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"Code {self.pk}"
