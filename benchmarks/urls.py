"""The addresses of the project that is measured: those of its peer."""

from typing import Any

urlpatterns: list[Any] = []
