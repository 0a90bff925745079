"""The leaderboard's page: the digits of the JSON, whatever an entry is called, for any number of entries."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.board.boards import make_board

from oddpair.commands.board_columns import entry_address, percent, shorten_count
from oddpair.commands.board_page import embed_json, render_index
from oddpair.eval.board.serialise import as_json, read_board
from oddpair.progress import visible

VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """Elements of a page with their attributes, texts of scripts and styles, and of tables by row and cell."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements: list[Any] = []
        self.tables: dict[str, Any] = {}
        self.inside: list[str] = []
        self.own: list[Any] = []
        self.feed(text)
        self.close()
        assert self.inside == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.inside.append(tag)
        if tag == "table":
            self.rows = self.tables.setdefault(dict(attributes).get("id", "other"), [])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.inside):
            self.rows[-1][-1] += data
        if self.inside and self.inside[-1] in ("script", "style"):
            self.own.append((self.inside[-1], data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def column(self, table, key):
        """Return the cells of a column by its name in the address of the page."""
        place = [name for name, _ in json.loads(self.own[-1][1])[table]["columns"]].index(key)
        _, heads, *rows = self.tables[table]
        assert key.partition(".")[2] in heads[place]
        return [row[place] for row in rows]


def load(board):
    """Return a board as its JSON says it, and that JSON with its very digits."""
    data = as_json(board)
    return read_board(data), json.loads(data, parse_float=Decimal)


def tell(score):
    """Write a score of the JSON by hand."""
    if score is None:
        return "–"
    value, low, high = (
        str((Decimal(score[name]) * 100).quantize(Decimal("0.1"), ROUND_HALF_EVEN) + 0).replace("-", "−")
        for name in ("value", "low", "high")
    )
    return f"{value} [{low}, {high}]"


@pytest.fixture(scope="module")
def sixty():
    board, data = load(make_board(60, seed=3))
    return Page(render_index(board)), data


@pytest.mark.parametrize("table", ["ranking", "unranked"])
def test_every_score_has_the_digits_of_the_json(sixty, table):
    page, data = sixty
    entries = [entry for entry in data["entries"] if (entry["rank"] is not None) == (table == "ranking")]
    assert len(entries) == {"ranking": 54, "unranked": 6}[table]
    wanted = {("families", name) for name in data["families"]}
    wanted |= {("tasks", task["name"]) for task in data["tasks"]}
    wanted |= {("styles", name) for entry in entries for name in entry["styles"]}
    assert len(wanted) == 4 + 6 + 5
    for kind, name in wanted:
        assert page.column(table, f"{kind}.{name}") == [tell(entry[kind].get(name)) for entry in entries]
    assert page.column(table, "robustness.miniature.rendition") == [
        tell(next((one["above"] for one in entry["robustness"]), None)) for entry in entries
    ]
    if table == "ranking":
        assert page.column(table, "score") == [tell(entry["score"]) for entry in entries]


def test_ranks_names_and_counts_are_those_of_the_json(sixty):
    page, data = sixty
    ranked = [entry for entry in data["entries"] if entry["rank"] is not None]
    others = [entry for entry in data["entries"] if entry["rank"] is None]
    ranks = [entry["rank"] for entry in ranked]
    assert page.column("ranking", "place") == [
        f"{rank['place']} [{rank['low']}, {rank['high']}]" for rank in ranks
    ]
    assert page.column("ranking", "band") == [str(rank["band"]) for rank in ranks]
    assert page.column("unranked", "missing") == [", ".join(entry["missing"]) for entry in others]
    for table, entries in (("ranking", ranked), ("unranked", others)):
        for key, texts in {
            "model": [f"{entry['model']} {entry['handle']}" for entry in entries],
            "level": [entry["level"] for entry in entries],
            "flags": [str(len(entry["flags"])) for entry in entries],
            "parameters": [shorten_count(entry["parameters"]) for entry in entries],
            "training": [", ".join(entry["training"]) or "unknown" for entry in entries],
            "weights": ["open" if entry["open_weights"] else "closed" for entry in entries],
            "architecture": [entry["architecture"] for entry in entries],
            "samples": [
                "unknown" if entry["samples_seen"] is None else shorten_count(entry["samples_seen"])
                for entry in entries
            ],
        }.items():
            assert page.column(table, key) == texts, key


def test_a_line_stands_where_a_band_begins(sixty):
    page, data = sixty
    bands = [entry["rank"]["band"] for entry in data["entries"] if entry["rank"] is not None]
    assert len(set(bands)) > 2
    classes = [row.get("class") for row in page.all("tr")]
    rows = classes[2 : 2 + len(bands)]
    assert [name == "starts" for name in rows] == [
        place > 0 and band != bands[place - 1] for place, band in enumerate(bands)
    ]


def test_the_script_gets_what_it_sorts_and_filters_by(sixty):
    page, data = sixty
    told = json.loads(page.own[-1][1], parse_float=Decimal)
    for name, table in told.items():
        entries = [entry for entry in data["entries"] if (entry["rank"] is not None) == (name == "ranking")]
        assert len(table["columns"]) == len(page.tables[name][1])
        assert [row["id"] for row in table["rows"]] == [entry["id"] for entry in entries]
        assert [row["size"] for row in table["rows"]] == [entry["parameters"] for entry in entries]
        place = [key for key, _ in table["columns"]].index("tasks.coco.full")
        assert [row["values"][place] for row in table["rows"]] == [
            entry["tasks"]["coco.full"]["value"] if "coco.full" in entry["tasks"] else None
            for entry in entries
        ]


@pytest.mark.parametrize("n_entries", [0, 1, 2, 500])
def test_a_board_of_any_number_of_entries_has_a_row_for_each(n_entries):
    board = make_board(n_entries)
    page = Page(render_index(board))
    rows = [row for name, rows in page.tables.items() if name != "other" for row in rows[2:]]
    assert len(rows) == n_entries
    links = [link.get("href") for link in page.all("a")]
    assert {entry_address(entry.id) for entry in board.entries} <= set(links)
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))


