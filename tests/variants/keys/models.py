"""Users whose primary key is neither a number nor called id. KEY chooses one of them."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class Manager(BaseUserManager[Any]):
    def create_user(self, handle: str, password: str | None = None, **fields: Any) -> Any:
        user = self.model(handle=handle, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class Account(AbstractBaseUser):
    handle = models.CharField(max_length=40, unique=True)
    is_active = models.BooleanField(default=True)

    objects = Manager()

    USERNAME_FIELD = "handle"

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.handle)


def _code() -> str:
    return f"é/{Text.objects.count()} x"


class Text(Account):
    """The key is a string, and one that needs quoting here and there."""

    code = models.CharField(max_length=20, primary_key=True, default=_code)


class Renamed(Account):
    number = models.BigAutoField(primary_key=True)


class Base(Account):
    """What Child inherits its row from."""


class Child(Base):
    """The key is a relation: to the row of the parent."""
