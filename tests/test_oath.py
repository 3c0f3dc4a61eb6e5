"""RFC 6238 against the RFCs' own vectors, and against PyOTP as an independent oracle."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from django_totp import oath, qr, spelling

SEEDS = {
    "SHA1": b"12345678901234567890",
    "SHA256": b"12345678901234567890123456789012",
    "SHA512": b"1234567890123456789012345678901234567890123456789012345678901234",
}
SECRETS = {name: base64.b32encode(seed).decode() for name, seed in SEEDS.items()}

RFC_4226_APPENDIX_D = [
    "755224",
    "287082",
    "359152",
    "969429",
    "338314",
    "254676",
    "287922",
    "162583",
    "399871",
    "520489",
]

RFC_6238_APPENDIX_B = [
    (59, "SHA1", "94287082"),
    (59, "SHA256", "46119246"),
    (59, "SHA512", "90693936"),
    (1111111109, "SHA1", "07081804"),
    (1111111109, "SHA256", "68084774"),
    (1111111109, "SHA512", "25091201"),
    (1111111111, "SHA1", "14050471"),
    (1111111111, "SHA256", "67062674"),
    (1111111111, "SHA512", "99943326"),
    (1234567890, "SHA1", "89005924"),
    (1234567890, "SHA256", "91819424"),
    (1234567890, "SHA512", "93441116"),
    (2000000000, "SHA1", "69279037"),
    (2000000000, "SHA256", "90698825"),
    (2000000000, "SHA512", "38618901"),
    (20000000000, "SHA1", "65353130"),
    (20000000000, "SHA256", "77737706"),
    (20000000000, "SHA512", "47863826"),
]

secrets = st.binary(min_size=16, max_size=64).map(lambda raw: base64.b32encode(raw).decode())
# Past the year 9999 PyOTP's datetimes end, not the standard.
moments = st.floats(min_value=0, max_value=2.5e11)
algorithms = st.sampled_from(sorted(oath.ALGORITHMS))
other_digits = st.characters(categories=["Nd"], exclude_characters="0123456789")
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
# Older releases of PyOTP unquote a URI before they take it apart.
plain_names = st.text(
    st.characters(categories=["L", "N"], include_characters=" .@-_"), min_size=1, max_size=40
).filter(str.strip)


def matching_step(secret, code, **changes):
    arguments = {"at": 59, "digits": 6, "period": 30, "algorithm": "SHA1", "window": 0}
    return oath.matching_step(secret, code.encode(), **arguments | changes)


def provisioning_uri(**changes):
    arguments = {
        "account": "ada@example.com",
        "issuer": "Example",
        "digits": 6,
        "period": 30,
        "algorithm": "SHA1",
    }
    return oath.provisioning_uri(SECRETS["SHA1"], **arguments | changes)


# --- Which step does a code belong to? ---


@pytest.mark.parametrize(("step", "code"), [*enumerate(RFC_4226_APPENDIX_D)])
def test_codes_are_those_of_rfc_4226(step, code):
    assert matching_step(SECRETS["SHA1"], code, at=step * 30) == step


@pytest.mark.parametrize(("at", "algorithm", "code"), RFC_6238_APPENDIX_B)
def test_codes_are_those_of_rfc_6238(at, algorithm, code):
    step = matching_step(SECRETS[algorithm], code, at=at, digits=8, algorithm=algorithm)
    assert step == at // 30


@given(
    secret=secrets,
    at=moments,
    digits=st.integers(6, 8),
    period=st.integers(15, 120),
    algorithm=algorithms,
    window=st.integers(0, 3),
    ahead=st.integers(-5, 5),
)
def test_a_code_matches_where_pyotp_accepts_it(
    secret, at, digits, period, algorithm, window, ahead
):
    moment = datetime.fromtimestamp(at, UTC)
    app = pyotp.TOTP(secret, digits=digits, digest=oath.ALGORITHMS[algorithm], interval=period)
    assume(app.timecode(moment) >= max(window, -ahead))  # PyOTP knows no time before the epoch
    code = app.generate_otp(app.timecode(moment) + ahead)
    step = matching_step(
        secret, code, at=at, digits=digits, period=period, algorithm=algorithm, window=window
    )
    assert (step is not None) == app.verify(code, for_time=moment, valid_window=window)
    assert step is None or app.generate_otp(step) == code


def test_the_newest_of_several_matching_steps_is_used_up():
    """Or the code, which the RFC's secret happens to give twice, would be accepted twice."""
    older, newer, code = 153567, 153569, "468457"
    assert matching_step(SECRETS["SHA1"], code, at=older * 30) == older
    assert matching_step(SECRETS["SHA1"], code, at=(older + 1) * 30, window=1) == newer