def test_a_board_without_entries_says_so():
    text = render_index(load(make_board(0))[0])
    assert "Nobody has submitted a model yet." in text
    assert Page(text).tables == {}


def test_a_board_without_a_ranked_entry_has_only_the_other_table():
    board, _ = load(make_board(20))
    unranked = tuple(entry for entry in board.entries if entry.rank is None)
    assert len(unranked) == 2
    page = Page(render_index(replace(board, entries=unranked, pairs=(), stability=None)))
    assert "ranking" not in page.tables
    assert len(page.tables["unranked"]) == 2 + 2
    assert not any(attributes.get("id") == "compare" for _, attributes in page.elements)


def test_hostile_texts_make_no_element_no_address_and_no_script():
    board, data = load(make_board(12, hostile=True))
    page, plain = Page(render_index(board)), Page(render_index(load(make_board(12))[0]))
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in plain.elements}
    assert len(page.all("script")) == len(page.all("style")) + 1 == 2
    for tag in ("img", "iframe", "object", "embed", "base", "form", "b"):
        assert page.all(tag) == []
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcdoc")]
    for link in page.all("a"):
        href = link.get("href", "#")
        assert re.fullmatch(r"entries/[\w%.~-]+\.html(#flags)?|#.*|leaderboard\.(csv|json)|pairs\.csv", href)
    assert page.column("ranking", "model")[0] == " ".join(
        visible(data["entries"][0][name]) for name in ("model", "handle")
    )
    longest = max(len(cell) for row in page.tables["ranking"] for cell in row)
    assert longest > 10_000


def test_hostile_data_cannot_end_its_script():
    board, data = load(make_board(12, hostile=True))
    kind, told = Page(render_index(board)).own[-1]
    assert kind == "script"
    assert not set("<>&\u2028\u2029") & set(told)
    assert told.isascii()
    ids = [row["id"] for table in json.loads(told).values() for row in table["rows"]]
    assert ids == [entry["id"] for entry in data["entries"]]


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
    )
)
@settings(max_examples=40)
def test_embedded_json_is_read_as_it_was_and_holds_no_letter_of_html(value):
    text = embed_json(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set("<>&") & set(text)


@pytest.mark.parametrize("hostile", [False, True])
def test_the_policy_names_the_one_script_and_the_one_style_by_their_hashes(hostile):
    page = Page(render_index(load(make_board(5, hostile=hostile))[0]))
    (policy,) = [
        meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    assert rules.pop("img-src") == "data:"
    hashes = {
        kind: f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for kind, text in page.own[:2]
    }
    assert rules == {"script-src": hashes["script"], "style-src": hashes["style"]}
    assert page.all("script") == [{}, {"type": "application/json", "id": "data"}]


def test_the_script_makes_no_html_of_texts_and_asks_nobody():
    script = dict(Page(render_index(make_board(0))).own)["script"]
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval",
        "Function(",
        "fetch",
        "http",
    ):
        assert word not in script


def test_the_page_is_the_same_bytes_for_the_same_board_in_any_process():
    board = make_board(9, seed=2)
    here = render_index(read_board(as_json(board)))
    assert here == render_index(read_board(as_json(board)))
    code = (
        "import sys; from oddpair.commands.board_page import render_index;"
        "from oddpair.eval.board.serialise import read_board;"
        "sys.stdout.buffer.write(render_index(read_board(sys.stdin.buffer.read())).encode())"
    )
    for seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", code],
            input=as_json(board),
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": "C"},
            capture_output=True,
            check=True,
        )
        assert found.stdout.decode() == here


def test_an_entry_s_page_lies_among_the_entries_whatever_its_name():
    for name in ("lab__tiny__01234567", "../../etc/passwd", 'a"b', "a#b?c", "javascript:x"):
        address = entry_address(name)
        assert re.fullmatch(r"entries/[\w%.~-]+\.html", address)
        assert unquote(address) == f"entries/{name}.html"


@given(st.integers(-(10**6), 10**6))
def test_per_cent_is_the_nearest_tenth_of_the_written_digits(millionths):
    shown = Decimal(percent(millionths / 10**6).replace("−", "-"))
    assert abs(shown - Decimal(millionths) / 10**4) <= Decimal("0.05")
    assert shown.as_tuple().exponent == -1
    assert not (shown == 0 and shown.is_signed())


@given(st.integers(0, 10**15))
def test_a_count_is_shown_with_three_digits_and_its_unit(count):
    number, _, unit = shorten_count(count).partition(" ")
    shown = Decimal(number.replace(",", "")) * 10 ** {"": 0, "k": 3, "M": 6, "B": 9, "T": 12}[unit]
    assert abs(shown - count) <= Decimal(count) / 199
    assert len(number.replace(".", "")) == 3 or count < 1000 or count >= 999 * 10**12


def test_agreement_of_tasks_is_told_with_interval_and_number_of_models(sixty):
    page, data = sixty
    cells = [cell for row in page.tables["other"] for cell in row]
    for one in data["concurrence"]:
        tau = one["tau"]
        assert f"{tau['value']:.2f} [{tau['low']:.2f}, {tau['high']:.2f}], n = 60" in cells
    few = [row[1:] for row in Page(render_index(load(make_board(3))[0])).tables["other"]]
    assert ["– ", "– ", "– "] in few
