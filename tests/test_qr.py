"""The QR code, read back by a QR reader from a picture that is drawn after the SVG."""

import re
import xml.etree.ElementTree as ET
from urllib.parse import unquote, urlsplit

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from django_totp import oath, qr

TYPICAL = {
    "account": "ada.lovelace@analytical-engines.example.com",
    "issuer": "Analytical Engines",
    "digits": 6,
    "period": 30,
    "algorithm": "SHA1",
}
PIXELS = 4  # of a module's side
NAMESPACE = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def uri():
    return oath.provisioning_uri(oath.generate_secret(), **TYPICAL)


def elements(svg):
    return list(ET.fromstring(svg).iter())  # noqa: S314


def draw(svg):
    """Return a picture of a QR code as segno writes it: rows of dark dashes, each relative."""
    ground, dashes = (element.get("d") for element in elements(svg) if element.get("d"))
    side = int(re.fullmatch(r"M0 0h(\d+)v\1h-\1z", ground)[1])
    modules = Image.new("L", (side, side), "white")
    x, y = 0.0, 0.0
    for command, numbers in re.findall(r"([Mmh])([^Mmh]+)", dashes):
        first, *rest = map(float, numbers.split())
        if command == "h":
            modules.paste("black", (int(x), int(y), int(x + first), int(y) + 1))
        x, y = (first, rest[0]) if command == "M" else (x + first, y + sum(rest))
    return modules.resize((side * PIXELS, side * PIXELS), Image.Resampling.NEAREST)


def read(svg):
    return zxingcpp.read_barcode(draw(svg), formats=zxingcpp.BarcodeFormat.QRCode)


def test_a_reader_reads_the_uri(uri):
    assert read(qr.svg(uri)).text == uri


@pytest.mark.parametrize("length", [10, 100, 500])
def test_the_error_correction_is_m(length):
    assert read(qr.svg("x" * length)).ec_level == "M"


@settings(max_examples=30)
@given(
    issuer=st.text(min_size=1, max_size=20),
    account=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100),
    digits=st.integers(6, 8),
)
def test_a_reader_reads_any_uri(issuer, account, digits):
    changes = {"issuer": issuer, "account": account, "digits": digits}
    uri = oath.provisioning_uri(oath.generate_secret(), **TYPICAL | changes)
    assert read(qr.svg(uri)).text == uri


def test_a_typical_code_is_small(uri):
    assert len(qr.svg(uri).encode()) <= 4500


def test_the_longest_user_name_of_django_fits():
    account = "\N{DESERET CAPITAL LETTER LONG I}" * 150  # four bytes each, a word character
    uri = oath.provisioning_uri(oath.generate_secret(), **TYPICAL | {"account": account})
    assert read(qr.svg(uri)).text == uri


def test_a_longer_user_name_loses_its_end():
    account = "\N{DESERET CAPITAL LETTER LONG I}" * 255
    uri = oath.provisioning_uri(oath.generate_secret(), **TYPICAL | {"account": account})
    label = unquote(urlsplit(uri).path).partition(":")[2]
    assert label == account[:150]
    assert read(qr.svg(uri)).text == uri


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "&lt;&#60;", '"/><a href="/">'])
def test_the_element_shows_nothing_of_the_text(text):
    svg = qr.svg(text)
    assert text not in svg
    assert read(svg).text == text


def test_the_element_holds_nothing_but_shapes(uri):
    svg = qr.svg(uri)
    allowed = {"svg", "g", "path"}
    assert {element.tag.removeprefix(NAMESPACE) for element in elements(svg)} == allowed
    assert not any(element.text or element.tail for element in elements(svg))
    attributes = {name for element in elements(svg) for name in element.attrib}
    assert attributes <= {"width", "height", "viewBox", "transform", "fill", "stroke", "d"}


def test_the_element_can_be_put_into_a_page(uri):
    svg = qr.svg(uri)
    assert svg.startswith("<svg ")
    assert svg.endswith("</svg>")
    assert not re.search(r"[&\n]|<!|<\?", svg)
