"""What a client calls itself, in words that its owner knows: "Firefox on Windows".

A header is the client's own claim, and any text. Of it nothing is kept but names of this module.
"""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

LONGEST = 512  # characters that are looked at: a client has written them

# The first name of which a mark is found is the one. Most programs claim to be others as well:
# Edge to be Chrome, Chrome to be Safari, and all to be Mozilla.
PROGRAMS = (
    ("Googlebot", "Googlebot", "Google-InspectionTool"),
    ("Bingbot", "bingbot"),
    ("Edge", "Edg/", "EdgA/", "EdgiOS/", "Edge/"),
    ("Opera", "OPR/", "OPT/", "OPiOS/", "Opera"),
    ("Samsung Internet", "SamsungBrowser/"),
    ("Vivaldi", "Vivaldi/"),
    ("Yandex Browser", "YaBrowser/"),
    ("UC Browser", "UCBrowser/", "UBrowser/"),
    ("DuckDuckGo", "DuckDuckGo/", "Ddg/"),
    ("Silk", "Silk/"),
    ("Firefox", "Firefox/", "FxiOS/", "Focus/", "Klar/"),
    ("Chromium", "Chromium/"),
    ("Chrome", "Chrome/", "CriOS/", "HeadlessChrome/"),
    ("Internet Explorer", "MSIE ", "Trident/"),
    ("Safari", "Safari/"),
    ("curl", "curl/"),
    ("Wget", "Wget/"),
    ("Postman", "PostmanRuntime/"),
    ("HTTPie", "HTTPie/"),
    ("Python", "python-requests/", "python-httpx/", "Python-urllib/", "aiohttp/"),
    ("okhttp", "okhttp/"),
    ("Dart", "Dart/"),
    ("Go", "Go-http-client/"),
    ("Java", "Java/", "Java-http-client/", "Apache-HttpClient/"),
    ("axios", "axios/"),
)
SYSTEMS = (
    ("Windows Phone", "Windows Phone"),
    ("iPhone", "iPhone", "iPod"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("ChromeOS", "CrOS "),
    ("Windows", "Windows"),
    ("Mac", "Macintosh", "Mac OS X"),
    ("Linux", "Linux"),
    ("FreeBSD", "FreeBSD"),
)


def described(user_agent: Any) -> str:
    """Return program and system of ``user_agent`` in the active language, as far as known."""
    text = str(user_agent or "")[:LONGEST]
    program = _first(PROGRAMS, text) or _("an unknown program")
    system = _first(SYSTEMS, text)
    if not system:
        return program
    return _("%(program)s on %(system)s") % {"program": program, "system": system}


def _first(names: Sequence[Sequence[str]], text: str) -> str:
    return next((name for name, *marks in names if any(mark in text for mark in marks)), "")
