import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.audit_sample import COMMANDS, HOSTILE, make_audit, make_gallery

from oddpair.commands.audit_page import render_audit
from oddpair.commands.audit_pictures import Gallery

NOBODY = Gallery(images=(), confused=())


class Reader(HTMLParser):
    """Collects the text of a page and its tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


@pytest.fixture(scope="module")
def page() -> str:
    return render_audit(make_audit(), make_gallery(), COMMANDS)


def test_the_same_audit_gives_the_same_bytes(page):
    assert render_audit(make_audit(), make_gallery(), COMMANDS) == page


def test_what_others_wrote_is_text_and_makes_no_tag(page):
    found = read(page)
    plain = read(render_audit(make_audit(whole=False), NOBODY, {}))
    allowed = {tag for tag, _ in plain.tags} | {
        "img",
        "li",
        "ol",
        "figure",
        "figcaption",
        "svg",
        "g",
        "rect",
        "path",
    }
    assert {tag for tag, _ in found.tags} - allowed <= {
        "i",
        "br",
        "circle",
        "text",
        "h3",
        "option",
        "strong",
        "code",
    }
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert sum(tag == "script" for tag, _ in found.tags) == 1
    text = "".join(found.words)
    assert HOSTILE[0] in text
    assert "{{ 7 * 7 }} {% raw %}" in text
    # What would reorder or hide a line is told by its number.
    assert "\\u202egnp.exe\\u2066 \\x1b[2J" in text
    assert "\u202e" not in page
    assert HOSTILE[5] in text


def test_nothing_is_loaded_and_no_script_runs_but_its_own(page):
    found = read(page)
    policy = next(
        attributes["content"] or ""
        for tag, attributes in found.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}';", policy)
    sources = [attributes["src"] or "" for tag, attributes in found.tags if "src" in attributes]
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    links = [attributes["href"] or "" for tag, attributes in found.tags if "href" in attributes]
    assert all(link.startswith(("#", "data:,")) for link in links)
    lazy = [attributes for tag, attributes in found.tags if tag == "img"]
    assert all(attributes["loading"] == "lazy" and "alt" in attributes for attributes in lazy)


def test_every_part_is_told_with_its_intervals_and_its_n(page):
    text = " ".join("".join(read(page).words).split())
    for told in (
        "7.5 % [1.6, 20.4]",
        "0.5512 [0.5411, 0.5633], n = 40",
        "97.5 % [86.8, 99.9] (39 of 40)",
        "12.0 % [9.3, 15.2] (60 of 500) labelled rows are of this style: at most 14.7 % of all its rows",
        "at most 2.1 %, at 95 %",
        "20.0 % [0.5, 71.6] (1 of 5)",
        "61.0 % [52.0, 70.0], n = 40",
        "21.0 points [20.0, 22.0]",
        "if a caption counts the same in any style",
        "oddpair split recipes/gap-pruned.yaml --out gap-pruned",
        "nearer to a test image than train is77",
        "a" * 64,
    ):
        assert told in text, told
    for quantile in make_audit().nearness.corpus.quantiles:
        assert f"{quantile:.4f}" in text


def test_what_was_not_audited_is_told_with_what_to_give():
    audit = make_audit(whole=False)
    text = "".join(read(render_audit(audit, NOBODY, {})).words)
    for why in audit.left_out.values():
        assert why in text
    assert "not audited" in text
    for title in ("Style", "Concepts", "Object pairs", "What would have to go"):
        assert f"<h2>{title}</h2>" not in render_audit(audit, NOBODY, {})


def test_each_image_stands_beside_its_rows_in_the_page_itself(page):
    found = read(page)
    cards = [attributes for tag, attributes in found.tags if "data-score" in attributes]
    assert len(cards) == 24
    assert cards[0]["data-kinds"] == "copy near"
    assert cards[3]["data-words"] == "cat | " + HOSTILE[3].casefold()
    text = "".join(found.words)
    assert "same look, 2 bits apart" in text
    assert "no picture" in text
    assert "never together" in text
    assert "labelled" in text


def test_every_place_is_named_once_and_every_link_of_the_page_leads_to_one(page):
    found = read(page)
    names = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(names) == len(set(names))
    links = {(attributes["href"] or "")[1:] for tag, attributes in found.tags if tag == "a"}
    assert links <= set(names)


def test_a_reference_set_of_the_name_of_the_corpus_is_told_apart():
    audit = make_audit()
    gap = audit.nearness.gap
    assert gap is not None
    same = replace(gap, reference=replace(gap.reference, name="web"))
    page = render_audit(replace(audit, nearness=replace(audit.nearness, gap=same)), NOBODY, COMMANDS)
    text = "".join(read(page).words)
    assert "web (n = 40)" in text
    assert "web (reference) (n = 40)" in text
