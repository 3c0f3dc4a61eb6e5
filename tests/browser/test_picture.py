"""The picture in the README is what the setup page looks like now.

``README_PICTURE=1`` draws it anew, after the page has changed.
"""

import io
import os

import pyotp
import pytest
import zxingcpp
from PIL import Image

from django_totp import oath
from tests import markdown

from .conftest import Site
from .test_pages import SETUP, Person

PICTURE = markdown.ROOT / "docs" / "images" / "setup.png"
SECRET = "KRUGS4ZANFZSA3TPEBZWKY3SMV2CA5DP"
MOST = 60_000  # bytes

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_picture_of_the_readme(project: Site, user, visit, monkeypatch, settings):
    monkeypatch.setattr(oath, "generate_secret", lambda: SECRET)
    settings.TOTP_ISSUER = "Example"
    page = visit(project, SETUP, width=480)
    Person(user).half().now_at(page, SETUP)
    page.set_viewport_size({"width": 480, "height": page.evaluate("document.body.scrollHeight")})
    drawn = page.screenshot(full_page=True)
    if os.environ.get("README_PICTURE"):
        small = Image.open(io.BytesIO(drawn)).convert("P", palette=Image.Palette.ADAPTIVE)
        PICTURE.parent.mkdir(exist_ok=True)
        small.save(PICTURE, optimize=True)
    now, kept = Image.open(io.BytesIO(drawn)), Image.open(PICTURE)
    assert PICTURE.stat().st_size < MOST
    assert kept.width == now.width
    assert abs(kept.height - now.height) < now.height / 10  # fonts differ
    assert _app_on(kept) == _app_on(now) == SECRET


def _app_on(picture: Image.Image) -> str:
    [barcode] = zxingcpp.read_barcodes(picture.convert("RGB"))
    return str(pyotp.parse_uri(barcode.text).secret)


def test_the_readme_shows_it():
    assert '<img src="docs/images/setup.png" width=' in markdown.read("README.md")
