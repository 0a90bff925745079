import base64
import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from oddpair.html import Bar, bars, card, contact_sheet, fold, page, paragraph, section, svg, table

HOSTILE = '<script>alert(1)</script>" onload="x \u202egnp.exe \x00\x1b[2J'
MARKUP_CHARACTERS = ("<script", "\u202e", "\x00", "\x1b")


def picture(kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), "teal").save(buffer, kind)
    return buffer.getvalue()


def scatter(label="concept", text="white"):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3))
    axes = figure.subplots()
    axes.scatter([1, 2, 3], [0.1, 0.4, 0.3], label=label)
    axes.fill_between([1, 3], [0, 0.2], [0.2, 0.4], alpha=0.2)
    axes.text(1, 0.2, text)
    axes.legend()
    return figure


def whole_page(text="plain"):
    return page(
        f"title {text}",
        [
            section(
                f"First {text}",
                paragraph(text),
                text,
                card(text, {text: text, "kept": 22000}),
                table([text, "n"], [[text, 1]], caption=text),
                note=text,
            ),
            section(
                "Second",
                bars(
                    [
                        Bar(label=text, value=0.3, low=0.2, high=0.4, n=1200, group=text),
                        Bar(label="sketch", value=0.1, low=0.0, high=0.2, n=9, group="control"),
                    ],
                    caption=text,
                ),
                contact_sheet([(picture(), text), (picture("JPEG"), "owl")], 4, caption=text),
                svg(scatter(text, text), text),
            ),
        ],
        lead=text,
    )


