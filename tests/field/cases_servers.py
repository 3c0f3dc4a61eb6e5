"""A real server, in a process of its own: uvicorn for ASGI, gunicorn with gevent for WSGI."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from tests.field.journey import test_journey, through_socket  # noqa: F401
from tests.field.processes import served

COMMANDS = {
    "uvicorn": ["uvicorn", "tests.field.serving:asgi", "--port={port}", "--log-level=error"],
    "gevent": [
        *("gunicorn", "tests.field.serving:wsgi", "--bind=127.0.0.1:{port}"),
        *("--worker-class=gevent", "--workers=2", "--log-level=error"),
    ],
}
AT_ONCE = 12
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def send(shape, transactional_db):
    command, database = COMMANDS[os.environ["SERVER"]], connection.settings_dict["NAME"]
    with served(command, "tests.field.settings_servers", database) as port:
        yield through_socket(shape, port)


def test_a_code_is_good_for_one_of_many_logins(person):
    person.enroll()
    challenges = [person.challenge() for _ in range(AT_ONCE)]
    code = person.next_code()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = pool.map(lambda one: person.second_step(one, otp_code=code).status, challenges)
        assert sorted(statuses) == [200] + [400] * (AT_ONCE - 1)


def test_wrong_codes_at_one_time_are_all_counted(person):
    person.enroll()
    challenge = person.challenge()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = pool.map(
            lambda _: person.second_step(challenge, backup_code="no code").status, range(AT_ONCE)
        )
        assert set(wrong) == {400}
    waits = person.second_step(challenge, otp_code=person.next_code())
    person.refused(waits, 429, "too_many_attempts")
