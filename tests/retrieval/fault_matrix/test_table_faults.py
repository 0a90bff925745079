"""Cases 31 to 37: captions that are no text, too long, missing or hostile; tables and JSON that are damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.retrieval.fault_matrix.corpora import (
    PICTURES,
    ROWS,
    SHARDS,
    archive,
    members_of,
    rows_with,
    write_parquet,
)
from tests.retrieval.fault_matrix.runs import (
    Bench,
    count,
    read_made,
    require_counted,
    require_nothing,
    require_quarantine,
    require_refusal,
    require_same,
    run,
    written,
)

from oddpair import files

BAD = ROWS[2]
FIRST_TABLE = {
    "img2dataset": "00000.parquet",
    "image-parquet": "00000.parquet",
    "laion": "part-00000.snappy.parquet",
    "datacomp": f"{0:032x}.parquet",
    "npz": f"{0:032x}.parquet",
    "clip-retrieval": "metadata/metadata_0.parquet",
}
# Where the caption of row 2 lies, as quarantine.jsonl names it.
PLACES: dict[str, dict[str, Any]] = {
    **{layout: {"file": file, "row": 2} for layout, file in FIRST_TABLE.items()},
    "tars": {"file": "00000.tar"},
    "listing": {"file": "list.csv", "row": 2},
    "bare-folder": {"file": f"{BAD.key}.jpg"},
}
EMBEDDED_HERE = [*PICTURES, "clip-retrieval"]
COUNTED_HERE = ["laion", "datacomp"]
CAPTIONED_HERE = [*COUNTED_HERE, *EMBEDDED_HERE]


def in_layouts(name: str, layouts: Sequence[str] = EMBEDDED_HERE) -> list[Any]:
    return [pytest.param(layout, id=f"{name}-{layout}") for layout in layouts]


NO_TEXT = b"caf\xe9 of thing 2"


@pytest.mark.parametrize("layout", in_layouts("31-not-utf-8"))
def test_a_caption_that_is_no_utf_8_is_set_aside(bench: Bench, tmp_path: Path, layout: str) -> None:
    corpus = written(layout, tmp_path / "corpus", rows_with(replace(BAD, caption=NO_TEXT)))
    clean = bench.whole(layout, rows_with(without=[2]))
    line = {**PLACES[layout], "rows": 1, "reason": "^caption is not UTF-8$"}
    require_quarantine(corpus, tmp_path / "out", clean, [line])


@pytest.mark.parametrize("layout", in_layouts("31-not-utf-8", CAPTIONED_HERE))
def test_a_caption_that_is_no_utf_8_is_not_counted(tmp_path: Path, layout: str) -> None:
    corpus = written(layout, tmp_path / "corpus", rows_with(replace(BAD, caption=NO_TEXT)))
    line = {**PLACES[layout], "rows": 1, "reason": "^caption is not UTF-8$"}
    require_counted(layout, corpus, tmp_path / "out", rows_with(without=[2]), [line])


LONG_TEXT = "abcdef " * 1_500_000


@pytest.mark.parametrize("layout", in_layouts("32-10-megabytes"))
def test_a_caption_of_ten_megabytes_is_cut(bench: Bench, tmp_path: Path, layout: str) -> None:
    corpus = written(layout, tmp_path / "corpus", rows_with(replace(BAD, caption=LONG_TEXT)))
    clean = bench.whole(layout, rows_with(replace(BAD, caption=LONG_TEXT[:10_000])))
    require_same(corpus, tmp_path / "out", clean)


@pytest.mark.parametrize("layout", in_layouts("32-10-megabytes", CAPTIONED_HERE))
def test_a_caption_of_ten_megabytes_is_counted_as_cut(tmp_path: Path, layout: str) -> None:
    corpus = written(layout, tmp_path / "corpus", rows_with(replace(BAD, caption=LONG_TEXT)))
    require_counted(layout, corpus, tmp_path / "out", rows_with(replace(BAD, caption=LONG_TEXT[:10_000])), [])


@pytest.mark.parametrize("layout", in_layouts("33-null-empty-blank"))
def test_rows_without_a_caption_are_set_aside_and_counted_apart(
    bench: Bench, tmp_path: Path, layout: str
) -> None:
    silent = [replace(ROWS[row], caption=caption) for row, caption in ((1, None), (2, ""), (3, " \t\n"))]
    corpus = written(layout, tmp_path / "corpus", rows_with(*silent))
    clean = bench.whole(layout, rows_with(without=[1, 2, 3]))
    lines = [{"rows": 1, "reason": "^no caption$"}] * 3
    lines[1] = {**PLACES[layout], **lines[1]}
    made = require_quarantine(corpus, tmp_path / "out", clean, lines, damaged=False)
    assert made.manifest["without_caption"] == 3


@pytest.mark.parametrize("layout", in_layouts("33-null-metadata", CAPTIONED_HERE))
def test_a_row_without_a_caption_is_not_counted_and_no_damage(tmp_path: Path, layout: str) -> None:
    corpus = written(layout, tmp_path / "corpus", rows_with(replace(BAD, caption=None)))
    line = {**PLACES[layout], "rows": 1, "reason": "^no caption$"}
    require_counted(layout, corpus, tmp_path / "out", rows_with(without=[2]), [line], damaged=False)


HOSTILE = {
    "nul": "thing\0two",
    "bidi": "thing \u202etxt.exe\u202c",
    "ansi": "thing \x1b]0;owned\x07\x1b[2J",
    "formula": '=cmd|"/C calc"!A1',
    "html": "<script>alert(1)</script> & <b>thing",
    "lines": "thing\r\nsecond,line\ttab",
}


@pytest.mark.parametrize(
    "layout", in_layouts("34-hostile", ["img2dataset", "tars", "listing", "clip-retrieval"])
)
def test_hostile_captions_are_kept_as_they_are_and_move_no_cursor(tmp_path: Path, layout: str) -> None:
    hostile = [replace(row, caption=text) for row, text in zip(ROWS, HOSTILE.values(), strict=False)]
    corpus = written(layout, tmp_path / "corpus", rows_with(*hostile))
    outcome = run("embed", corpus, "--out", tmp_path / "out", "--workers", 1)
    assert outcome.status == 0, outcome
    assert_printable(outcome.said)
    assert read_made(tmp_path / "out").table["caption"] == [row.caption for row in rows_with(*hostile)]


def assert_printable(text: str) -> None:
    assert not [letter for letter in text if not letter.isprintable() and letter != "\n"]


def test_34_hostile_captions_are_escaped_on_a_terminal_and_in_a_page(tmp_path: Path) -> None:
    """What is exported for a trainer keeps a leading "=": the caption of a corpus is not ours to change."""
    hostile = [replace(row, caption=text) for row, text in zip(ROWS, HOSTILE.values(), strict=False)]
    corpus = written("listing", tmp_path / "corpus", rows_with(*hostile))
    sheet = tmp_path / "sheet.html"
    made = ("--embeddings", tmp_path / "embeddings", "--workers", 1)
    outcome = run("search", corpus, "thing", "-k", 7, "--out", sheet, *made)
    assert outcome.status == 0, outcome
    assert_printable(outcome.said)
    page = sheet.read_text()
    assert "of thing 6" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in page
    assert not [text for text in ("<script>alert", "<b>thing", "\x1b", "\0", "\u202e") if text in page]


@pytest.mark.parametrize("layout", in_layouts("34-hostile", CAPTIONED_HERE))
def test_hostile_captions_and_names_are_counted_and_escaped_in_lines_and_page(
    tmp_path: Path, layout: str
) -> None:
    hostile = [replace(row, caption=text) for row, text in zip(ROWS, HOSTILE.values(), strict=False)]
    corpus = written(layout, tmp_path / "corpus", rows_with(*hostile))
    names = ["thing", "=cmd|\u202e", "<script>", "\x1b[2J owned\x07", "alert(1)<", "of"]
    (tmp_path / "names.txt").write_text("".join(f"{name}\n" for name in names))
    options = ("--vocabulary", tmp_path / "names.txt", "--out", tmp_path / "out")
    outcome = run("count", corpus, *options)
    assert outcome.status == 0, outcome
    assert_printable(outcome.said)
    page = (tmp_path / "out" / "card.html").read_text()
    assert_printable(page)
    assert "alert 1" in page
    assert "<script" not in page
    line = run("count", corpus, *options, "--json").said.splitlines()[-1]
    assert line.isascii()
    assert files.parse_json(line.encode())["counts"] == {
        "thing": 6, "=cmd|\u202e": 1, "<script>": 1, "\x1b[2J owned\x07": 0, "alert(1)<": 1, "of": 1
    }  # fmt: skip


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    """Flip a bit in the first page of the column of captions; the footer stays whole."""
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        columns = [group.column(place) for place in range(group.num_columns)]
    column = next(one for one in columns if one.path_in_schema in ("caption", "text", "TEXT"))
    start = column.dictionary_page_offset or column.data_page_offset
    data = bytearray(path.read_bytes())
    data[start + column.total_compressed_size - 3] ^= 1
    path.write_bytes(bytes(data))


WRONG_TABLES = [
    pytest.param(layout, spoil, id=f"35-{name}-{layout}")
    for name, spoil in (("footer", cut), ("page-crc", flip))
    for layout in ("img2dataset", "image-parquet", "npz", "clip-retrieval")
]


@pytest.mark.parametrize(("layout", "spoil"), WRONG_TABLES)
def test_a_damaged_table_is_set_aside_with_all_its_rows(
    bench: Bench, tmp_path: Path, layout: str, spoil: Callable[[Path], None]
) -> None:
    corpus = written(layout, tmp_path / "corpus", ROWS)
    spoil(corpus / FIRST_TABLE[layout])
    clean = bench.whole(layout, rows_with(without=SHARDS[0]))
    line = {"file": FIRST_TABLE[layout], "rows": 5, "reason": "parquet"}
    require_quarantine(corpus, tmp_path / "out", clean, [line])


@pytest.mark.parametrize(("spoil", "rows"), [(cut, 0), (flip, 5)], ids=["footer", "page-crc"])
@pytest.mark.parametrize("layout", in_layouts("35-metadata", COUNTED_HERE))
def test_a_damaged_table_of_metadata_is_not_counted(
    tmp_path: Path, layout: str, spoil: Callable[[Path], None], rows: int
) -> None:
    """Without its footer nothing tells how many rows it had: its line stands for 0, and exit is 3 always."""
    corpus = written(layout, tmp_path / "corpus", ROWS)
    spoil(corpus / FIRST_TABLE[layout])
    line = {"file": FIRST_TABLE[layout], "rows": rows, "reason": "parquet"}
    require_counted(layout, corpus, tmp_path / "out", rows_with(without=SHARDS[0]), [line])


def second(layout: str) -> str:
    first = FIRST_TABLE[layout]
    names = {"clip-retrieval": "metadata/metadata_1.parquet", "laion": "part-00001.snappy.parquet"}
    return names.get(layout, f"{1:032x}.parquet" if len(first) > 32 else "00001.parquet")


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    table = change(pq.read_table(path))
    write_parquet(path, {name: table[name] for name in table.column_names})


def with_type(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index(name)
        return table.set_column(place, name, pa.array(range(len(table)), pa.int64()))

    return change


def without_column(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name])


DRIFTING = [
    pytest.param(layout, change(column), f"{column!r}", id=f"36-{name}-{layout}")
    for name, change in (("other-type", with_type), ("column-missing", without_column))
    for layout, column in (
        ("img2dataset", "uid"),
        ("image-parquet", "uid"),
        ("npz", "url"),
        ("clip-retrieval", "caption"),
        ("laion", "URL"),
        ("datacomp", "url"),
    )
]


@pytest.mark.parametrize(("layout", "change", "column"), DRIFTING)
def test_a_table_with_other_columns_than_the_first_is_refused(
    tmp_path: Path, layout: str, change: Callable[[pa.Table], pa.Table], column: str
) -> None:
    corpus = written(layout, tmp_path / "corpus", ROWS)
    rewrite(corpus / second(layout), change)
    message = rf"{second(layout)} (has int64 in column|has no column) {column}.*:"
    if layout in COUNTED_HERE:
        outcome = count(corpus, tmp_path / "out")
        assert outcome.status == 2, outcome
        assert second(layout) in outcome.refusal
        assert column in outcome.refusal
        require_nothing(tmp_path / "out")
    else:
        require_refusal(corpus, tmp_path / "out", message)


def test_36_whole_numbers_that_pandas_made_fractions_in_one_part_are_no_drift(
    bench: Bench, tmp_path: Path
) -> None:
    corpus = written("clip-retrieval", tmp_path / "corpus", ROWS)
    for part, kind in enumerate((pa.int64(), pa.float64())):
        rewrite(
            corpus / f"metadata/metadata_{part}.parquet",
            lambda table, kind=kind: table.append_column("width", pa.array([3] * len(table), kind)),  # type: ignore[misc]
        )
    require_same(corpus, tmp_path / "out", bench.whole("clip-retrieval", ROWS))


JSONS = {
    "nan": '{"successes": NaN, "00000.tar": NaN, "rows": NaN}',
    "duplicate-keys": '{"successes": 5, "successes": 5}',
    "depth": '{"successes": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "digits": '{"successes": ' + "9" * 5000 + "}",
    "huge": '{"successes": 5, "duration": 1e400}',
    "no-utf-8": b'{"successes": 5, "x": "\xff"}'.decode(errors="surrogateescape"),
}


@pytest.mark.parametrize("text", JSONS.values(), ids=list(JSONS))
@pytest.mark.parametrize(
    ("layout", "name"),
    [
        pytest.param(*values, id=f"37-beside-a-shard-{values[0]}")
        for values in (
            ("img2dataset", "00000_stats.json"),
            ("image-parquet", "00000_stats.json"),
            ("sized-tars", "sizes.json"),
            ("clip-retrieval", "manifest.json"),
        )
    ],
)
def test_a_hostile_json_that_tells_of_a_shard_is_refused(
    tmp_path: Path, layout: str, name: str, text: str
) -> None:
    corpus = written(layout, tmp_path / "corpus", ROWS)
    if layout == "clip-retrieval" and text == JSONS["nan"]:
        # A manifest that names no encoder is none of ours, whatever else it says.
        text = '{"encoder_sha256": "x", "rows": NaN}'
    (corpus / name).write_bytes(text.encode(errors="surrogateescape"))
    require_refusal(corpus, tmp_path / "out", rf"{name} .*: ")


def with_json(layout: str, folder: Path, text: str) -> Path:
    """Write a corpus in which row 2 has another json member, with the same fields and one more."""
    corpus = written(layout, folder, ROWS)
    hostile = json.dumps(BAD.fields | {"caption": BAD.caption})[:-1] + f", {text}}}"
    members = [member for row in ROWS[:5] for member in members_of(row)]
    changed = [
        (name, hostile.encode(errors="surrogateescape") if name == f"{BAD.key}.json" else data)
        for name, data in members
    ]
    (corpus / "00000.tar").write_bytes(archive(changed))
    return corpus


HOSTILE_FIELDS = {
    "duplicate-keys": '"url": "http://other.test"',
    "depth": '"x": ' + "[" * 100_000 + "]" * 100_000,
    "5000-digits": '"x": ' + "9" * 5000,
    "1e400": '"x": 1e400',
    "no-utf-8": '"x": "\udcff"',
}


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=f"37-member-{name}") for name, text in HOSTILE_FIELDS.items()]
)
def test_a_hostile_json_of_one_sample_sets_that_sample_aside(bench: Bench, tmp_path: Path, text: str) -> None:
    """Otherwise than the table of outcomes has it: one sample of a stranger must not stop a corpus."""
    corpus = with_json("tars", tmp_path / "corpus", text)
    clean = bench.whole("tars", rows_with(without=[2]))
    line = {"file": "00000.tar", "rows": 1, "reason": "has no valid json"}
    require_quarantine(corpus, tmp_path / "out", clean, [line])


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        pytest.param("tars", '"x": NaN, "y": Infinity', id="37-member-nan-is-null"),
        pytest.param("img2dataset", HOSTILE_FIELDS["depth"], id="37-member-unread-beside-a-table"),
    ],
)
def test_a_json_that_is_harmless_or_not_needed_is_passed_over(
    bench: Bench, tmp_path: Path, layout: str, text: str
) -> None:
    """Beside a table json members are not read; img2dataset itself writes NaN into them."""
    corpus = with_json(layout, tmp_path / "corpus", text)
    require_same(corpus, tmp_path / "out", bench.whole(layout, ROWS))