@pytest.mark.parametrize(("at", "step"), [(0, 0), (29.999, 0), (30, 1), (59, 1), (60.5, 2)])
def test_a_step_begins_at_whole_periods_since_the_epoch(at, step):
    assert oath.time_step(at, 30) == step


def test_no_step_lies_before_the_epoch():
    assert matching_step(SECRETS["SHA1"], RFC_4226_APPENDIX_D[0], at=0, window=2) == 0


@pytest.mark.parametrize(("code", "digits"), [("94287082", 6), ("287082", 8)])
def test_a_code_of_another_length_matches_nothing(code, digits):
    assert matching_step(SECRETS["SHA1"], code, at=59, digits=digits) is None


def test_a_secret_that_is_no_base32_is_an_error():
    with pytest.raises(ValueError):  # noqa: PT011
        matching_step("1nv@lid!", "123456")


@pytest.mark.parametrize("secret", [*SECRETS.values(), "ab cd-2222==", "AE"])
def test_what_is_a_secret(secret):
    assert oath.is_secret(secret)


@pytest.mark.parametrize("secret", ["", "=", " ", "A", "ABC1", "0189", "é"])
def test_what_is_none(secret):
    assert not oath.is_secret(secret)


def test_generated_secrets_have_160_bits_and_differ():
    made = {oath.generate_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(base64.b32decode(secret)) for secret in made} == {20}


# --- What is a code? ---


@given(digits=st.integers(6, 8), data=st.data())
def test_spaces_and_dashes_do_not_matter(digits, data):
    code = data.draw(st.text("0123456789", min_size=digits, max_size=digits))
    gaps = data.draw(st.lists(st.text(" \t\r\n-"), min_size=digits + 1, max_size=digits + 1))
    typed = gaps[0] + "".join(symbol + gap for symbol, gap in zip(code, gaps[1:], strict=True))
    assert spelling.totp_code(typed, digits) == code.encode()


@given(st.text(other_digits, min_size=6, max_size=6))
def test_digits_of_other_scripts_are_no_digits(code):
    assert code.isdecimal()
    assert spelling.totp_code(code, 6) is None


@given(st.text(st.one_of(st.sampled_from("0123456789 -"), st.characters()), max_size=12))
def test_only_ascii_digits_make_a_code(text):
    kept = spelling.bare(text)
    is_code = len(kept) == 6 and all("0" <= symbol <= "9" for symbol in kept)
    assert spelling.totp_code(text, 6) == (kept.encode() if is_code else None)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "12345",
        "1234567",
        "１２３４５６",
        "١٢٣٤٥٦",
        "12345\N{SUPERSCRIPT SIX}",
        "+12345",
        "12345.",
        "0x1234",
        "123456\0",
        "\ud800" * 6,
        None,
        True,
        123456,
        b"123456",
        ["123456"],
        {"code": "123456"},
    ],
    ids=repr,
)
def test_anything_else_is_no_code(value):
    assert spelling.totp_code(value, 6) is None


# --- The provisioning URI ---


def test_the_uri_names_only_what_is_not_the_default():
    assert provisioning_uri() == (
        "otpauth://totp/Example:ada%40example.com"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example"
    )


@pytest.mark.parametrize(
    ("changes", "added"),
    [
        ({"algorithm": "SHA256"}, {"algorithm": ["SHA256"]}),
        ({"digits": 8}, {"digits": ["8"]}),
        ({"period": 60}, {"period": ["60"]}),
    ],
)
def test_the_uri_names_what_differs_from_the_default(changes, added):
    query = parse_qs(urlsplit(provisioning_uri(**changes)).query)
    assert query == {"secret": [SECRETS["SHA1"]], "issuer": ["Example"]} | added


