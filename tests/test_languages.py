"""The catalogues of 33 languages: complete, well formed, in the same terms, and compiled."""

import gettext
import io
import itertools
import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path

import django
import pytest
import rest_framework
import rest_framework_simplejwt
from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from django.urls import reverse
from django.utils import translation
from django.utils.translation.template import templatize
from rest_framework_simplejwt.tokens import RefreshToken

import django_totp
from django_totp.authentication import SAID_BY_SIMPLEJWT
from tests import markdown

LANGUAGES = [
    *("ar", "cs", "da", "de", "el", "es", "et", "fa", "fi", "fr", "he", "hu", "id", "it", "ja"),
    *("ko", "lt", "lv", "nb", "nl", "pl", "pt", "pt_BR", "ro", "ru", "sk", "sl", "sv", "tr"),
    *("uk", "vi", "zh_Hans", "zh_Hant"),
]
PACKAGE = Path(django_totp.__file__).parent
LOCALE = PACKAGE / "locale"
DJANGO = Path(django.__file__).parent
OTHERS = [DJANGO / "conf", *sorted((DJANGO / "contrib").iterdir())]
OTHERS += [Path(package.__file__).parent for package in (rest_framework, rest_framework_simplejwt)]
ONE, PLURAL, CONTEXT, BOTH = None, (1, 2), ((1, "c"), 2), ((1, "c"), 2, 3)
KEYWORDS = {
    **dict.fromkeys(["_", "gettext", "gettext_lazy", "gettext_noop"], ONE),
    **dict.fromkeys(["ngettext", "ngettext_lazy"], PLURAL),
    **dict.fromkeys(["pgettext", "pgettext_lazy"], CONTEXT),
    **dict.fromkeys(["npgettext", "npgettext_lazy"], BOTH),
}
HOLE = re.compile(r"%\(\w+\)[a-z]|%%|\{\w*\}")
NUMBERS = {"%(count)d", "%(counter)s", "%(left)d", "%(seconds)d"}
MISSPELT = {("id", "User inactive or deleted.")}  # by them: "akfif"
FIELDS = {"jwt-refresh": "refresh", "jwt-verify": "token", "jwt-step-up": "refresh"}
GLOSSARY = tomllib.loads(markdown.read("docs/glossary.toml"))
TERMS = list(GLOSSARY["de"])

Key = tuple[str, str]


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


def compiled(path: Path | str) -> dict[object, str]:
    """Return the catalogue that gettext reads, by sentence or by plural and form."""
    with Path(path).open("rb") as file:
        return gettext.GNUTranslations(file)._catalog


@cache
def ours(language: str) -> dict[Key, Message]:
    catalogue = read(LOCALE / language / "LC_MESSAGES" / "django.po")
    return {key_of(message): message for message in catalogue if message.id}


def key_of(message: Message) -> Key:
    return message.context or "", message.id if isinstance(message.id, str) else message.id[0]


def forms_of(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else message.string


@cache
def of_others(language: str) -> dict[str, set[str]]:
    """Return what Django and what we build on say for a sentence without a context."""
    said: dict[str, set[str]] = {}
    for folder in OTHERS:
        path = gettext.find("django", folder / "locale", [language])
        for text, string in compiled(path).items() if path else ():
            if isinstance(text, str) and "\x04" not in text and text not in {"", string}:
                said.setdefault(text, set()).add(string)
    return said


def marked() -> Iterator[tuple[Key, str]]:
    """Yield each sentence that the code and the templates mark, and the file it is in."""
    for path in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.html"), *PACKAGE.rglob("*.txt")]):
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".py":
            text = "\n".join(line.strip() for line in templatize(text).splitlines())
        for _line, message, _, context in extract("python", io.BytesIO(text.encode()), KEYWORDS):
            first = message if isinstance(message, str) else message[0]
            yield (context or "", first), path.name


@cache
def sentences() -> dict[Key, str]:
    return dict(marked())


def test_the_languages_are_those_that_are_promised():
    assert sorted(path.name for path in LOCALE.iterdir()) == sorted(LANGUAGES)
    assert sorted(GLOSSARY) == sorted(LANGUAGES)
    assert len(LANGUAGES) == 33


def test_the_sentences_are_found():
    assert len(sentences()) > 290
    assert ("mail", "Time") in sentences()
    assert ("", "Lost your phone?") in sentences()
    assert ("", "Too many wrong codes. Try again in %(seconds)d second.") in sentences()


def test_what_simplejwt_says_is_said_like_this_there():
    """A sentence that it changes would be English again."""
    folder = Path(rest_framework_simplejwt.__file__).parent
    said = {
        message
        for path in folder.rglob("*.py")
        for _line, message, *_ in extract("python", io.BytesIO(path.read_bytes()), KEYWORDS)
    }
    assert set(SAID_BY_SIMPLEJWT) <= said


@pytest.fixture
def bad_tokens(user):
    """Return requests with tokens of each kind that are refused, by the name of the endpoint."""
    refresh = RefreshToken.for_user(user)
    expired = RefreshToken.for_user(user)
    expired.set_exp(lifetime=timedelta(days=-1))
    nobody = RefreshToken()
    posted = [
        (name, {field: str(token)})
        for name, field in FIELDS.items()
        for token in ("x", refresh.access_token, expired, nobody)
    ]
    headers = [
        "Bearer x",
        "Bearer",
        "Bearer x y",
        f"Bearer {nobody.access_token}",
        f"Bearer {refresh}",
    ]
    return posted, headers


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["ar", "el", "ja", "uk"])
def test_no_refusal_of_a_token_is_english(settings, api, bad_tokens, language):
    """simplejwt has no Greek and no Japanese, and Arabic where it is an installed app."""
    settings.LANGUAGE_CODE = translation.to_language(language)
    posted, headers = bad_tokens
    answers = [api.post(reverse(name), body, format="json").json() for name, body in posted]
    answers += [
        api.get(reverse("totp-status"), HTTP_AUTHORIZATION=header).json() for header in headers
    ]
    said = [text for answer in answers for text in texts_in(answer)]
    assert len(said) >= len(answers)
    assert not [text for text in said if text.isascii()]


