"""What a stranger may write: all of it is seen, and nothing of it is shown in a refusal."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.eval.submission.words import HOSTS, LINKS, check_link, check_name, check_text, show


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ViT-B/32 (QuickGELU), 400 M pairs; \"as is\" <i> & 'more'",
        "Größe",
        "日本語コーパス",
        "مجموعة",
        "हिन्दी",
        "🐈",
    ],
)
def test_what_is_seen_may_stand(text):
    check_text(unicodedata.normalize("NFC", text), "text", longest=80)


@pytest.mark.parametrize(
    ("letter", "told"),
    [
        ("\0", "a control character"),
        ("\x1b", "a control character"),
        ("\n", "a control character"),
        ("\r", "a control character"),
        ("\t", "a control character"),
        ("\x7f", "a control character"),
        ("\x85", "a control character"),
        ("\u2028", "a line end"),
        ("\u2029", "a line end"),
        ("\u00a0", "a space that is none of ASCII"),
        ("\u3000", "a space that is none of ASCII"),
        ("\u202e", "turns the direction"),
        ("\u202a", "turns the direction"),
        ("\u2066", "turns the direction"),
        ("\u200f", "turns the direction"),
        ("\u061c", "turns the direction"),
        ("\u200b", "is not seen"),
        ("\u200d", "is not seen"),
        ("\u2060", "is not seen"),
        ("\ufeff", "is not seen"),
        ("\u00ad", "is not seen"),
        ("\U000e0041", "is not seen"),
        ("\ufe0f", "is not seen"),
        ("\U000e0100", "is not seen"),
        ("\u3164", "is not seen"),
        ("\u115f", "is not seen"),
        ("\u034f", "is not seen"),
        ("\u2800", "is not seen"),
        ("\ue000", "private use"),
        ("\ud800", "half a letter"),
        ("\u0378", "not assigned"),
        ("\uffff", "not assigned"),
    ],
)
def test_what_hides_or_moves_letters_is_told_by_its_code_point(letter, told):
    with pytest.raises(ValueError, match=told) as caught:
        check_text(f"Data{letter}Comp", "name", longest=80)
    line = str(caught.value)
    assert line.isascii()
    assert f"U+{ord(letter):04X}" in line
    assert line.endswith(" at 5")


def test_marks_need_a_letter_and_are_not_piled_up():
    with pytest.raises(ValueError, match=r"mark with no letter of its own \(U\+0301\) at 1"):
        check_text("\u0301a", "name", longest=80)
    check_text("q\u0323\u0301\u0308", "name", longest=80)
    with pytest.raises(ValueError, match="mark with no letter of its own"):
        check_text("q\u0323\u0301\u0308\u0302", "name", longest=80)


def test_two_ways_to_write_one_letter_are_one():
    check_text("\u00e9", "name", longest=80)
    with pytest.raises(ValueError, match="form C"):
        check_text("e\u0301", "name", longest=80)


def test_a_long_text_is_refused_before_it_is_read():
    check_text("a" * 80, "name", longest=80)
    with pytest.raises(ValueError, match="name has 10,000 characters, at most 80 are taken"):
        check_text("\u202e" * 10_000, "name", longest=80)


@pytest.mark.parametrize("start", "=+-@ \"'<|%.")
def test_a_name_begins_with_a_letter_so_that_no_spreadsheet_computes_it(start):
    with pytest.raises(ValueError, match=rf"begins with U\+{ord(start):04X}"):
        check_name(f"{start}cmd|' /C calc'!A0", "name", longest=80)


@pytest.mark.parametrize(
    ("text", "told"), [("", "is empty"), ("a ", "spaces at its end"), ("a  b", "two in")]
)
def test_names_differ_by_more_than_spaces(text, told):
    with pytest.raises(ValueError, match=told):
        check_name(text, "name", longest=80)


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com",
        "https://github.com/",
        "https://huggingface.co/lab/model-b_32/tree/main",
        "https://arxiv.org/abs/2103.00020",
        "https://doi.org/10.1000/(SICI)1097-4571%3C1",
        "https://openreview.net/forum?id=abc#notes",
        "https://gitlab.com/a/..b/c...d",
        "https://github.com/" + "a" * 281,
    ],
)
def test_plain_addresses_of_listed_hosts_may_be_linked_to(address):
    check_link("paper", address)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("javascript:alert(1)", "does not begin with https"),
        ("JavaScript:alert(1)//https://github.com/", "does not begin with https"),
        ("java\tscript:alert(1)", "control character"),
        ("data:text/html,x", "does not begin with https"),
        ("http://github.com/lab", "does not begin with https"),
        ("HTTPS://github.com/lab", "does not begin with https"),
        ("//github.com/lab", "does not begin with https"),
        (" https://github.com/lab", "does not begin with https"),
        ("https:/github.com/lab", "does not begin with https"),
        ("", "does not begin with https"),
        ("https://example.org/lab", "is not listed"),
        ("https://www.github.com/lab", "is not listed"),
        ("https://github.com.example.org/", "is not listed"),
        ("https://github.com./lab", "is not listed"),
        ("https://xn--gthub-cta.com/lab", "is not listed"),
        ("https://140.82.121.4/", "is not listed"),
        ("https://", "credentials or a port"),
        ("https:///github.com/", "credentials or a port"),
        ("https://github.com@example.org/", "credentials or a port"),
        ("https://user:word@github.com/lab", "credentials or a port"),
        ("https://github.com:8443/lab", "credentials or a port"),
        ("https://github.com\\@example.org/", "credentials or a port"),
        ("https://GitHub.com/lab", "not a to z"),
        ("https://g\u0456thub.com/lab", "not a to z"),
        ("https://github.com%2eexample.org/", "not a to z"),
        ("https://github.com\u3002example.org/", "not a to z"),
        ('https://github.com/"onmouseover="alert(1)', "characters that an address has only as %"),
        ("https://github.com/<script>", "characters that an address has only as %"),
        ("https://github.com/a b", "characters that an address has only as %"),
        ("https://github.com/\u00e9", "characters that an address has only as %"),
        ("https://github.com/%zz", "characters that an address has only as %"),
        ("https://github.com?lab", "characters that an address has only as %"),
        ("https://github.com/%E2%80%AEgnp", "turns the direction"),
        ("https://github.com/%0d%0aX", "control character"),
        ("https://github.com/%ff", "no text"),
        ("https://github.com/lab/../other", "dots"),
        ("https://github.com/lab/%2e%2E/other", "dots"),
        ("https://github.com/lab/%5c..", "dots"),
        ("https://github.com/.", "dots"),
        ("https://github.com/" + "a" * 282, "has 301 characters"),
        ("https://github.com/\u202elab", "turns the direction"),
    ],
)
def test_other_addresses_are_refused_and_not_shown(address, told):
    with pytest.raises(ValueError, match=told) as caught:
        check_link("code", address)
    line = str(caught.value)
    assert line.isascii()
    assert "example.org" not in line


def test_a_link_is_of_a_known_kind():
    for kind in LINKS:
        check_link(kind, f"https://{HOSTS[0]}/")
    with pytest.raises(ValueError, match="weights, code, paper, data"):
        check_link("onclick", "https://github.com/")


def problem_of(text):
    try:
        check_name(text, "name", longest=80)
    except ValueError as problem:
        return str(problem)
    return None


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_whatever_passes_is_printable_and_equal_to_what_it_reads_as(text):
    line = problem_of(text)
    if line is not None:
        assert line.isascii()
        assert line.isprintable()
        return
    assert text.isprintable()
    assert text.strip() == text
    assert text == unicodedata.normalize("NFC", text)
    assert text.encode().decode() == text


@given(st.text(max_size=300))
@settings(max_examples=100, deadline=None)
def test_what_is_shown_is_plain_and_short(text):
    shown = show(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 122
    assert not set(shown) & set('<>&#[]|`$\\"%')


def test_plain_names_are_shown_as_they_are():
    assert show("predictions/a.x@1.parquet") == "'predictions/a.x@1.parquet'"
    assert show("x" * 121) == f"'{'x' * 117}...'"
