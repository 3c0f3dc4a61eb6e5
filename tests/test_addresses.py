"""One client has one address, however it is written."""

import pytest
from rest_framework.throttling import BaseThrottle

from django_totp.addresses import LONGEST, address_of, addresses_in, client_address, subnet


@pytest.mark.parametrize(
    ("written", "address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:50001", "203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:", "203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:50001", "203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7:50001", "203.0.113.7", "203.0.113.7"),
        ("[203.0.113.7]:50001", "203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0:0::1", "2001:db8::1", "2001:db8::/64"),
        ("[2001:db8::1]", "2001:db8::1", "2001:db8::/64"),
        ("[2001:db8::1]:50001", "2001:db8::1", "2001:db8::/64"),
        ('"[2001:db8::1]:50001"', "2001:db8::1", "2001:db8::/64"),
        ("2001:db8::1:50001", "2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:1:ffff::", "2001:db8:0:1:ffff::", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::1%eth0", "fe80::/64"),
        ("64:ff9b::203.0.113.7", "64:ff9b::cb00:7107", "203.0.113.7"),
        ("::1", "::1", "::/64"),
        ("203.0.113.7:1,10.0.0.1", "203.0.113.7,10.0.0.1", "203.0.113.7,10.0.0.1"),
    ],
)
def test_an_address_has_one_form(written, address, counted):
    assert (client_address(written), subnet(written)) == (address, counted)


@pytest.mark.parametrize(
    "written", ["unknown", "203.0.113", "203.0.113.007", "1.2.3.4.5:6", "_hidden:1", ":", "[]", ""]
)
def test_what_is_no_address_stays_as_it_is(written):
    assert client_address(written) == subnet(written) == written


def test_what_is_not_known_is_empty():
    assert client_address(None) == subnet(None) == ""


def test_no_more_is_looked_at_than_a_server_could_mean():
    written = "x" * 10**6
    assert client_address(written) == subnet(written) == "x" * LONGEST


@pytest.mark.parametrize("proxies", [None, 0, 1, 2, 5])
@pytest.mark.parametrize("forwarded", [None, "1.2.3.4", "9.9.9.9, 1.2.3.4", "a,b , c,d"])
def test_it_is_what_rest_framework_takes_for_it(settings, rf, proxies, forwarded):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    request = rf.get("/", REMOTE_ADDR="203.0.113.1", **headers)
    assert address_of(request) == BaseThrottle().get_ident(request)


def test_without_rest_framework(settings, rf):
    del settings.REST_FRAMEWORK
    assert address_of(rf.get("/", REMOTE_ADDR="203.0.113.1")) == "203.0.113.1"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, [2001:db8::1]:443", "198.51.100.1, 2001:db8::1"),
        ("fe80::1%any text", "fe80::1"),
        ("call 555, 203.0.113.7,unknown", "203.0.113.7"),
        ("", ""),
        ("1" * 10**6, ""),
    ],
)
def test_what_is_no_address_is_left_out(written, shown):
    assert addresses_in(written) == shown
