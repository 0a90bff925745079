"""The page of an entry: every number as the board has it, every other entry beside it, nothing of a stranger's as markup."""

import base64
import hashlib
import re
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from tests.board.boards import UNSAFE_ADDRESS, make_board

from oddpair.commands.board_entry_page import render_entry
from oddpair.eval.board.board import Score
from oddpair.eval.board.serialise import as_json, read_board
from oddpair.progress import visible

VOID = {"meta", "link", "wbr"}


class Page(HTMLParser):
    """Elements with their attributes, and texts by row: every element that begins must end."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements: list[Any] = []
        self.rows: list[Any] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append((dict(attributes).get("id"), []))
        if tag in ("td", "th"):
            self.rows[-1][1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def cells(self, name):
        """Return the rows whose first cell is a name, without it."""
        return [cells[1:] for _, cells in self.rows if cells and cells[0] == name]


@pytest.fixture(scope="module")
def board():
    return read_board(as_json(make_board(9, seed=1)))


@pytest.fixture(scope="module")
def pages(board):
    return {entry.id: Page(render_entry(board, entry)) for entry in board.entries}


@pytest.fixture(scope="module")
def hostile():
    return read_board(as_json(make_board(9, seed=2, hostile=True)))


def plain(text):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def hundredths(value, *, sign=False):
    """Write a fraction in per cent by hand."""
    found = (Decimal(repr(value)) * 100).quantize(Decimal("0.1"), ROUND_HALF_EVEN) + 0
    return (f"{found:+}" if sign and found else f"{found if found else abs(found)}").replace("-", "−")


def span(score, *, sign=False):
    return f"[{hundredths(score.low, sign=sign)}, {hundredths(score.high, sign=sign)}]"


def guess(score):
    return "–" if score.chance is None else hundredths(score.chance)


def test_every_score_stands_with_its_interval_its_n_and_what_guessing_scores(board, pages):
    for entry in board.entries:
        named = {**entry.families, **entry.tasks, **entry.styles}
        if entry.score:
            named["mean of the families"] = entry.score
        for name, score in named.items():
            value, _, n, chance = next(
                cells for cells in pages[entry.id].cells(name) if len(cells) == 4 and cells[0][0].isdigit()
            )
            assert value == f"{hundredths(score.value)} {span(score)}"
            assert (n, chance) == (f"{score.n:,}", guess(score))


def test_every_metric_of_every_task_is_told_the_main_one_first(board, pages):
    for entry in board.entries:
        rows = [cells[-5:] for _, cells in pages[entry.id].rows if len(cells) in (5, 6)]
        for task in board.tasks:
            metrics = entry.metrics.get(task.name, {})
            told = [
                [name, hundredths(score.value), span(score), f"{score.n:,}", guess(score)]
                for name, score in sorted(metrics.items(), key=lambda one: (one[0] != task.metric, one[0]))
            ]
            assert not told or any(
                rows[start : start + len(told)] == told for start in range(len(rows) - len(told) + 1)
            )


def test_every_other_ranked_entry_has_a_row_in_the_order_of_the_board(board, pages):
    ranked = [entry.id for entry in board.entries if entry.rank]
    assert len(ranked) > 5
    for entry in board.entries:
        rows = [name for name, _ in pages[entry.id].rows if name]
        assert rows == [f"vs-{other}" for other in ranked if other != entry.id and entry.rank]
        assert len(set(rows)) == len(rows)


def test_a_difference_is_this_entry_less_the_other_whoever_is_ahead(board, pages):
    names = {entry.id: entry for entry in board.entries}
    assert {pair.significant for pair in board.pairs} == {True, False}
    for pair in board.pairs:
        p = "< 0.001" if pair.p_adjusted < 0.001 else f"{pair.p_adjusted:.3f}"
        for own, other, sign in ((pair.first, pair.second, 1), (pair.second, pair.first, -1)):
            (cells,) = (cells for name, cells in pages[own].rows if name == f"vs-{other}")
            scores = [
                score if sign > 0 else replace(score, value=-score.value, low=-score.high, high=-score.low)
                for score in (pair.difference, *(pair.tasks[task.name] for task in board.tasks[:4]))
            ]
            told = [f"{hundredths(score.value, sign=True)} {span(score, sign=True)}" for score in scores]
            verdict = ("ahead" if sign > 0 else "behind") if pair.significant else "not separated"
            assert cells == [
                f"{names[other].model} {names[other].handle}",
                str(names[other].rank.place),
                verdict,
                p,
                told[0],
                "",
                *told[1:],
            ]


def test_a_row_leads_to_the_same_two_on_the_page_of_the_other(board, pages):
    for entry in board.entries:
        links = [link["href"] for link in pages[entry.id].all("a") if "#vs-" in link["href"]]
        assert len(links) == sum(entry.id in (pair.first, pair.second) for pair in board.pairs)
        for link in links:
            name, anchor = link.split("#")
            other = pages[name.removesuffix(".html")]
            assert anchor in [row for row, _ in other.rows]
            assert anchor == f"vs-{entry.id}"


def test_everything_that_is_declared_is_told(board):
    for entry in board.entries:
        text = plain(render_entry(board, entry))
        seen = "unknown" if entry.samples_seen is None else f"{entry.samples_seen:,}"
        for name, value in {
            "Architecture": entry.architecture,
            "Parameters": f"{entry.parameters:,}",
            "Training data": ", ".join(entry.training) or "unknown",
            "Samples seen": seen,
            "Variants tried": str(entry.variants_tried),
            "Weights": "open" if entry.open_weights else "closed",
            "SHA-256 of the weights": entry.weights,
            "Arithmetic": entry.precision,
            "Scored by oddpair": entry.commit or "unknown",
        }.items():
            assert f" {name} {value} " in text
        for kind, address in entry.links.items():
            assert f" {kind} {address} " in text
        assert f"{entry.level} " in text
        assert f"oddpair validate benchmarks/submissions/{entry.id} " in text


def test_a_rank_is_told_with_its_interval_and_its_absence_with_what_is_missing(board):
    for entry in board.entries:
        text = plain(render_entry(board, entry))
        if entry.rank:
            told = f"{entry.rank.place} [{entry.rank.low}, {entry.rank.high}] Band {entry.rank.band}"
            assert f"Rank of 8 {told} Score, % {hundredths(entry.score.value)} {span(entry.score)}" in text
        else:
            assert f"Rank none lacks {', '.join(entry.missing)}" in text
            assert "It has no rank, so that it is compared with none." in text
    assert sum(entry.rank is None for entry in board.entries) == 1


def test_flags_are_told_in_full_and_their_absence_too(board):
    counts = set()
    for entry in board.entries:
        text = plain(render_entry(board, entry))
        counts.add(len(entry.flags))
        assert f"Flags {len(entry.flags)} " in text
        for flag in entry.flags:
            assert f"{flag.kind} {flag.text}" in text
        assert ("None was raised." in text) is not bool(entry.flags)
    assert 0 in counts
    assert max(counts) > 0


def test_residuals_are_told_with_their_band_or_why_there_are_none(board, pages):
    assert {bool(entry.residual) for entry in board.entries} == {True, False}
    for entry in board.entries:
        text = plain(render_entry(board, entry))
        for task, above in entry.residual.items():
            band = entry.residual_bands[task]
            scored = band.value + above.value
            side = "above" if scored > band.high else "below" if scored < band.low else "inside"
            assert [
                hundredths(round(scored, 6)),
                hundredths(band.value),
                span(band),
                side,
                hundredths(above.value, sign=True),
                span(above, sign=True),
                f"{above.n:,}",
            ] in pages[entry.id].cells(task)
        if not entry.residual:
            assert entry.residual_note in text


@pytest.mark.parametrize(("value", "verdict"), [(0.3, "above"), (-0.3, "below"), (0.01, "inside")])
def test_a_task_outside_its_band_is_told_so(board, value, verdict):
    entry = next(entry for entry in board.entries if entry.residual)
    task = next(iter(entry.residual))
    found = replace(
        entry,
        residual={task: Score(value=value, low=value - 0.01, high=value + 0.01, n=9)},
        residual_bands={task: Score(value=0.4, low=0.2, high=0.6, n=7)},
    )
    (row,) = (row for row in Page(render_entry(board, found)).cells(task) if len(row) == 7)
    assert row[3] == verdict


def test_robustness_is_told_beside_the_line_of_the_others(board):
    entry = next(entry for entry in board.entries if entry.robustness)
    for value, side in ((0.0312, "3.1 points above"), (-0.0312, "3.1 points below")):
        above = Score(value=value, low=value - 0.1, high=value + 0.1, n=7)
        own = replace(entry.robustness[0], above=above)
        text = plain(render_entry(board, replace(entry, robustness=(own,))))
        assert f"{side} the line of the 7 other models {span(above, sign=True)}" in text
    own = replace(entry.robustness[0], above=None)
    assert "Too few other models make a line" in plain(render_entry(board, replace(entry, robustness=(own,))))


def test_what_strangers_say_makes_no_element(board, hostile):
    known = {tag for entry in board.entries for tag, _ in Page(render_entry(board, entry)).elements}
    assert known.isdisjoint({"script", "img", "iframe", "b", "object", "embed", "form"})
    for entry in hostile.entries:
        text = render_entry(hostile, entry)
        page = Page(text)
        assert {tag for tag, _ in page.elements} <= known
        names = {name for _, attributes in page.elements for name in attributes}
        assert not any(name.startswith("on") for name in names)
        assert "style" not in names
        assert not any(letter in text for letter in "\u202e\u202c\u2028")


def test_links_lead_to_the_board_and_by_https_elsewhere_alone(board, hostile):
    kinds = set()
    for one in (board, hostile):
        for entry in one.entries:
            ids = {f"{other.id}.html" for other in one.entries}
            for link in Page(render_entry(one, entry)).all("a"):
                address = link["href"]
                if address in entry.links.values():
                    assert address.startswith("https://")
                    assert link["rel"] == "nofollow noopener noreferrer"
                    kinds.add("outside")
                    continue
                found = urlsplit(address)
                assert (found.scheme, found.netloc, found.query) == ("", "", "")
                assert found.path in ("", "../index.html") or unquote(found.path) in ids
    assert kinds == {"outside"}


def test_an_address_that_is_not_https_is_told_as_text_and_leads_nowhere(hostile):
    assert any(entry.links for entry in hostile.entries)
    for entry in hostile.entries:
        text = render_entry(hostile, entry)
        assert set(entry.links.values()) <= {UNSAFE_ADDRESS}
        assert plain(text).count(UNSAFE_ADDRESS) == len(entry.links)
        assert not any("document.title" in link["href"] for link in Page(text).all("a"))


def test_the_policy_allows_the_pages_own_style_and_nothing_else(board, hostile):
    for one in (board, hostile):
        text = render_entry(one, one.entries[0])
        (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        (policy,) = (meta["content"] for meta in Page(text).all("meta") if "http-equiv" in meta)
        assert policy == (
            f"default-src 'none'; script-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
            "form-action 'none'"
        )
        assert "<script" not in text
        assert "style=" not in text


def test_names_are_shown_with_what_hides_in_them(hostile):
    entry = hostile.entries[0]
    text = plain(render_entry(hostile, entry))
    assert " ".join(visible(entry.architecture).split()) in text
    assert "\\u202e" in text


def test_the_same_board_gives_the_same_bytes(board):
    again = read_board(as_json(board))
    for one, other in zip(board.entries, again.entries, strict=True):
        assert render_entry(board, one) == render_entry(again, other)


@pytest.mark.parametrize("n", [1, 2, 60])
def test_boards_of_any_size_have_pages(n):
    board = read_board(as_json(make_board(n, seed=3)))
    for entry in board.entries[:3]:
        text = plain(render_entry(board, entry))
        assert "Check it yourself" in text
        assert ("No other model is ranked yet." in text) is (n == 1)


def test_a_page_among_five_hundred_stays_small():
    board = make_board(500)
    assert len(render_entry(board, board.entries[0]).encode()) < 600_000
