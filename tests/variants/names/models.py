"""Users who go by a number."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models


class Manager(BaseUserManager[Any]):
    def create_user(self, number: int, password: str | None = None, **fields: Any) -> Any:
        user = self.model(number=number, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class Member(AbstractBaseUser, PermissionsMixin):
    number = models.IntegerField(unique=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)

    objects = Manager()

    USERNAME_FIELD = "number"
    REQUIRED_FIELDS = []

    def __str__(self) -> str:
        return f"member {self.number}"