class Tags(HTMLParser):
    """Collects what a browser would see: tags with attributes, words, and whether tags close in order."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def attributes(self, name):
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def test_hostile_text_is_shown_and_never_obeyed_wherever_it_stands():
    plain, hostile = Tags(whole_page()), Tags(whole_page(HOSTILE))
    assert not any(mark in whole_page(HOSTILE) for mark in MARKUP_CHARACTERS)
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(found) for _, found in hostile.tags] == [sorted(found) for _, found in plain.tags]
    shown = "".join(hostile.words)
    assert "<script>alert(1)</script>" in shown
    assert "\\u202egnp.exe \\x00\\x1b[2J" in shown


@settings(max_examples=25, deadline=None)
@given(st.text())
def test_any_text_keeps_the_structure_of_a_page(text):
    parts = [
        paragraph(text),
        card(text, [(text, text)]),
        table([text], [[text]], caption=text, numeric=()),
        contact_sheet([(picture(), text)]),
        bars([Bar(label=text, value=0.0, low=0.0, high=0.1, n=1)]),
    ]
    found = Tags(page(text, [section("One", *parts, text)], lead=text))
    assert found.open == []
    assert [tag for tag, _ in found.tags if tag in {"p", "td", "dd", "img", "li"}] == [
        *("p", "p", "dd", "td", "li", "img", "p", "li")
    ]
    page(text, [section("One", text)], lead=text).encode("utf-8")


def test_captions_are_isolated_so_that_their_direction_moves_nothing_else():
    sheet = str(contact_sheet([(picture(), "شجرة صنوبر")]))
    assert "<bdi>شجرة صنوبر</bdi>" in sheet


def test_a_page_needs_nothing_from_elsewhere_and_forbids_it():
    text = whole_page()
    for address in re.findall(r"\w+://[^\"'\s<]*", re.sub(r"xmlns(:\w+)?=\"[^\"]*\"", "", text)):
        pytest.fail(f"the page names {address}")
    found = Tags(text)
    assert found.open == []
    assert not {"script", "iframe", "object", "form", "base"} & {tag for tag, _ in found.tags}
    for address in found.attributes("href") + found.attributes("xlink:href") + found.attributes("src"):
        assert address.startswith(("#", "data:"))
    policy = found.tags[3][1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"].split("; ")[:3] == [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
    ]


def test_every_link_and_reference_of_a_page_leads_to_one_thing_in_it():
    found = Tags(
        page("t", [section("A b", svg(scatter(), "one"), svg(scatter(), "two")), section("C")], lead="")
    )
    ids = found.attributes("id")
    assert len(set(ids)) == len(ids)
    assert {"a-b", "c"} < set(ids)
    references = [
        link[1:] for link in found.attributes("href") + found.attributes("xlink:href") if link[0] == "#"
    ]
    references += [
        reference
        for value in found.attributes("clip-path")
        for reference in re.findall(r"url\(#(.*)\)", value)
    ]
    assert len(references) > 10
    assert set(references) <= set(ids)


def test_equal_pages_have_equal_bytes_in_every_process():
    code = (
        "import sys, hashlib; sys.path.insert(0, sys.argv[1]); import test_html;"
        "print(hashlib.sha256(test_html.whole_page().encode()).hexdigest())"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", code, __file__.rsplit("/", 1)[0]],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "LC_ALL": "C", "SOURCE_DATE_EPOCH": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert digests[0] == digests[1]
    assert whole_page() == whole_page()


def test_sections_are_needed_and_have_different_titles():
    with pytest.raises(ValueError, match="needed one or more with different titles"):
        page("t", [], lead="")
    with pytest.raises(ValueError, match=r"found sections \['a-b', 'a-b'\]"):
        page("t", [section("A b"), section("a  B")], lead="")


def test_a_picture_is_embedded_as_it_is_with_its_caption_as_alternative():
    found = Tags(contact_sheet([(picture(), "an owl"), (picture("JPEG"), "a fork")]))
    images = [attributes for tag, attributes in found.tags if tag == "img"]
    assert [image["alt"] for image in images] == ["an owl", "a fork"]
    assert base64.b64decode(images[0]["src"].removeprefix("data:image/png;base64,")) == picture()
    assert base64.b64decode(images[1]["src"].removeprefix("data:image/jpeg;base64,")) == picture("JPEG")


def test_what_is_no_picture_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"picture 1 begins with b'<svg onl', needed JPEG or PNG"):
        contact_sheet([(picture(), "a"), (b"<svg onload=alert(1)>", "b")])
    with pytest.raises(ValueError, match="found no picture"):
        contact_sheet([])


def test_numbers_stand_right_and_dashes_stand_for_what_is_missing():
    rows = [
        ["owl", 22000, 0.5, np.float32(0.25), "34.1 % [32.0, 36.2]", None, "3 of 4"],
        ["fork", np.int64(7), -1234.5, float("nan"), "–", 2, "5"],
    ]
    found = Tags(table(list("abcdefg"), rows, caption="scores"))
    cells = [attributes.get("class") for tag, attributes in found.tags if tag == "td"]
    assert cells == [None, *["number"] * 5, None] * 2
    assert [attributes.get("class") for tag, attributes in found.tags if tag == "th"] == cells[:7]
    assert [word for word in found.words if word.strip()] == [
        *("scores", *"abcdefg"),
        *("owl", "22,000", "0.500", "0.250", "34.1 % [32.0, 36.2]", "–", "3 of 4"),
        *("fork", "7", "-1,234", "–", "–", "2", "5"),
    ]
    chosen = Tags(table(["a", "b"], [["x", 1]], caption="", numeric={"a"}))
    assert [attributes.get("class") for tag, attributes in chosen.tags if tag == "td"] == ["number", None]


def test_a_row_with_another_number_of_cells_is_an_error():
    with pytest.raises(ValueError, match="row 1 has 1 cells, the table has 2 columns"):
        table(["a", "b"], [["x", 1], ["y"]], caption="")


def test_a_bar_is_drawn_to_scale_and_told_in_words():
    rows = [
        Bar(label="sketch", value=0.341, low=0.32, high=0.362, n=1200, group="strict"),
        Bar(label="sketch", value=0.5, low=-0.02, high=0.51, n=3, group="control"),
    ]
    found = Tags(bars(rows, limit=0.5))
    styles = [
        attributes["style"] for _, attributes in found.tags if attributes.get("class") in ("fill", "whisker")
    ]
    assert styles[0].startswith("width:68.20%;")
    assert styles[1] == "left:64.00%;width:8.40%"
    assert styles[3] == "left:0.00%;width:100.00%"
    assert styles[0].split("background:")[1] != styles[2].split("background:")[1]
    assert found.attributes("aria-label") == [
        "sketch, strict: 34.1 % [32.0, 36.2], n = 1,200",
        "sketch, control: 50.0 % [-2.0, 51.0], n = 3",
    ]


def test_groups_take_their_colours_in_the_order_given_and_one_group_needs_no_legend():
    rows = [Bar(label="a", value=0.1, low=0, high=1, n=1, group=group) for group in ("x", "y")]
    here, there = (str(bars(rows, groups=order)) for order in (("x", "y"), ("y", "x")))
    colour = re.compile(r'background:(#\w+)"></i>(\w)')
    assert {name: value for value, name in colour.findall(here)} == {"x": "#0072b2", "y": "#d55e00"}
    assert {name: value for value, name in colour.findall(there)} == {"y": "#0072b2", "x": "#d55e00"}
    assert "legend" not in str(bars(rows[:1]))


@pytest.mark.parametrize(
    ("value", "low"), [(1.2, 0.1), (-0.1, 0.0), (float("nan"), 0.0), (0.5, float("nan"))]
)
def test_a_bar_off_the_scale_is_an_error(value, low):
    with pytest.raises(ValueError, match=r"bar 'owl' has \(.*\), needed a value within 0 and 1"):
        bars([Bar(label="owl", value=value, low=low, high=1.0, n=1)])


def test_no_bars_are_an_error():
    with pytest.raises(ValueError, match="found no bar, needed one or more"):
        bars([])


def test_a_plot_follows_ink_and_paper_and_leaves_words_alone():
    drawing = str(svg(scatter(text='id="x" fill: #000000'), "rising"))
    assert "stroke: currentColor" in drawing
    assert "fill: var(--paper)" in drawing
    assert 'id="x" fill: #000000</text>' in drawing
    assert drawing.count("#000000") == 1
    assert "<metadata" not in drawing
    assert "<?xml" not in drawing
    assert 'aria-label="rising"' in drawing
    assert "max-width:480px" in drawing
    assert " *{" not in drawing.replace(">.plot *{", "")


def test_a_fold_shows_its_line_and_opens_its_parts():
    part = paragraph("inside")
    assert str(fold("1 < 2", part)) == f"<details>\n<summary>1 &lt; 2</summary>\n{part}\n</details>"
    assert str(fold("line", "<b>", is_open=True)).startswith("<details open>\n<summary>line</summary>\n&lt;b")


def test_sections_of_one_title_may_have_anchors_of_their_own():
    first, second = (section("A cat", anchor=f"query-{number}") for number in (1, 2))
    made = page("Search", [first, second], lead="Two.")
    assert re.findall('<section id="(.*?)"', made) == ["query-1", "query-2"]
    assert section("A cat").anchor == "a-cat"
