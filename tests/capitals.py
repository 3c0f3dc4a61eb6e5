"""A language in which all that is translated is in capital letters, and nothing else is."""

import gettext
import re
from typing import Any

from django.utils.translation import trans_real


class Capitals(gettext.NullTranslations):
    """A language in which everything is said in capital letters."""

    domain = "django"

    def gettext(self, message: str) -> str:
        message = message.rpartition("\x04")[2]  # without the context
        # but for what is filled in
        return "".join(
            part if part.startswith(("%", "{")) else part.upper()
            for part in re.split(r"(%(?:\(\w+\))?[a-z]|\{\w*\})", message)
        )

    def ngettext(self, one: str, many: str, number: int) -> str:
        return self.gettext(one if number == 1 else many)

    def language(self) -> str:
        return "en"

    to_language = language


def speak_in_capitals(monkeypatch: Any) -> None:
    """Let the rest of a test speak nothing else, whatever language it asks for."""
    monkeypatch.setattr(trans_real, "translation", lambda language: Capitals())
    monkeypatch.setattr(trans_real._active, "value", Capitals(), raising=False)
