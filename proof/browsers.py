"""Browsers: cookies, forms with their CSRF token, and several requests of one at one moment."""

import http.client
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from proof.client import TIMEOUT_SECONDS

LOGIN, VERIFY = "/account/login/", "/account/two-factor/verify/"
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass(frozen=True)
class Page:
    """What a server has answered: where it leads, what it shows, the cookies that it sets."""

    status: int
    location: str
    text: str
    cookies: dict[str, str]


def filled(page: Page, data: dict[str, str]) -> str:
    """Return the form of a page that is shown, with what was typed into it."""
    token = TOKEN.search(page.text)
    return urlencode({**data, "csrfmiddlewaretoken": token[1] if token else ""})


@dataclass
class Browser:
    """A browser at the server on ``port``. It keeps cookies, and follows nothing."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Page:
        return self._keep(self._send("GET", path, "", headers))

    def post(self, path: str, data: dict[str, str], **headers: str) -> Page:
        """Send the form of a page, with the token that the page shows."""
        return self.submit(path, self.fill(path, data), **headers)

    def fill(self, path: str, data: dict[str, str]) -> str:
        """Look at a page, type into its form, and do not send it yet: a tab that is left open."""
        return filled(self.get(path), data)

    def submit(self, path: str, body: str, **headers: str) -> Page:
        """Send what was typed, with the cookies of now."""
        return self._keep(self._send("POST", path, body, headers))

    def fire(self, path: str, forms: list[dict[str, str] | None]) -> list[Page]:
        """Send all at one moment, with the cookies of now; ``None`` looks at the page."""
        return self.volley(path, [form and self.fill(path, form) for form in forms])

    def volley(self, path: str, bodies: list[Any]) -> list[Page]:
        """Send what was typed in several tabs at one moment. No cookie is kept."""
        start = threading.Barrier(len(bodies))

        def send(body: str | None) -> Page:
            start.wait(TIMEOUT_SECONDS)
            return self._send("GET" if body is None else "POST", path, body or "", {})

        with ThreadPoolExecutor(len(bodies)) as pool:
            return list(pool.map(send, bodies))

    def ask(self, method: str, path: str) -> Page:
        return self._keep(self._send(method, path, "", {}))

    def keep(self, page: Page) -> None:
        """Take the cookies of an answer, as a browser does when it arrives."""
        self._keep(page)

    def twin(self) -> "Browser":
        """Return a browser with the same cookies: a thief's, or another tab's."""
        return replace(self, cookies={**self.cookies})

    def shows(self, path: str) -> str:
        """Return what a page shows to who is let in, or where it leads."""
        page = self.get(path)
        return page.text if page.status == 200 else f"{page.status} {page.location}"

    def _keep(self, page: Page) -> Page:
        self.cookies.update(page.cookies)
        return page

    def _send(self, method: str, path: str, body: str, headers: dict[str, str]) -> Page:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        sent = {
            "Accept": "text/html",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Content-Type": "application/x-www-form-urlencoded",
            **headers,
        }
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
            set_cookies = SimpleCookie("\r\n".join(response.headers.get_all("Set-Cookie") or []))
            cookies = {name: morsel.value for name, morsel in set_cookies.items()}
            return Page(response.status, response.headers.get("Location", ""), text, cookies)
        finally:
            connection.close()
