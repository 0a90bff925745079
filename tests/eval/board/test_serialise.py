"""The board's JSON: rounded once, the same bytes again, strict, and read back to the very numbers."""

import json
import math
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.board.boards import LONG, UNSAFE_NAME, make_board

from oddpair.errors import Refusal
from oddpair.eval.board.board import Line, Score
from oddpair.eval.board.serialise import as_json, read_board, round_number

BOARDS = {
    "none": make_board(0),
    "one": make_board(1),
    "two": make_board(2),
    "many": make_board(30, seed=1),
    "hostile": make_board(7, hostile=True),
}


def numbers_in(told):
    """Every number of parsed JSON."""
    if isinstance(told, dict):
        told = told.values()
    if isinstance(told, list | type({}.values())):
        for one in told:
            yield from numbers_in(one)
    elif isinstance(told, float | Decimal):
        yield told


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_what_is_read_back_makes_the_same_bytes_and_holds_the_same_words(board):
    data = as_json(board)
    read = read_board(data)
    assert as_json(read) == data
    assert [entry.id for entry in read.entries] == [entry.id for entry in board.entries]
    for mine, theirs in zip(read.entries, board.entries, strict=True):
        assert (mine.model, mine.flags, mine.links, mine.rank) == (
            theirs.model, theirs.flags, theirs.links, theirs.rank
        )  # fmt: skip
        assert [(point.task, point.concept, point.count) for point in mine.points] == [
            (point.task, point.concept, point.count) for point in theirs.points
        ]
    assert [(pair.first, pair.second, pair.significant) for pair in read.pairs] == [
        (pair.first, pair.second, pair.significant) for pair in board.pairs
    ]


def test_a_board_of_rounded_numbers_is_read_back_as_it_was():
    board = read_board(as_json(make_board(12, seed=4)))
    assert read_board(as_json(board)) == board


def test_every_number_is_the_nearest_of_six_decimals():
    board = make_board(12, seed=5)
    read = read_board(as_json(board))
    for mine, theirs in zip(read.entries, board.entries, strict=True):
        for name, score in theirs.tasks.items():
            for end in ("value", "low", "high"):
                exact = Decimal(getattr(score, end)).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
                assert getattr(mine.tasks[name], end) == float(exact)
            assert (mine.tasks[name].n, mine.tasks[name].chance) == (score.n, round(score.chance, 6))
    told = json.loads(as_json(board), parse_float=Decimal)
    found = list(numbers_in(told))
    assert len(found) > 3000
    assert all(number == number.quantize(Decimal("0.000001")) for number in found)


@given(st.integers(1, 20_000), st.data())
def test_last_bits_of_a_share_never_move_its_rounded_digits(n, data):
    k = data.draw(st.integers(0, n))
    steps = data.draw(st.integers(-3, 3))
    noisy = k / n
    for _ in range(abs(steps)):
        noisy = math.nextafter(noisy, math.copysign(2.0, steps))
    assert round_number(noisy) == round_number(k / n)
    assert abs(Fraction(round_number(noisy)) - Fraction(k, n)) <= Fraction(5_000_01, 10**12)


def test_bytes_are_ascii_and_strict_with_one_line_end():
    data = as_json(BOARDS["hostile"])
    assert data.isascii()
    assert data.index(b"\n") == len(data) - 1
    told = json.loads(data, parse_constant=lambda name: pytest.fail(name))
    assert list(told) == sorted(told)
    assert max(len(entry["model"]) for entry in told["entries"]) > LONG
    assert all(UNSAFE_NAME in entry["id"] for entry in told["entries"])


def test_pairs_and_points_are_tables_that_say_their_columns():
    board = BOARDS["many"]
    told = json.loads(as_json(board))
    pairs = [dict(zip(told["pairs"]["columns"], row, strict=True)) for row in told["pairs"]["rows"]]
    assert len(pairs) == len(board.pairs)
    task = told["pairs"]["tasks"][1]
    for found, pair in zip(pairs, board.pairs, strict=True):
        ids = [told["entries"][found[side]]["id"] for side in ("first", "second")]
        assert ids == [pair.first, pair.second]
        assert found["difference_low"] == round_number(pair.difference.low)
        assert (found[f"{task}_high"], found[f"{task}_n"]) == (
            round_number(pair.tasks[task].high), pair.tasks[task].n
        )  # fmt: skip
    entry, shown = next(both for both in zip(board.entries, told["entries"], strict=True) if both[0].points)
    point = dict(zip(shown["points"]["columns"], shown["points"]["rows"][-1], strict=True))
    last = entry.points[-1]
    assert (point["concept"], point["count"], point["n"]) == (last.concept, last.count, last.n)
    assert point["predicted_high"] == round_number(last.predicted.high)


def test_a_number_that_is_none_is_refused():
    board = make_board(1)
    line = Line(axes="a", x=(), y=(), slope=math.nan, intercept=0.0, n=1, points=())
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json(replace(board, lines=(line,)))


def test_minus_nothing_is_nothing():
    board = replace(
        make_board(1),
        entries=(replace(make_board(1).entries[0], score=Score(value=-1e-9, low=-0.0, high=0.0, n=1)),),
    )
    assert b'"score":{"chance":null,"high":0.0,"low":0.0,"n":1,"value":0.0}' in as_json(board)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"format": 2}',
        as_json(BOARDS["two"])[:-40],
        as_json(BOARDS["two"]).replace(b'"draws"', b'"drawn"'),
        as_json(BOARDS["two"]).replace(b'"place"', b'"placed"'),
        as_json(BOARDS["two"]).replace(b'"rows":[[0,1', b'"rows":[[0,7'),
    ],
    ids=["empty", "list", "format", "cut", "key", "rank", "pair of nobody"],
)
def test_what_is_no_board_is_refused_in_one_line(data):
    with pytest.raises(
        Refusal,
        match=r"^leaderboard\.json is no board of format 1 \(.*make it again with oddpair leaderboard$",
    ):
        read_board(data)
