"""Users of a model that is derived from nothing of Django's but Model."""

from typing import Any

from django.contrib.auth.hashers import check_password, make_password
from django.db import models


class Manager(models.Manager[Any]):
    def create_user(self, handle: str | None, password: str = "", **fields: Any) -> Any:
        return self.create(handle=handle, secret=make_password(password), **fields)


class Person(models.Model):
    handle = models.CharField(max_length=40, unique=True, null=True)  # noqa: DJ001
    mail = models.CharField(max_length=40, blank=True)
    secret = models.CharField(max_length=128)

    objects = Manager()

    USERNAME_FIELD = "handle"
    EMAIL_FIELD = "mail"
    REQUIRED_FIELDS: list[str] = []
    is_anonymous = False
    is_authenticated = True

    def __str__(self) -> str:
        return f"person {self.pk}"


class Backend:
    """Let in who knows the password."""

    def authenticate(self, request: Any, handle: Any = None, password: str = "") -> Any:
        person = Person.objects.filter(handle=handle).first()
        return person if person and check_password(password, person.secret) else None

    def get_user(self, pk: Any) -> Any:
        return Person.objects.filter(pk=pk).first()