def texts_in(body):
    """Yield the sentences of a refusal: all that is no code."""
    for name, value in body.items() if isinstance(body, dict) else enumerate(body):
        if isinstance(value, (dict, list)):
            yield from texts_in(value)
        elif name not in ("code", "token_class", "token_type") and isinstance(value, str):
            yield value


@pytest.mark.parametrize("language", LANGUAGES)
class TestCatalogue:
    def test_nothing_is_missing_and_nothing_is_left_over(self, language):
        """After a change of a sentence: ``make messages``, and translate what is empty then."""
        assert set(sentences()) - set(ours(language)) == set()
        assert set(ours(language)) - set(sentences()) == set()

    def test_everything_is_translated(self, language):
        for key, message in ours(language).items():
            assert all(form.strip() for form in forms_of(message)), key
            assert not message.fuzzy, key
            assert all(form == form.strip() for form in forms_of(message)), key

    def test_what_is_filled_in_is_the_same(self, language):
        for message in ours(language).values():
            first, *others = forms_of(message)
            wanted = sorted(
                HOLE.findall(message.id if isinstance(message.id, str) else message.id[1])
            )
            for form in [first, *others]:
                lacking = set(wanted) - set(HOLE.findall(form))
                assert set(HOLE.findall(form)) <= set(wanted), form
                assert not lacking or (others and lacking <= NUMBERS and form != others[-1]), form

    def test_plural_forms_are_those_of_the_language(self, language):
        """Numbers that a language tells apart (CLDR) have forms of their own."""
        catalogue = read(LOCALE / language / "LC_MESSAGES" / "django.po")
        form_of, kind_of = gettext.c2py(catalogue.plural_expr), Locale.parse(language).plural_form
        numbers = [1, 2, 5, 21] if catalogue.num_plurals > 1 else []
        for one, other in itertools.combinations(numbers, 2):
            assert kind_of(one) == kind_of(other) or form_of(one) != form_of(other)
        assert {form_of(number) for number in range(1000)} <= {*range(catalogue.num_plurals)}
        for message in ours(language).values():
            wanted = 1 if isinstance(message.id, str) else catalogue.num_plurals
            assert len(forms_of(message)) == wanted

    @pytest.mark.skipif(
        django.VERSION[:2] != (5, 2), reason="The words are those of Django 5.2, the LTS"
    )
    def test_a_sentence_of_otherss_is_said_as_django_says_it(self, language):
        """Catalogues are one in the end: ours must not change a word in the admin of others."""
        for (context, text), message in ours(language).items():
            said = {} if context else of_others(language).get(text, {})
            if (language, text) not in MISSPELT:
                assert not said or message.string in said, text

    @pytest.mark.parametrize("term", TERMS)
    def test_a_term_is_the_same_everywhere(self, language, term):
        stem = re.compile(GLOSSARY[language][term]["stem"], re.IGNORECASE)
        assert stem.search(GLOSSARY[language][term]["term"])
        for (_, text), message in ours(language).items():
            if re.search(rf"\b{term}s?\b", text, re.IGNORECASE):
                assert all(stem.search(form) for form in forms_of(message)), text

    def test_it_is_compiled(self, language):
        """After a change of a catalogue: ``make messages``."""
        path, there = LOCALE / language / "LC_MESSAGES" / "django.mo", {}
        for (context, text), message in ours(language).items():
            key = f"{context}\x04{text}" if context else text
            if isinstance(message.id, str):
                there[key] = message.string
            else:
                there |= {(key, number): form for number, form in enumerate(message.string)}
        assert {key: said for key, said in compiled(path).items() if key} == there

    def test_django_says_it(self, language):
        """As a project without a catalogue of its own does. Its first app has the last word."""
        with translation.override(translation.to_language(language)):
            for (context, text), message in ours(language).items():
                if context:
                    assert translation.pgettext(context, text) == message.string
                elif isinstance(message.id, str) and text not in of_others(language):
                    assert translation.gettext(text) == message.string

    def test_it_is_no_english(self, language):
        for (_, text), message in ours(language).items():
            words = re.findall(r"[a-z]{3,}", HOLE.sub("", text))
            assert message.string != text or len(words) < 3, text
