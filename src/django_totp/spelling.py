"""What people type and paste, brought to the one spelling that it is compared in.

A code must have one spelling, or each spelling could be spent once. So what a phone, a web page
or a person puts between and around the symbols goes: spaces, dashes and what cannot be seen, of
all of Unicode. The symbols themselves are ASCII: digits of other scripts are refused.
"""

import re
import unicodedata

LOOK_ALIKES = str.maketrans({"i": "1", "l": "1", "o": "0"})
SEPARATORS = {"Cf", "Pd", "Zl", "Zp", "Zs"}  # categories of Unicode
# And what looks like a dash or like nothing, and is a symbol, a letter or a mark to Unicode.
ODD_SEPARATORS = re.compile(
    "[\u034f\u115f\u1160\u180b-\u180d\u2212\u2800\u3164\ufe00-\ufe0f\uffa0]"
)
MAX_LENGTH = 4096  # more is no code
LONGEST_NAME = 1024  # characters that are looked at: putting marks in order is quadratic


def bare(value: str) -> str:
    """Return ``value`` without spaces, dashes and invisible characters."""
    if value.isascii():
        return re.sub(r"[\s-]", "", value)
    return "".join(each for each in value if not _separates(each))


def totp_code(value: object, digits: int) -> bytes | None:
    """Return the ``digits`` ASCII digits in ``value`` as bytes, or ``None`` if it is no code."""
    if not isinstance(value, str) or len(value) > MAX_LENGTH:
        return None
    code = bare(value)
    return code.encode() if re.fullmatch(rf"[0-9]{{{digits}}}", code) else None


def backup_code(value: object) -> str | None:
    """Return the spelling that a backup code is looked up by, or ``None`` if it is no code.

    Case does not matter, nor does o for 0, or i and l for 1.
    """
    if not isinstance(value, str) or len(value) > MAX_LENGTH:
        return None
    code = bare(value)
    if not re.fullmatch(r"[!-~]+", code):  # before lower(): it makes a k of the Kelvin sign
        return None
    return code.lower().translate(LOOK_ALIKES)


def secret(value: str) -> str:
    """Return a base32 secret as RFC 4648 spells it, without padding: people store it by hand."""
    return bare(value).upper().rstrip("=")


def _separates(character: str) -> bool:
    if character.isspace() or unicodedata.category(character) in SEPARATORS:
        return True
    return ODD_SEPARATORS.match(character) is not None


def folded(name: str) -> str:
    """Return what the spellings of a user name have in common.

    A database may take more for one name than Django does: case, accents, blanks at the end. Two
    names that are taken for one here share a rate, from one address only.
    """
    decomposed = unicodedata.normalize("NFKD", name.strip()[:LONGEST_NAME]).casefold()
    return "".join(filter(str.isalnum, decomposed)) or name.strip()[:LONGEST_NAME]
