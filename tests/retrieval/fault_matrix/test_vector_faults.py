"""Cases 38 to 47: embeddings that somebody else made, and uids that come twice."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file
from tests.retrieval.fault_matrix.corpora import DIMENSION, EMBEDDED, LONG, ROWS, rows_with, write_parquet
from tests.retrieval.fault_matrix.runs import (
    Bench,
    count,
    little_memory,
    read_made,
    require_quarantine,
    require_refusal,
    require_same,
    run,
    written,
)

from oddpair.errors import Refusal
from oddpair.retrieval.counting.counts_file import read_counts
from oddpair.retrieval.embeddings import load_embeddings

Array = np.ndarray[Any, Any]
FILES = {"clip-retrieval": "img_emb/img_emb_{}.npy", "npz": f"{{:0{32}x}}.npz"}
TABLES = {"clip-retrieval": "metadata/metadata_{}.parquet", "npz": f"{{:0{32}x}}.parquet"}


def in_layouts(cases: dict[str, Any]) -> list[Any]:
    return [
        pytest.param(layout, value, id=f"{name}-{layout}")
        for name, value in cases.items()
        for layout in EMBEDDED
    ]


def change_rows(corpus: Path, layout: str, change: Callable[[Array], Any], part: int = 0) -> Path:
    """Save a part's pictures anew; object arrays are pickled, as numpy does when it is let."""
    path = corpus / FILES[layout].format(part)
    if layout == "clip-retrieval":
        np.save(path, change(np.load(path)), allow_pickle=True)
        return path
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(path, **{**arrays, "l14_img": change(arrays["l14_img"])})
    return path


def with_row(row: int, value: Any) -> Callable[[Array], Array]:
    def change(rows: Array) -> Array:
        rows = rows.copy()
        rows[row] = value(rows[row]) if callable(value) else value
        return rows

    return change


USELESS = {
    "38-nan": (np.nan, "embedding holds NaN or an infinity"),
    "38-infinity": (np.inf, "embedding holds NaN or an infinity"),
    "39-zero-norm": (0, "embedding is 0 throughout"),
}


@pytest.mark.parametrize(("layout", "fault"), in_layouts(USELESS))
def test_a_row_without_a_direction_is_set_aside(
    bench: Bench, tmp_path: Path, layout: str, fault: tuple[float, str]
) -> None:
    corpus = written(layout, tmp_path / "corpus", ROWS)
    change_rows(corpus, layout, with_row(2, fault[0]))
    line = {"file": FILES[layout].format(0), "row": 2, "rows": 1, "uid": ROWS[2].uid, "reason": fault[1]}
    require_quarantine(corpus, tmp_path / "out", bench.whole(layout, rows_with(without=[2])), [line])


HARMLESS = {
    # 256 squared is no number of 16 bits.
    "40-norm-overflows-fp16": with_row(2, lambda row: row * np.float16(256)),
    "43-fortran-order": np.asfortranarray,
    "43-float64": lambda rows: rows.astype(np.float64),
    "43-float32": lambda rows: rows.astype(np.float32),
    "43-big-endian": lambda rows: rows.astype(">f2"),
}


@pytest.mark.parametrize(("layout", "change"), in_layouts(HARMLESS))
def test_rows_that_only_look_different_are_the_same_rows(
    bench: Bench, tmp_path: Path, layout: str, change: Callable[[Array], Array]
) -> None:
    corpus = written(layout, tmp_path / "corpus", ROWS)
    change_rows(corpus, layout, change)
    require_same(corpus, tmp_path / "out", bench.whole(layout, ROWS))


REFUSED = {
    "41-one-row-less": (
        lambda rows: rows[:-1],
        "has 4 rows and .* has 5, so|holds 4 rows in 'l14_img', .* 5: ",
    ),
    "41-one-row-more": (
        lambda rows: np.concatenate([rows, rows[:1]]),
        "has 6 rows and .* has 5, so|holds 6 rows in 'l14_img', .* 5: ",
    ),
    "41-no-row": (lambda rows: rows[:0], "has 0 rows and .* has 5, so|holds 0 rows in 'l14_img', .* 5: "),
    "43-other-dimension": (lambda rows: rows[:, :8], "of dimension (8.*24|24.* of 8)"),
    "43-whole-numbers": (lambda rows: (rows * 100).astype(np.int32), "holds '<i4', needed float16"),
    "43-one-axis": (lambda rows: rows.ravel(), r"has shape \(120,\), needed \(rows, dimension\)"),
    "47-not-normalised": (lambda rows: rows * np.float16(3), "rows that are not of length 1 .* encode_image"),
}


@pytest.mark.parametrize(("layout", "fault"), in_layouts(REFUSED))
def test_rows_that_belong_to_nothing_are_refused(
    tmp_path: Path, layout: str, fault: tuple[Callable[[Array], Array], str]
) -> None:
    corpus = written(layout, tmp_path / "corpus", ROWS)
    name = re.escape(change_rows(corpus, layout, fault[0]).name)
    require_refusal(corpus, tmp_path / "out", f"(?=.*{name})(?=.*({fault[1]}))")


