"""An app whose receivers of every signal of the package raise."""

from typing import Any

from django.apps import AppConfig
from django.dispatch import Signal


class Raising(AppConfig):
    name = "proof"

    def ready(self) -> None:
        from django_totp import signals

        for signal in vars(signals).values():
            if isinstance(signal, Signal):
                signal.connect(fail)


def fail(**kwargs: Any) -> None:
    raise RuntimeError("a receiver of the project fails")
