"""A cache that is down limits nothing and breaks no login, whether it raises or keeps silent."""

import pytest

from tests.field.journey import test_journey  # noqa: F401


@pytest.mark.django_db(transaction=True)
def test_the_log_says_that_nothing_is_limited(person, caplog):
    person.first_step()
    said = [record for record in caplog.records if record.name == "django_totp"]
    assert any("cache" in record.getMessage() for record in said if record.levelname == "ERROR")


@pytest.mark.django_db(transaction=True)
def test_guesses_are_counted_all_the_same(person):
    person.enroll()
    challenge = person.wait()
    waits = person.second_step(challenge, otp_code=person.next_code())
    person.refused(waits, 429, "too_many_attempts")