MISSING = {
    "42-middle-table": TABLES,
    "42-middle-array": FILES,
}


@pytest.mark.parametrize(("layout", "names"), in_layouts(MISSING))
def test_a_part_that_misses_one_of_its_files_is_refused_by_name(
    tmp_path: Path, layout: str, names: dict[str, str]
) -> None:
    corpus = written(layout, tmp_path / "corpus", LONG)
    name = names[layout].format(1)
    (corpus / name).unlink()
    require_refusal(corpus, tmp_path / "out", f"lacks {name}")


def test_42_a_part_that_is_missing_whole_is_refused_by_its_number(tmp_path: Path) -> None:
    """DataComp names its files by hashes: there, only a uid subset tells that a pair of them is missing."""
    corpus = written("clip-retrieval", tmp_path / "corpus", LONG)
    for name in ("img_emb/img_emb_1.npy", "text_emb/text_emb_1.npy", "metadata/metadata_1.parquet"):
        (corpus / name).unlink()
    require_refusal(corpus, tmp_path / "out", "has parts 0 to 2 but not 1")


def claiming(rows: int) -> bytes:
    header = f"{{'descr': '<f2', 'fortran_order': False, 'shape': ({rows}, {DIMENSION}), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


def write_member(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("l14_img.npy", data)


@pytest.mark.parametrize(
    "layout", [pytest.param(layout, id=f"44-2-petabytes-{layout}") for layout in EMBEDDED]
)
def test_an_array_that_claims_two_petabytes_is_refused_before_memory_is_taken(
    tmp_path: Path, layout: str
) -> None:
    corpus = written(layout, tmp_path / "corpus", ROWS)
    data = claiming(2 * 10**15 // DIMENSION) + bytes(240)
    path = corpus / FILES[layout].format(0)
    if layout == "npz":
        write_member(path, data)
    else:
        path.write_bytes(data)
    with little_memory(32):
        require_refusal(
            corpus, tmp_path / "out", rf"{path.name}.* holds 240 bytes of data, its header .* needs"
        )


CUT = {
    "44-truncated": (-10, "bytes of data, its header|damaged"),
    "44-truncated-in-its-header": (9, r"damaged at its head|no \.npz file|is damaged"),
}


@pytest.mark.parametrize(("layout", "fault"), in_layouts(CUT))
def test_a_truncated_array_is_refused(tmp_path: Path, layout: str, fault: tuple[int, str]) -> None:
    corpus = written(layout, tmp_path / "corpus", ROWS)
    path = corpus / FILES[layout].format(0)
    path.write_bytes(path.read_bytes()[: fault[0]])
    require_refusal(corpus, tmp_path / "out", rf"{path.name}.*({fault[1]})")


class Marker:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("layout", [pytest.param(layout, id=f"45-objects-{layout}") for layout in EMBEDDED])
def test_an_array_of_objects_is_refused_and_runs_nothing(tmp_path: Path, layout: str) -> None:
    corpus = written(layout, tmp_path / "corpus", ROWS)
    marker = Marker(tmp_path / "ran")
    path = change_rows(corpus, layout, lambda rows: np.full(rows.shape, marker, dtype=object))
    require_refusal(
        corpus, tmp_path / "out", rf"{path.name}.* holds pickled Python objects, needed plain numbers"
    )
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(marker))
    assert (tmp_path / "ran").exists(), "the marker does not mark"


def repeat_uid(corpus: Path, layout: str) -> None:
    """Call row 3 by the uid of row 2, and give it the same caption."""
    path = corpus / TABLES[layout].format(0)
    table = pq.read_table(path)
    columns = {name: table[name] for name in table.column_names}
    for name in columns.keys() & {"uid", "caption", "text"}:
        values = table[name].to_pylist()
        columns[name] = pa.array([*values[:3], values[2], *values[4:]])
    write_parquet(path, columns)


@pytest.mark.parametrize(
    "layout", [pytest.param(layout, id=f"46-same-vector-{layout}") for layout in EMBEDDED]
)
def test_a_uid_that_comes_twice_with_one_vector_is_one_sample(tmp_path: Path, layout: str) -> None:
    """What is embedded keeps the rows of its corpus; what reads it takes each uid once, and counts."""
    corpus = written(layout, tmp_path / "corpus", ROWS)
    repeat_uid(corpus, layout)
    if layout == "clip-retrieval":
        path = corpus / "text_emb/text_emb_0.npy"
        np.save(path, with_row(3, np.load(path)[2])(np.load(path)))
        change_rows(corpus, layout, lambda rows: with_row(3, rows[2])(rows))
    else:
        path = corpus / FILES[layout].format(0)
        with np.load(path) as archive:
            arrays: dict[str, Any] = {
                name: with_row(3, archive[name][2])(archive[name]) for name in archive.files
            }
        np.savez(path, **arrays)
    assert run("embed", corpus, "--out", tmp_path / "out", "--workers", 1).status == 0
    assert len(read_made(tmp_path / "out").table["uid"]) == 7
    found = load_embeddings(tmp_path / "out")
    assert found.uids == tuple(row.uid for row in rows_with(without=[3]))
    assert found.duplicates == 1
    assert count(corpus, tmp_path / "counts").status == 0
    assert json.loads((tmp_path / "counts" / "meta.json").read_text())["n"] == 7


@pytest.mark.parametrize(
    "layout", [pytest.param(layout, id=f"46-other-vector-{layout}") for layout in EMBEDDED]
)
def test_a_uid_that_comes_twice_with_two_vectors_is_refused_by_whatever_reads_it(
    tmp_path: Path, layout: str
) -> None:
    corpus = written(layout, tmp_path / "corpus", ROWS)
    repeat_uid(corpus, layout)
    assert run("embed", corpus, "--out", tmp_path / "out", "--workers", 1).status == 0
    message = rf"uid {ROWS[2].uid} has one vector in .* row 2 and another in .* row 3: remove one"
    with pytest.raises(Refusal, match=message):
        load_embeddings(tmp_path / "out")


def test_46_a_uid_of_two_pictures_is_refused_by_a_search(tmp_path: Path) -> None:
    corpus = written("listing", tmp_path / "corpus", ROWS)
    listing = corpus / "list.csv"
    listing.write_text(listing.read_text().replace(ROWS[3].uid, ROWS[2].uid))
    made = ("--embeddings", tmp_path / "embeddings", "--workers", 1)
    outcome = run("search", corpus, "thing", "--out", tmp_path / "sheet.html", *made)
    assert outcome.status == 2
    assert re.search(rf"uid {ROWS[2].uid} has one vector in", outcome.refusal)
    assert not (tmp_path / "sheet.html").exists()


@pytest.mark.parametrize("layout", ["datacomp", "clip-retrieval"], ids="46-other-caption-{}".format)
def test_a_uid_that_comes_twice_with_two_captions_is_counted_as_two_captions(
    tmp_path: Path, layout: str
) -> None:
    corpus = written(layout, tmp_path / "corpus", ROWS)
    names = {"datacomp": TABLES["npz"], "clip-retrieval": TABLES["clip-retrieval"]}
    path = corpus / names[layout].format(0)
    table = pq.read_table(path)
    uids = table["uid"].to_pylist()
    columns = {name: table[name] for name in table.column_names}
    write_parquet(path, {**columns, "uid": pa.array([*uids[:3], uids[2], *uids[4:]])})
    for folder, made in (
        (tmp_path / "before", written(layout, tmp_path / "whole", ROWS)),
        (tmp_path / "out", corpus),
    ):
        assert count(made, folder).status == 0
    # Nothing is joined by the uid where captions alone are counted, and a model saw both.
    before, after = (read_counts(tmp_path / name) for name in ("before", "out"))
    assert after.n_captions == before.n_captions == len(ROWS)
    assert after.text.tolist() == before.text.tolist()


def test_47_embeddings_whose_captions_the_model_embeds_otherwise_are_refused(
    tmp_path: Path, transformer: Path
) -> None:
    """Nothing says which model made them: up to eight captions are embedded again."""
    corpus = written("clip-retrieval", tmp_path / "corpus", ROWS)
    message = "of 5 captions embedded again .*, 0 have the vector in their row .* another model"
    require_refusal(corpus, tmp_path / "out", message, "--model", transformer)
    require_refusal(corpus, tmp_path / "out", "dimension 24, .*128", "--model", "reference")


def test_47_embeddings_that_name_other_weights_are_refused(tmp_path: Path, transformer: Path) -> None:
    corpus = written("listing", tmp_path / "corpus", ROWS)
    first = ("--model", transformer, "--workers", 1)
    assert run("embed", corpus, "--out", tmp_path / "made", *first).status == 0
    other = shutil.copytree(transformer, tmp_path / "other")
    weights = load_file(other / "open_clip_model.safetensors")
    weights["visual.proj"] = -weights["visual.proj"]
    save_file(weights, other / "open_clip_model.safetensors")
    message = r"were made with weights [0-9a-f]{16}…, model .* has [0-9a-f]{16}…"
    require_refusal(tmp_path / "made", tmp_path / "out", message, "--model", other)
    assert run("embed", tmp_path / "made", "--out", tmp_path / "again", *first).status == 0


def test_47_rows_that_are_not_those_of_their_captions_are_refused(tmp_path: Path, transformer: Path) -> None:
    corpus = written("listing", tmp_path / "corpus", ROWS)
    model = ("--model", transformer, "--workers", 1)
    assert run("embed", corpus, "--out", tmp_path / "made", *model).status == 0
    alone = tmp_path / "alone"
    for kind in ("img_emb", "text_emb", "metadata"):
        shutil.copytree(tmp_path / "made" / kind, alone / kind)
    assert run("embed", alone, "--out", tmp_path / "right", *model).status == 0
    path = alone / "text_emb" / "text_emb_0000.npy"
    np.save(path, np.roll(np.load(path), 1, axis=0))
    require_refusal(alone, tmp_path / "out", "captions and rows do not belong together", *model[:2])
