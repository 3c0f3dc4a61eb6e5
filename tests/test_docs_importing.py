"""docs/importing.md: its sources, sentences and the line of its example are those of the code."""

import json
import re

import pytest

from django_totp.encryption import encrypt
from django_totp.models import Totp
from django_totp.operations.export import Export
from django_totp.operations.importers import SOURCES
from django_totp.operations.importers.tally import KINDS, LISTED

from .markdown import blocks, read, sections

PAGE = read("docs/importing.md")


def test_there_is_a_section_for_each_source():
    titles = list(sections(PAGE, 2))
    assert [title for title in titles if title in SOURCES] == list(SOURCES)
    for name, source in SOURCES.items():
        text = sections(PAGE, 2)[name]
        assert source.package in text
        assert f"`{source.app}` must be in `INSTALLED_APPS`" in text


def test_explains_each_sentence_of_the_command():
    table = sections(PAGE, 2)["What is taken, and what is not"]
    assert re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE) == list(KINDS.values())
    assert f"up to {LISTED} of each kind" in table


@pytest.mark.django_db
def test_the_line_of_the_example(enrolled_user):
    (example,) = blocks(PAGE, "json")
    Totp.objects.update(secret_key=encrypt("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"))
    (line,) = map(json.loads, Export())
    assert list(json.loads(example)) == list(line)
    query = line["otpauth_uri"].partition("?")[2]
    told = json.loads(example)["otpauth_uri"].partition("?")[2]
    assert query.partition("&")[0] == told.partition("&")[0]
