"""What a client calls itself, in words."""

import time

import pytest
from django.utils import translation

from django_totp.agents import LONGEST, PROGRAMS, SYSTEMS, described

MOZILLA = "Mozilla/5.0 "
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko) "
WINDOWS = f"{MOZILLA}(Windows NT 10.0; Win64; x64) "
ANDROID = f"{MOZILLA}(Linux; Android 14; Pixel 8) {WEBKIT}"
IPHONE = (
    f"{MOZILLA}(iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
)
MAC = f"{MOZILLA}(Macintosh; Intel Mac OS X 10_15_7) "
LINUX = f"{MOZILLA}(X11; Linux x86_64) "
AGENTS = [
    (f"{WINDOWS}{WEBKIT}Chrome/126.0.0.0 Safari/537.36", "Chrome on Windows"),
    (f"{WINDOWS}{WEBKIT}Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.68", "Edge on Windows"),
    (f"{WINDOWS}{WEBKIT}Chrome/51.0 Safari/537.36 Edge/14.14393", "Edge on Windows"),
    (f"{WINDOWS}{WEBKIT}Chrome/124.0.0.0 Safari/537.36 OPR/110.0.0.0", "Opera on Windows"),
    ("Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18", "Opera on Windows"),
    (f"{WINDOWS}{WEBKIT}Chrome/124.0 Safari/537.36 Vivaldi/6.7", "Vivaldi on Windows"),
    (
        f"{WINDOWS}{WEBKIT}Chrome/122.0 YaBrowser/24.4.0.0 Safari/537.36",
        "Yandex Browser on Windows",
    ),
    (
        f"{MOZILLA}(Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
        "Firefox on Windows",
    ),
    (
        f"{MOZILLA}(Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
        "Internet Explorer on Windows",
    ),
    ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)", "Internet Explorer on Windows"),
    (
        f"{MAC}AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
        "Safari on Mac",
    ),
    (f"{MAC}{WEBKIT}Chrome/126.0.0.0 Safari/537.36", "Chrome on Mac"),
    (
        f"{MOZILLA}(Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0",
        "Firefox on Mac",
    ),
    (
        f"{MOZILLA}(X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
        "Firefox on Linux",
    ),
    (f"{LINUX}{WEBKIT}Ubuntu Chromium/80.0 Chrome/80.0 Safari/537.36", "Chromium on Linux"),
    (f"{LINUX}{WEBKIT}HeadlessChrome/126.0.0.0 Safari/537.36", "Chrome on Linux"),
    (
        f"{MOZILLA}(X11; CrOS x86_64 14541.0.0) {WEBKIT}Chrome/126.0 Safari/537.36",
        "Chrome on ChromeOS",
    ),
    (f"{MOZILLA}(X11; FreeBSD amd64; rv:127.0) Gecko/20100101 Firefox/127.0", "Firefox on FreeBSD"),
    (f"{ANDROID}Chrome/126.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
    (
        f"{ANDROID}SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
        "Samsung Internet on Android",
    ),
    (f"{ANDROID}Chrome/126.0.0.0 Mobile Safari/537.36 EdgA/126.0", "Edge on Android"),
    (
        f"{ANDROID}Version/4.0 Chrome/126.0 Mobile DuckDuckGo/5 Safari/537.36",
        "DuckDuckGo on Android",
    ),
    (f"{ANDROID}Version/4.0 UCBrowser/13.4 Mobile Safari/537.36", "UC Browser on Android"),
    (
        f"{MOZILLA}(Linux; Android 9; KFMAWI) {WEBKIT}Silk/108.9 like Chrome/108.0 Safari/537.36",
        "Silk on Android",
    ),
    (f"{MOZILLA}(Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0", "Firefox on Android"),
    (f"{IPHONE}Version/17.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
    (f"{IPHONE}CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
    (f"{IPHONE}FxiOS/127.0 Mobile/15E148 Safari/605.1.15", "Firefox on iPhone"),
    (f"{IPHONE}EdgiOS/126.0 Version/17.0 Mobile/15E148 Safari/604.1", "Edge on iPhone"),
    (f"{IPHONE}Mobile/15E148", "an unknown program on iPhone"),
    (
        f"{MOZILLA}(iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1 Version/12.1 Safari/604",
        "Safari on iPad",
    ),
    (
        f"{MOZILLA}(Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) {WEBKIT}"
        "Chrome/52.0 Mobile Safari/537.36 Edge/15.15254",
        "Edge on Windows Phone",
    ),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot"),
    (
        f"{ANDROID}Chrome/126.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)",
        "Googlebot on Android",
    ),
    ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "Bingbot"),
    ("curl/8.5.0", "curl"),
    ("Wget/1.21.4", "Wget"),
    ("PostmanRuntime/7.39.0", "Postman"),
    ("HTTPie/3.2.2", "HTTPie"),
    ("python-requests/2.32.3", "Python"),
    ("python-httpx/0.27.0", "Python"),
    ("Python-urllib/3.12", "Python"),
    ("okhttp/4.12.0", "okhttp"),
    ("Dart/3.4 (dart:io)", "Dart"),
    ("Go-http-client/2.0", "Go"),
    ("Java/17.0.11", "Java"),
    ("axios/1.7.2", "axios"),
    ("Dalvik/2.1.0 (Linux; U; Android 13; SM-G991B)", "an unknown program on Android"),
    ("MyApp/1 CFNetwork/1496.0.7 Darwin/23.5.0", "an unknown program"),
    ("Mozilla/5.0 (X11; OpenBSD amd64)", "an unknown program"),
]
ODD = [
    "",
    None,
    0,
    b"curl",
    "\0",
    "\ud800",
    "-",
    "<script>alert(1)</script>",
    "Your account is blocked. Call +1 555 0100\r\nBcc: all@example.com",
    "x" * 10**7,
]


@pytest.mark.parametrize(("agent", "words"), AGENTS, ids=[agent for agent, _ in AGENTS])
def test_program_and_system_are_named(agent, words):
    assert described(agent) == words


def test_each_name_is_that_of_an_agent_that_is_seen():
    seen = {words for _, words in AGENTS}
    assert {name for name, *_ in PROGRAMS} <= {words.partition(" on ")[0] for words in seen}
    assert {name for name, *_ in SYSTEMS} <= {words.partition(" on ")[2] for words in seen}


def test_no_mark_stands_behind_another_that_is_in_it():
    programs = {described(mark): name for name, *marks in PROGRAMS for mark in marks}
    assert all(words == name for words, name in programs.items())
    systems = {described(mark): name for name, *marks in SYSTEMS for mark in marks}
    assert all(words == f"an unknown program on {name}" for words, name in systems.items())


@pytest.mark.parametrize("agent", ODD, ids=lambda agent: repr(agent)[:20])
def test_what_is_no_agent_is_an_unknown_program(agent):
    assert described(agent) == "an unknown program"


def test_nothing_of_the_text_is_kept():
    agent = "<b>Firefox/1</b> Windows %(program)s %s {{ x }}"
    assert described(agent) == "Firefox on Windows"


def test_it_looks_at_so_many_characters():
    assert described("x" * (LONGEST - 8) + "Firefox/") == "Firefox"
    assert described("x" * LONGEST + "Firefox/") == "an unknown program"


def test_a_long_text_takes_no_time():
    begun = time.perf_counter()
    described("Windows " * 10**6)
    assert time.perf_counter() - begun < 0.1


def test_the_words_are_of_the_active_language(monkeypatch):
    words = {"an unknown program": "ein unbekanntes Programm"}
    words["%(program)s on %(system)s"] = "%(program)s unter %(system)s"
    monkeypatch.setattr("django_totp.agents._", lambda text: words[text])
    with translation.override("de"):
        assert described("Android") == "ein unbekanntes Programm unter Android"