def test_slashes_blanks_and_reserved_characters_are_percent_encoded():
    uri = provisioning_uri(issuer="A/B & C?", account="ada lovelace/#1")
    assert "/A%2FB%20%26%20C%3F:ada%20lovelace%2F%231?" in uri
    assert uri.endswith("&issuer=A%2FB%20%26%20C%3F")


def test_the_colon_that_the_format_forbids_becomes_a_blank():
    uri = provisioning_uri(issuer="https://example.com", account=":ada:")
    assert urlsplit(uri).path == "/https%20%2F%2Fexample.com:ada"


@given(issuer=names, account=names)
def test_the_label_is_ascii_with_one_colon(issuer, account):
    uri = provisioning_uri(issuer=issuer, account=account)
    assert uri.isascii()
    assert urlsplit(uri).path.count(":") == 1
    assert urlsplit(uri).path.count("/") == 1


@given(issuer=names, account=names)
def test_urllib_reads_back_what_the_uri_was_made_of(issuer, account):
    parts = urlsplit(provisioning_uri(issuer=issuer, account=account))
    expected = [text.replace(":", " ").strip() for text in (issuer, account)]
    assert (parts.scheme, parts.netloc, parts.fragment) == ("otpauth", "totp", "")
    assert [unquote(text) for text in parts.path[1:].split(":")] == expected
    assert parse_qs(parts.query, keep_blank_values=True)["issuer"] == expected[:1]


@given(
    issuer=plain_names,
    account=plain_names,
    digits=st.sampled_from([6, 7, 8]),
    period=st.integers(15, 120),
    algorithm=algorithms,
)
def test_pyotp_reads_back_what_the_uri_was_made_of(issuer, account, digits, period, algorithm):
    uri = provisioning_uri(
        issuer=issuer, account=account, digits=digits, period=period, algorithm=algorithm
    )
    app = pyotp.parse_uri(uri)
    assert (app.secret, app.digits, app.interval) == (SECRETS["SHA1"], digits, period)
    assert app.digest is getattr(hashlib, algorithm.lower())
    assert (app.issuer, app.name) == (issuer.strip(), account.strip())


@pytest.mark.parametrize(
    ("account", "kept"),
    [
        ("a" * 1800, "a" * 1800),
        ("a" * 1801, "a" * 1800),
        ("\N{PILE OF POO}" * 255, "\N{PILE OF POO}" * 150),
        ("a" * 1799 + "/", "a" * 1799),
    ],
)
def test_an_account_too_long_for_a_qr_code_loses_its_end(account, kept):
    label = urlsplit(provisioning_uri(issuer="Ours", account=account)).path
    assert unquote(label) == f"/Ours:{kept}"


def test_a_qr_code_has_room_for_the_longest_of_all():
    uri = provisioning_uri(
        issuer="i" * oath.MAX_ISSUER, account="a" * 2000, digits=8, period=120, algorithm="SHA512"
    )
    assert qr.svg(uri).startswith("<svg")


STEP_1 = {"at": 30, "digits": 6, "period": 30, "algorithm": "SHA1", "window": 0}


@pytest.mark.parametrize("secret", ["", "========"])
def test_an_empty_secret_makes_no_codes(secret):
    """PyOTP before 2.12 makes them, and so can anybody."""
    with pytest.raises(ValueError):  # noqa: PT011
        oath.matching_step(secret, b"812658", **STEP_1)


def test_a_secret_shorter_than_ours_makes_codes():
    """PyOTP from 2.12 on refuses it, which would lock its owner out."""
    digest = hmac.digest(b"Hello!\xde\xad\xbe\xef", (1).to_bytes(8), "sha1")
    offset = digest[-1] & 15
    code = int.from_bytes(digest[offset : offset + 4]) & 0x7FFFFFFF
    assert oath.matching_step("JBSWY3DPEHPK3PXP", f"{code % 10**6:06}".encode(), **STEP_1) == 1
