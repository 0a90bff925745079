"""Texts and addresses of strangers: what may stand on a page, in a terminal and in a spreadsheet without harm."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

LINKS = ("weights", "code", "paper", "data")
HOSTS = (
    "arxiv.org",
    "doi.org",
    "github.com",
    "gitlab.com",
    "huggingface.co",
    "openreview.net",
    "zenodo.org",
)
LONGEST_LINK = 300
# More marks over one letter than any script needs run into the lines above and below.
_MOST_MARKS = 3
# Letters and marks of no category of their own that are drawn as nothing (Default_Ignorable_Code_Point), and blank Braille.
_INVISIBLE = frozenset(
    letter
    for first, last in (
        *((0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800)),
        *((0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF)),
    )
    for letter in range(first, last + 1)
)
_KINDS = {
    "Cc": "a control character",
    "Cf": "a character that is not seen or turns the direction of others",
    "Cn": "a character that Unicode has not assigned",
    "Co": "a character of private use",
    "Cs": "half a letter",
    "Zl": "a line end",
    "Zp": "a line end",
    "Zs": "a space that is none of ASCII",
}
_UNPLAIN = re.compile(r"[^A-Za-z0-9 .,:'()_/@+-]")
_SHOWN = 120
_ADDRESS = re.compile(r"https://([^/?#]*)(/[A-Za-z0-9._~!$&()*+,;=:@/?#%-]*)?")


def check_text(text: str, what: str, *, longest: int) -> None:
    r"""Raise unless a text can be shown as it is: it is all seen, in one way only, and where it stands.

    No controls, line ends, marks of direction, zero-width or unassigned characters, no spaces but those of ASCII, no
    towers of accents; composed as Unicode's form C, so that equal texts have equal bytes. Letters of any script may
    stand in it, also of those that are written from the right: a page isolates it.

    Args:
        text: Any text, an empty one too.
        what: What it is, for the message.
        longest: Characters that it may have.

    Raises:
        ValueError: With what is wrong; characters are told by their code point and never shown.

    >>> check_text("DataComp-1B", "name", longest=80)
    >>> check_text("Data\u202eComp", "name", longest=80)
    Traceback (most recent call last):
        ...
    ValueError: name has a character that is not seen or turns the direction of others (U+202E) at 5
    """
    if len(text) > longest:
        raise ValueError(f"{what} has {len(text):,} characters, at most {longest:,} are taken")
    marks = 0
    for place, letter in enumerate(text, 1):
        category = unicodedata.category(letter)
        wrong = None if letter == " " else _KINDS.get(category)
        if ord(letter) in _INVISIBLE:
            wrong = "a character that is not seen"
        if wrong:
            raise ValueError(f"{what} has {wrong} ({_code(letter)}) at {place:,}")
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > _MOST_MARKS or (marks and place == marks):
            raise ValueError(f"{what} has a mark with no letter of its own ({_code(letter)}) at {place:,}")
    if not unicodedata.is_normalized("NFC", text):
        raise ValueError(
            f"{what} is not in Unicode's form C: write its accented letters as one character each"
        )


def check_name(text: str, what: str, *, longest: int) -> None:
    """Raise unless a text is a name: as `check_text`, with a letter or digit at its start and no space at its end.

    What begins otherwise may be taken by a spreadsheet for a formula.

    Raises:
        ValueError: With what is wrong.

    >>> check_name("=1+1", "name", longest=80)
    Traceback (most recent call last):
        ...
    ValueError: name begins with U+003D, a letter or digit is needed there
    """
    check_text(text, what, longest=longest)
    if not text:
        raise ValueError(f"{what} is empty")
    if not text[0].isalnum():
        raise ValueError(f"{what} begins with {_code(text[0])}, a letter or digit is needed there")
    if text.endswith(" ") or "  " in text:
        raise ValueError(f"{what} has spaces at its end, or two in a row")


def check_link(kind: str, address: str) -> None:
    """Raise unless an address may be linked to: https, one of a few hosts by its plain name, and nothing hidden in it.

    Args:
        kind: What it leads to, one of `LINKS`.
        address: The address.

    Raises:
        ValueError: With what is wrong; what the address says is not shown.

    >>> check_link("code", "https://github.com/mlfoundations/open_clip")
    >>> check_link("code", "https://github.com@example.org/")
    Traceback (most recent call last):
        ...
    ValueError: link has credentials or a port, or a host in letters that are not a to z
    """
    if kind not in LINKS:
        raise ValueError(f"a link may be to {', '.join(LINKS)}")
    check_text(address, "link", longest=LONGEST_LINK)
    match = _ADDRESS.fullmatch(address)
    if not address.startswith("https://"):
        raise ValueError("link does not begin with https://")
    host = re.split("[/?#]", address[len("https://") :], maxsplit=1)[0]
    if not re.fullmatch(r"[a-z0-9.-]+", host):
        raise ValueError("link has credentials or a port, or a host in letters that are not a to z")
    if host not in HOSTS:
        raise ValueError(f"link leads to a host that is not listed, take one of {', '.join(HOSTS)}")
    if match is None or re.search(r"%(?![0-9A-Fa-f]{2})", address):
        raise ValueError("link has characters that an address has only as % and two hex digits")
    try:
        plain = unquote(address, errors="strict")
    except UnicodeDecodeError as error:
        raise ValueError("link hides bytes that are no text") from error
    check_text(plain, "link, with its % written out,", longest=LONGEST_LINK)
    if re.search(r"/\.{1,2}(?:/|$)|\\", plain):
        raise ValueError("link goes up or stays in a folder by dots: write where it leads")


def show(text: str) -> str:
    r"""Return a stranger's text for a message: quoted, cut, and all but a few plain letters as question marks.

    A terminal, a log that reads commands and a page can all show it.

    >>> show("<b>##[error]\u202e.exe")
    "'?b????error??.exe'"
    """
    cut = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
    return f"'{_UNPLAIN.sub('?', cut)}'"


def _code(letter: str) -> str:
    return f"U+{ord(letter):04X}"
