"""Users who have no more than Django asks for: a key, and a name that is a row elsewhere."""

from typing import Any

from django.db import models


class Handle(models.Model):
    text = models.CharField(max_length=40, primary_key=True)

    def __str__(self) -> str:
        return f"handle {self.text}"


class Person(models.Model):
    """Not derived from AbstractBaseUser. The manager is a plain one."""

    handle = models.OneToOneField(Handle, on_delete=models.PROTECT, null=True)
    post = models.EmailField(blank=True)
    is_active = True
    is_staff = True
    is_anonymous = False
    is_authenticated = True

    EMAIL_FIELD = "post"
    USERNAME_FIELD = "handle"
    REQUIRED_FIELDS: list[str] = []

    def __str__(self) -> str:
        return self.handle.text  # and so fails for who has none

    def has_perm(self, permission: str, obj: Any = None) -> bool:
        return True

    def has_module_perms(self, label: str) -> bool:
        return True

    @property
    def is_superuser(self) -> bool:
        return self.post.startswith("root@")
