"""The example project, served to a real Chromium that is watched while it works.

Where Chromium or Playwright is missing, ``tests/conftest.py`` leaves this directory out, aloud.
"""

import contextlib
import io
import itertools
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyotp
import pytest
import zxingcpp
from django.conf import settings as django_settings
from django.test import override_settings
from PIL import Image
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    expect,
    sync_playwright,
)
from pytest_django.live_server_helper import LiveServer

import django_totp
from tests import services
from tests.browsing import PASSWORD, age_enrollment

DEMO = Path(__file__).resolve().parents[2] / "example" / "demo.py"
AUDIT = (Path(__file__).parent / "audit.js").read_text()
PATIENCE = 60  # seconds, for a machine that is busy with the other tests
CHROMIUM_ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


@dataclass(frozen=True)
class Site:
    """A running example project, with what it printed in the terminal."""

    url: str
    username: str
    password: str


@contextlib.contextmanager
def serve(data_dir: Path, **environment: str) -> Iterator[Site]:
    """Run the example project on a free port of the loopback, with its data in ``data_dir``."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    log = data_dir / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, DEMO, address],
            env=os.environ | {"DEMO_DATA_DIR": str(data_dir)} | environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_it_serves(process, log)
        told = dict(re.findall(r"^  (Page|Name|Password) +(\S+)$", log.read_text(), re.MULTILINE))
        yield Site(told["Page"].rstrip("/"), told["Name"], told["Password"])
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_until_it_serves(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while "Quit the server" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"The example project does not start:\n{log.read_text()}")
        time.sleep(0.1)


@pytest.fixture
def serve_example(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Return a function that starts an example project of its own for this test."""
    with contextlib.ExitStack() as stack:
        yield lambda **environment: stack.enter_context(serve(tmp_path, **environment))


@pytest.fixture
def fresh_site(serve_example: Callable[..., Site]) -> Site:
    """Return an example project in which nothing has happened yet."""
    return serve_example(DEMO_THROTTLE_RATE="1000/minute")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return an example project for tests that leave no trace in its database."""
    with serve(tmp_path_factory.mktemp("site"), DEMO_THROTTLE_RATE="1000/minute") as site:
        yield site


# Playwright keeps an event loop in this thread, in which Django refuses to use a database:
# it must be gone before the tests of another module run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=services.chromium(), args=CHROMIUM_ARGUMENTS
        )
        yield browser
        browser.close()


@dataclass
class Watch:
    """Notes what a page must not do: complain in the console, or ask another host."""

    url: str
    complaints: list[str] = field(default_factory=list)

    def on(self, page: Page) -> None:
        page.on("console", self.console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self.dialog)
        page.on("request", self.request)

    def console(self, message: ConsoleMessage) -> None:
        # Chromium notes each 4xx by itself. Of the API they are answers like others, and of the
        # pages of a login as well: one that asks for patience is a 429.
        refused = message.text.startswith("Failed to load resource: the server responded")
        answers = (f"{self.url}/api/", f"{self.url}/account/")
        if refused and message.location["url"].startswith(answers):
            return
        if message.type in {"error", "warning"}:
            where = message.location["url"]
            self.complaints.append(f"console: {message.text} ({where})")

    def dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", f"blob:{self.url}/", "data:")):
            self.complaints.append(f"request: {request.url}")


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page of a site. In the end, the page was well-behaved."""
    with contextlib.ExitStack() as stack:
        watches = []

        def open_page(site: Site, path: str = "/jwt/", *, width: int = 1280, **options) -> Page:
            viewport = {"width": width, "height": 844 if width < 500 else 900}
            context = browser.new_context(base_url=site.url, viewport=viewport, **options)
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE * 1000)
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            page = context.new_page()
            watches.append(Watch(site.url))
            watches[-1].on(page)
            page.goto(path)
            return page

        yield open_page
    assert [complaint for watch in watches for complaint in watch.complaints] == []


@pytest.fixture
def look(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Return a function that examines what a page shows, and keeps a picture if asked to."""
    folder = os.environ.get("BROWSER_SCREENSHOTS")
    test = re.sub(r"\W+", "-", request.node.name).strip("-")

    def examine(page: Page, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{test}-{name}.png", full_page=True)
        assert page.evaluate(AUDIT) == [], name

    return examine


@pytest.fixture
def read_qr() -> Callable[[Page], str]:
    """Return a function that reads the one QR code on a page, from a screenshot."""

    def read(page: Page) -> str:
        picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
        [barcode] = zxingcpp.read_barcodes(picture)
        return str(barcode.text)

    return read


POLICY = "example.playground.middleware.content_security_policy"
PROJECT = {
    "MIDDLEWARE": [POLICY, *django_settings.MIDDLEWARE],
    "ROOT_URLCONF": "tests.browser.pages_urls",
    "STATIC_ROOT": Path(django_totp.__file__).parent / "static",
    "ALLOWED_HOSTS": ["*"],
    "LOGIN_URL": "two-factor-login",
    "LOGIN_REDIRECT_URL": "two-factor",
    "TOTP_THROTTLE_RATE": None,
    "TOTP_ADDRESS_THROTTLE_RATE": None,
}


@pytest.fixture(scope="module")
def address(django_db_setup: None) -> Iterator[str]:
    """Serve a small project, in this process: a test says what is in its database."""
    with pytest.MonkeyPatch.context() as patch, override_settings(**PROJECT):
        # Playwright's event loop is in this thread, and nothing of Django runs in it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        server = LiveServer("127.0.0.1")
        yield server.url
        server.stop()


@pytest.fixture
def project(address: str, user: Any) -> Site:
    """Return the project, with a user who has no second factor."""
    return Site(address, user.get_username(), PASSWORD)


@pytest.fixture
def authenticator(project: Site, enrolled_user: Any, secret: str) -> pyotp.TOTP:
    """Return the authenticator app of the user, whose second factor is a day old."""
    age_enrollment(enrolled_user)
    return pyotp.TOTP(secret)


# A finger wants larger targets than a mouse, and colours that change slowly have no contrast yet.
SCREEN = {"width": 320, "has_touch": True, "reduced_motion": "reduce"}


@pytest.fixture
def see(look: Any) -> Any:
    """Return a function that looks at a page, once it has that heading and that error.

    It does so in light and in dark, on a phone and on a desk.
    """

    def see(page: Page, name: str, title: str, error: str = "") -> None:
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        if error:
            expect(page.get_by_role("alert")).to_contain_text(error)
        page.wait_for_load_state()
        assert page.evaluate("matchMedia('(pointer: coarse)').matches")
        for width, scheme in itertools.product([1280, 320], ["light", "dark"]):
            page.set_viewport_size({"width": width, "height": 844})
            page.emulate_media(color_scheme=scheme)
            look(page, f"{name}-{width}-{scheme}")

    return see
