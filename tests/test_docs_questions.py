"""docs/questions.md: what it says the pages and the mails say is what they say."""

import re
from pathlib import Path

import pytest

import django_totp
from django_totp.conf import conf
from django_totp.exceptions import RecoveryUnavailable, TooManyAttempts
from django_totp.forms import SENTENCES
from django_totp.notices.sentences import NOTICES
from tests import markdown

PAGE = "docs/questions.md"
TEMPLATES = Path(django_totp.__file__).parent / "templates" / "django_totp"
TRANSLATE = re.compile(r'{% translate "([^"]+)"')
BLOCK = re.compile(r"{% blocktranslate[^%]*%}(.*?){% endblocktranslate %}", re.S)
SENTENCE_END = re.compile(r"(?<=[.?!]) ")
HOLE = re.compile(r"{{ \w+ }}")


def shown() -> set[str]:
    """Return what is shown to people: each text, and each sentence of it, with its holes."""
    errors = [
        RecoveryUnavailable(),
        TooManyAttempts(conf.TOTP_LOCKOUT_SECONDS),
        TooManyAttempts(None),
    ]
    texts = [*map(str, errors), *map(str, SENTENCES.values())]
    for notice in NOTICES.values():
        texts += [str(notice.subject), str(notice.advice)]
    for template in TEMPLATES.glob("*.html"):
        text = template.read_text(encoding="utf-8")
        texts += TRANSLATE.findall(text)
        texts += [part for block in BLOCK.findall(text) for part in block.split("{% plural %}")]
    return {*texts, *(sentence for text in texts for sentence in SENTENCE_END.split(text))}


def quoted() -> list[str]:
    return [
        " ".join(words.split()) for words in re.findall(r"\*\*(.+?)\*\*", markdown.read(PAGE), re.S)
    ]


def is_shown(words: str) -> bool:
    patterns = (r"\w+".join(map(re.escape, HOLE.split(text))) for text in shown())
    return any(re.fullmatch(pattern, words) for pattern in patterns)


def test_something_is_quoted() -> None:
    assert len(set(quoted())) > 25


@pytest.mark.parametrize("words", sorted(set(quoted())))
def test_what_is_quoted_is_on_a_page_or_in_a_mail(words: str) -> None:
    assert is_shown(words) or is_shown(words.removesuffix("."))


def test_what_is_not_there_would_be_noticed() -> None:
    assert is_shown("Don’t ask for a code on this device for 7 days")
    assert not is_shown("Don't ask for a code on this device for 7 days")
    assert not is_shown("Set up a new telephone")


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("For five minutes the backup code counts", conf.TOTP_REAUTHENTICATE_MAX_AGE == 5 * 60),
        ("There are two minutes for the code", conf.TOTP_TOKEN_MAX_AGE == 2 * 60),
        ("After five wrong codes in a row", conf.TOTP_FAILURE_LIMIT == 5),
        ("15 minutes at most", conf.TOTP_LOCKOUT_MAX_SECONDS == 15 * 60),
        ("After a hundred, waiting does not help", conf.TOTP_FAILURE_CAP == 100),
        ("right to half a minute", conf.TOTP_VALID_WINDOW * conf.TOTP_PERIOD == 30),
    ],
)
def test_the_numbers_are_the_defaults(words: str, number: bool) -> None:
    assert words in markdown.sentences(PAGE)
    assert number
