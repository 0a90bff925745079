"""The CSV downloads: the digits of the JSON, one line for each entry and pair, and no formulas."""

import csv
import io
import json
from decimal import Decimal

from tests.board.boards import make_board

from oddpair.eval.board.serialise import as_json, read_board
from oddpair.eval.board.spreadsheets import as_csv, pairs_csv


def load(data):
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


def digits(told, name):
    """The four cells of a score of the JSON, as it writes them."""
    if told is None:
        return {f"{name}{end}": "" for end in ("", "_low", "_high", "_n")}
    return {
        f"{name}{end}": str(told[key])
        for end, key in (("", "value"), ("_low", "low"), ("_high", "high"), ("_n", "n"))
    }


def test_each_entry_is_a_line_with_the_digits_of_the_json():
    board = make_board(25, seed=2)
    told = json.loads(as_json(board), parse_float=lambda text: text)
    rows = load(as_csv(board))
    assert [row["id"] for row in rows] == [entry["id"] for entry in told["entries"]]
    assert sum(row["place"] == "" for row in rows) == 3
    for row, entry in zip(rows, told["entries"], strict=True):
        rank = entry["rank"]
        wanted = (
            {"place": str(rank["place"]), "rank_high": str(rank["high"])}
            if rank
            else {"place": "", "band": ""}
        )
        wanted |= digits(entry["score"], "score")
        for task in told["tasks"]:
            wanted |= digits(entry["tasks"].get(task["name"]), f"task {task['name']}")
            wanted |= digits(entry["residual"].get(task["name"]), f"above prediction {task['name']}")
        for family in told["families"]:
            wanted |= digits(entry["families"].get(family), f"family {family}")
        for style in entry["styles"]:
            wanted |= digits(entry["styles"][style], f"style {style}")
        for line in told["lines"]:
            above = [one["above"] for one in entry["robustness"] if one["axes"] == line["axes"]]
            wanted |= digits(above[0] if above else None, f"above line {line['axes']}")
        wanted |= {
            "training": "; ".join(entry["training"]),
            "samples_seen": "" if entry["samples_seen"] is None else str(entry["samples_seen"]),
            "open_weights": str(entry["open_weights"]).lower(),
            "missing": "; ".join(entry["missing"]),
            "flags": "; ".join(flag["kind"] for flag in entry["flags"]),
        }
        assert {name: row[name] for name in wanted} == wanted


def test_each_pair_is_a_line_with_the_digits_of_the_json():
    board = make_board(9, seed=2)
    told = json.loads(as_json(board), parse_float=lambda text: text)
    columns, rows = told["pairs"]["columns"], load(pairs_csv(board))
    assert len(rows) == 28
    for row, found in zip(rows, told["pairs"]["rows"], strict=True):
        wanted = dict(zip(columns, found, strict=True))
        for side in ("first", "second"):
            wanted[side] = told["entries"][wanted[side]]["id"]
        wanted["significant"] = str(wanted["significant"]).lower()
        assert row == {name: str(value) for name, value in wanted.items()}


def test_a_board_that_was_read_back_makes_the_same_files():
    board = make_board(12, seed=3)
    read = read_board(as_json(board))
    assert (as_csv(read), pairs_csv(read)) == (as_csv(board), pairs_csv(board))


def test_no_cell_of_strangers_begins_as_a_formula():
    board = make_board(6, hostile=True)
    for data in (as_csv(board), pairs_csv(board)):
        for line in csv.reader(io.StringIO(data.decode("utf-8"), newline="")):
            for cell in line:
                assert not cell.startswith(("=", "+", "@", "\t", "\r"))
                assert not cell.startswith("-") or Decimal(cell) < 0


def test_an_empty_board_has_heads_alone():
    assert load(as_csv(make_board(0))) == load(pairs_csv(make_board(0))) == []
    assert pairs_csv(make_board(0)).startswith(b"first,second,p_adjusted,significant,difference,")
