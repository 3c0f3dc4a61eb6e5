import io

import pytest
from django.core.management import call_command


@pytest.fixture
def run():
    """Return a function that runs a command and gives what it wrote."""

    def run(*args, **options):
        out = io.StringIO()
        call_command(*args, stdout=out, **options)
        return out.getvalue()

    return run


@pytest.fixture
def answer(monkeypatch):
    """Return a function that answers the question, and the list of questions."""
    questions = []

    def answer(text):
        def read(prompt):
            questions.append(prompt)
            if text is None:
                raise EOFError
            return text

        monkeypatch.setattr("builtins.input", read)
        return questions

    return answer


class Unasked:
    """A database router that answers no question about where users and enrollments are."""

    def db_for_read(self, model, **hints):
        if model._meta.app_label in {"django_totp", "auth", "users"}:
            raise AssertionError(f"asked for {model._meta.label}")

    db_for_write = db_for_read


@pytest.fixture
def no_routing(settings):
    """Let every question to the routers fail: a command that names its database asks none."""
    settings.DATABASE_ROUTERS = [Unasked()]
