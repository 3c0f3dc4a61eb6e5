"""docs/own-texts.md: its sentences take the place of ours, and its list is what is there."""

import ast
import re
import struct
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import translation
from django.utils.translation import get_language_info, trans_real

import django_totp
from tests import markdown
from tests.browsing import Browser

PAGE = markdown.read("docs/own-texts.md")
SECTIONS = markdown.sections(PAGE, 2)
SOURCE = Path(django_totp.__file__).parent
SETTINGS, LOCALES = markdown.blocks(PAGE, "python")
VERIFY, HTML = markdown.blocks(PAGE, "html")
pytestmark = pytest.mark.django_db
RTL = {"ar", "fa", "he"}


@pytest.fixture
def fresh_translations():
    """Forget what was read, before and after: Django keeps it for the process."""

    def forget():
        trans_real._translations = {}
        trans_real._default = None
        translation.activate("en")

    yield forget
    translation.deactivate_all()
    forget()


def compiled(sentences):
    """Return what ``compilemessages`` makes of pairs in single lines: the format of GNU gettext."""
    pairs = sorted(
        (ast.literal_eval(msgid).encode(), ast.literal_eval(msgstr).encode())
        for msgid, msgstr in re.findall(r'^msgid (".*")\nmsgstr (".*")$', sentences, re.M)
    )
    head = 28 + 16 * len(pairs)
    tables, data = [b"", b""], b""
    for column in (0, 1):
        for pair in pairs:
            tables[column] += struct.pack("<II", len(pair[column]), head + len(data))
            data += pair[column] + b"\0"
    size = len(pairs)
    return (
        struct.pack("<7I", 0x950412DE, 0, size, 28, 28 + 8 * size, 0, 0) + b"".join(tables) + data
    )


def test_a_sentence_of_ones_own(settings, tmp_path, fresh_translations, enrolled_user, login):
    [sentences] = markdown.blocks(PAGE, "po")
    folder = tmp_path / "locale/en/LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(compiled(sentences))
    names = markdown.run(SETTINGS, BASE_DIR=tmp_path)
    assert "(`DIRS`)" in PAGE
    for name in ("LANGUAGE_CODE", "USE_I18N", "LOCALE_PATHS"):
        setattr(settings, name, names[name])
    fresh_translations()
    refused = login(enrolled_user, otp_code="12345").json()
    assert refused["detail"] == "That is not the code that your app shows."
    assert refused["code"] == "invalid_totp_code"
    browser = Browser(enrolled_user)
    page = browser.follow(browser.password()).content.decode()
    assert "<h1>One more question</h1>" in page
    assert "Confirm it’s you" not in page
    assert "Use a backup code instead" in page


def test_the_english_is_that_of_the_package():
    [sentences] = markdown.blocks(PAGE, "po")
    msgids = [line[7:-1] for line in sentences.splitlines() if line.startswith('msgid "')]
    texts = "".join(
        path.read_text(encoding="utf-8")
        for pattern in ("**/*.py", "**/*.html")
        for path in SOURCE.glob(pattern)
    )
    for msgid in filter(None, msgids):
        assert f'"{msgid}"' in texts


def test_a_page_of_ones_own(settings, tmp_path, enrolled_user):
    (tmp_path / "django_totp").mkdir()
    (tmp_path / "django_totp/verify.html").write_text(VERIFY)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    browser = Browser(enrolled_user)
    page = browser.follow(browser.password()).content.decode()
    assert page.index("Call 555 0100") < page.index('name="otp_code"')


def test_the_pages_are_all_there():
    rows = markdown.rows(SECTIONS["Another page"])
    told = {markdown.code(name)[0] for name, _ in rows}
    there = {path.name for path in (SOURCE / "templates/django_totp").glob("[a-z]*.html")}
    assert told == there


def listed():
    cells = [cell for row in markdown.rows(SECTIONS["Languages"]) for cell in row]
    return {
        markdown.code(code)[0]: name for code, name in zip(cells[::2], cells[1::2], strict=True)
    }


def test_the_languages_are_those_that_django_knows():
    for code, name in listed().items():
        known = get_language_info(code)
        assert known["code"] == code
        assert known["bidi"] is (code in RTL)
        assert known["name"] == name.replace("å", "a")


def test_the_languages_are_those_that_are_shipped():
    shipped = {
        translation.to_language(path.parent.name)
        for path in (SOURCE / "locale").glob("*/LC_MESSAGES")
    }
    assert len(listed()) == 33
    assert shipped <= {*listed(), "en"}
    assert not shipped or shipped >= {*listed()}


def test_a_page_goes_from_right_to_left(settings, fresh_translations, client):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE]
    names = markdown.run(LOCALES, MIDDLEWARE=settings.MIDDLEWARE)
    assert names["MIDDLEWARE"].index("django.middleware.locale.LocaleMiddleware") > names[
        "MIDDLEWARE"
    ].index("django.contrib.sessions.middleware.SessionMiddleware")
    settings.LANGUAGES = [(code, str(name)) for code, name in names["LANGUAGES"]]
    fresh_translations()
    for code, direction in (("he", ' dir="rtl"'), ("de", ""), ("fr", None)):
        page = client.get(reverse("two-factor-login"), headers={"Accept-Language": code})
        start = page.content.decode().partition("<head>")[0]
        if direction is None:
            assert '<html lang="en-us">' in start or '<html lang="en">' in start
        else:
            assert f'<html lang="{code}"{direction}>' in start


def test_a_layout_of_ones_own_turns(settings, tmp_path, client, fresh_translations):
    (tmp_path / "django_totp").mkdir()
    (tmp_path / "django_totp/base.html").write_text(
        f"{HTML}{{% block two_factor %}}{{% endblock %}}"
    )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    for code, direction in (("fa", "rtl"), ("sv", "ltr")):
        settings.LANGUAGE_CODE = code
        fresh_translations()
        translation.activate(code)
        page = client.get(reverse("two-factor-login")).content.decode()
        assert f'<html lang="{code}" dir="{direction}">' in page
