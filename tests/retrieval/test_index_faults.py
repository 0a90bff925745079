"""Cases 48 and 49: an index that is damaged or of other rows, and rows that are equally near."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.retrieval.brute_force import search
from tests.retrieval.stored_folder import write_manifest, write_stored

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.faiss_import import load_faiss
from oddpair.retrieval.index import search_index
from oddpair.retrieval.index_build import build_index
from oddpair.retrieval.index_file import CARD_FILE, ROWS_FILE, open_index
from oddpair.retrieval.pairs import Pairs
from oddpair.retrieval.scan import Ask, prepare_tests, scan
from oddpair.retrieval.stored import StoredRows, open_stored
from oddpair.retrieval.unit_rows import HeldRows

N, D, LISTS = 60, 8, 4
Array = np.ndarray[Any, Any]


def unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float16)


def rows_of(n: int = N, d: int = D, seed: int = 0) -> Array:
    return unit(np.random.default_rng(seed).normal(size=(n, d)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedding folder of pictures and captions, and the index of its pictures."""
    folder = tmp_path_factory.mktemp("whole")
    sizes, uids = [N // 2, N // 2], [f"{row:03d}" for row in range(N)]
    for kind in ("img_emb", "text_emb"):
        write_stored(folder / "rows", rows_of(), uids, sizes, kind=kind)
    write_manifest(folder / "rows", dimensions={"img_emb": D, "text_emb": D})
    build_index(open_stored(folder / "rows"), folder / "index", lists=LISTS, sample=5)
    return folder


def edit(**fields: Any) -> Callable[[Path], None]:
    """Change fields of the card; ``None`` takes one out."""

    def change(folder: Path) -> None:
        card = {**files.read_json(folder / CARD_FILE), **fields}
        files.write_json(
            folder / CARD_FILE, {name: value for name, value in card.items() if value is not None}
        )

    return change


def text(content: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / CARD_FILE).write_text(content)

    return change


def cut(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return change


def flip(folder: Path) -> None:
    data = bytearray((folder / ROWS_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / ROWS_FILE).write_bytes(data)


def reverse(folder: Path) -> None:
    (folder / ROWS_FILE).write_bytes((folder / ROWS_FILE).read_bytes()[::-1])


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def sign(folder: Path) -> None:
    """Give the rows' file as it is now the hash that the card wants."""
    path = folder / ROWS_FILE
    edit(file={"bytes": path.stat().st_size, "sha256": files.sha256(path)})(folder)


def put(data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / ROWS_FILE).write_bytes(data)
        sign(folder)

    return change


def other(
    *,
    n: int = N,
    d: int = D,
    lists: int = LISTS,
    kind: str = "QT_fp16",
    metric: str = "METRIC_INNER_PRODUCT",
    by_residual: bool = False,
    ids: range | None = None,
) -> Callable[[Path], None]:
    """Put another index of faiss in place of ours, its hash in the card."""

    def change(folder: Path) -> None:
        faiss = load_faiss()
        centres = faiss.IndexFlatIP(d) if "INNER" in metric else faiss.IndexFlatL2(d)
        qtype = getattr(faiss.ScalarQuantizer, kind)
        made = faiss.IndexIVFScalarQuantizer(centres, d, lists, qtype, getattr(faiss, metric), by_residual)
        made.cp.min_points_per_centroid = 1
        rows = rows_of(n, d).astype(np.float32)
        made.train(rows)
        made.add_with_ids(rows, np.array(ids or range(n), dtype=np.int64))
        faiss.write_index(made, str(folder / ROWS_FILE))
        sign(folder)

    return change


def flat(folder: Path) -> None:
    faiss = load_faiss()
    made = faiss.IndexFlatIP(D)
    made.add(rows_of().astype(np.float32))
    faiss.write_index(made, str(folder / ROWS_FILE))
    sign(folder)


DAMAGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "48-no-card": (remove(CARD_FILE), r"index\.json does not exist: check the path, or run the step"),
    "48-card-cut": (cut(CARD_FILE), r"index\.json is not valid JSON \(.*\): mend it, or delete it and run again"),
    "48-card-of-something-else": (text("[]"), r"index\.json is no card of an index: build it again"),
    "48-card-of-a-later-version": (edit(format=2), r"index\.json has format 2, this oddpair reads 1: build it"),
    "48-card-lacks-a-field": (edit(rows=None), r"index\.json is no whole card .*'rows'.*: build it again"),
    "48-card-text-for-a-number": (edit(lists="4"), r"no whole card of an index \('4' is no int\): build"),
    "48-card-without-recall": (edit(recall={"img_emb": {}}), r"no whole card of an index \('at_1'\): build"),
    "48-card-recall-is-a-list": (edit(recall=[]), r"no whole card of an index \(\[\] is no dict\): build it again"),
    "48-card-no-recall-of-its-rows": (edit(recall={}), r"index\.json has no recall of img_emb: build it again"),
    "48-card-probes-too-many": (edit(probes=5), r"index\.json has 5 probes of 4 lists: build it again"),
    "48-no-rows": (remove(ROWS_FILE), r"rows\.faiss does not exist: build it again"),
    "48-rows-cut": (cut(ROWS_FILE), r"rows\.faiss has [\d,]+ bytes, index\.json says [\d,]+: build it again"),
    "48-bit-flipped": (flip, r"rows\.faiss is damaged, its sha256 is not the one in index\.json: build it"),
    "48-other-bytes-of-the-same-size": (
        reverse,
        r"rows\.faiss is damaged, its sha256 is not the one in index\.json: build it again",
    ),
}  # fmt: skip
FOREIGN: dict[str, tuple[Callable[[Path], None], str]] = {
    "48-signed-no-index": (
        put(b"not an index"),
        r"rows\.faiss cannot be read by faiss \(.+\): build it again",
    ),
    "48-signed-empty": (put(b""), r"rows\.faiss cannot be read by faiss \(.+\): build it again"),
    "48-signed-flat-index": (flat, r"holds no IVF index of float16 rows, index\.json says 60 rows of"),
    "48-signed-8-bit-rows": (other(kind="QT_8bit"), "holds no IVF index of float16 rows"),
    "48-signed-residuals": (other(by_residual=True), "holds no IVF index of float16 rows"),
    "48-signed-distances": (other(metric="METRIC_L2"), "holds no IVF index of float16 rows"),
    "48-signed-fewer-rows": (
        other(n=59),
        r"rows\.faiss holds 59 rows of dimension 8 in 4 lists, index\.json says 60 rows of dimension 8 in 4 lists: build",
    ),
    "48-signed-other-dimension": (other(d=9), "holds 60 rows of dimension 9 in 4 lists"),
    "48-signed-other-lists": (other(lists=5), "holds 60 rows of dimension 8 in 5 lists"),
    "48-signed-rows-of-no-number": (
        other(ids=range(1, N + 1)),
        r"rows\.faiss cannot be read by faiss \(.+\): build it again",
    ),
}


@pytest.mark.parametrize(("change", "line"), [*DAMAGED.values(), *FOREIGN.values()], ids=[*DAMAGED, *FOREIGN])
def test_a_damaged_or_foreign_index_is_refused_in_one_line(
    whole: Path, tmp_path: Path, change: Callable[[Path], None], line: str
) -> None:
    folder = tmp_path / "index"
    shutil.copytree(whole / "index", folder)
    change(folder)
    with pytest.raises(Refusal, match=line) as refused:
        open_index(folder, open_stored(whole / "rows"))
    assert "\n" not in str(refused.value)
    # The remedy is one.
    build_index(open_stored(whole / "rows"), folder, lists=LISTS, sample=5)
    assert open_index(folder, open_stored(whole / "rows")).card.rows == N


@pytest.mark.parametrize(("change", "line"), DAMAGED.values(), ids=list(DAMAGED))
def test_faiss_is_given_no_byte_of_a_damaged_index(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], line: str
) -> None:
    folder = tmp_path / "index"
    shutil.copytree(whole / "index", folder)
    change(folder)

    def fail(path: str) -> None:
        raise AssertionError(f"faiss was given {path}")

    monkeypatch.setattr(load_faiss(), "read_index", fail)
    with pytest.raises(Refusal, match=line):
        open_index(folder, open_stored(whole / "rows"))


OTHER_ROWS: dict[str, tuple[Callable[[StoredRows], StoredRows], str]] = {
    "48-captions-for-pictures": (
        lambda stored: open_stored(stored.folder, "text_emb"), "kind img_emb, needed text_emb"
    ),
    "48-other-dimension": (lambda stored: replace(stored, dimension=9), "dimension 8, needed 9"),
    "48-other-rows": (lambda stored: replace(stored, sizes=(30, 31)), "rows 60, needed 61"),
    "48-other-shards": (
        lambda stored: replace(stored, sizes=(30, 60), first=1), "first row 0, needed 30"
    ),
    "48-other-encoder": (
        lambda stored: replace(stored, encoder="cd" * 32), r"encoder abababababab\.\.\., needed cdcdcdcdcdcd"
    ),
    "48-encoder-unknown": (lambda stored: replace(stored, encoder=""),
        r"encoder abababababab\.\.\., needed unknown: build it again",),
    "48-embedded-again": (
        lambda stored: replace(stored, digest="0" * 64), r"embeddings [0-9a-f]{12}\.\.\., needed 000000000000\.\.\."
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "line"), OTHER_ROWS.values(), ids=list(OTHER_ROWS))
def test_an_index_of_other_rows_is_refused_in_one_line(
    whole: Path, change: Callable[[StoredRows], StoredRows], line: str
) -> None:
    stored = open_stored(whole / "rows")
    assert open_index(whole / "index", stored).card.rows == N
    with pytest.raises(Refusal, match=f"is no index of .* as it is now: {line}") as refused:
        open_index(whole / "index", change(stored))
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith("build it again with oddpair index")


def finish(rows: Path) -> None:
    """Write the hashes of all parts, as a finished run does."""
    (rows / "done.json").unlink(missing_ok=True)
    parts = sorted(path for path in rows.rglob("*") if path.is_file())
    files.write_json(
        rows / "done.json", {path.relative_to(rows).as_posix(): files.sha256(path) for path in parts}
    )


def embed_otherwise(rows: Path) -> None:
    write_manifest(rows, precision="bf16")


def embed_others(rows: Path) -> None:
    manifest = (rows / "manifest.json").read_bytes()
    for kind in ("img_emb", "text_emb"):
        write_stored(rows, rows_of(seed=1), [f"{row:03d}" for row in range(N)], [N // 2, N // 2], kind=kind)
    (rows / "manifest.json").write_bytes(manifest)


@pytest.mark.parametrize(
    "embed", [embed_otherwise, embed_others], ids=["48-other-manifest", "48-other-vectors-same-manifest"]
)
def test_an_index_is_stale_when_its_corpus_is_embedded_again(
    whole: Path, tmp_path: Path, embed: Callable[[Path], None]
) -> None:
    rows, folder = tmp_path / "rows", tmp_path / "index"
    shutil.copytree(whole / "rows", rows)
    finish(rows)
    build_index(open_stored(rows), folder, lists=LISTS, sample=5)
    embed(rows)
    finish(rows)
    with pytest.raises(Refusal, match="as it is now: embeddings"):
        open_index(folder, open_stored(rows))


def test_48_a_run_that_is_killed_between_the_two_files_leaves_nothing_that_is_taken_for_an_index(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, stored = tmp_path / "index", open_stored(whole / "rows")
    shutil.copytree(whole / "index", folder)

    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", die)
        with pytest.raises(KeyboardInterrupt):
            build_index(stored, folder, lists=LISTS + 1, sample=5)
    assert json.loads((folder / CARD_FILE).read_text())["lists"] == LISTS
    with pytest.raises(Refusal, match="build it again"):
        open_index(folder, stored)


def near_equals(rng: np.random.Generator) -> tuple[Array, Array]:
    """Rows whose scores differ in the last bits only, or not at all."""
    query = unit(rng.normal(size=(1, 24)))
    return unit(query.astype(np.float64) + 4e-4 * rng.normal(size=(200, 24))), query


def copies(rng: np.random.Generator) -> tuple[Array, Array]:
    """One row 150 times, among others."""
    query = unit(rng.normal(size=(1, 24)))
    others = unit(query.astype(np.float64) + 0.05 * rng.normal(size=(50, 24)))
    return np.concatenate([others, np.repeat(query, 150, axis=0)])[rng.permutation(200)], query


def few_values(rng: np.random.Generator) -> tuple[Array, Array]:
    """Rows of three values, so that many are as far from a query as others."""
    rows = unit(rng.integers(-1, 2, size=(200, 4)) + 0.5)
    return rows, rows[:1]


@pytest.mark.parametrize("way", ["index", "scan"])
@pytest.mark.parametrize(
    "make", [near_equals, copies, few_values], ids=["49-near-equals", "49-copies", "49-few-values"]
)
def test_ties_go_by_uid_for_any_threads_batch_and_order_of_shards(
    tmp_path: Path, make: Callable[[np.random.Generator], tuple[Array, Array]], way: str
) -> None:
    rng = np.random.default_rng(4)
    rows, query = make(rng)
    queries = np.concatenate([query, unit(rng.normal(size=(63, rows.shape[1])))]).astype(np.float32)
    uids = np.array([f"{place:03d}" for place in rng.permutation(200)])
    tests = [f"{number:02d}" for number in range(64)]
    for k in (9, 160):
        expected = search(rows, uids.tolist(), queries, tests, Ask(top=k)).top
        wanted = (expected.test.tolist(), uids[expected.row].tolist(), expected.score.tolist())
        for order in (np.arange(200), np.arange(200)[::-1]):
            find = finder(tmp_path / f"{k}-{order[0]}", rows[order], uids[order].tolist(), way)
            for threads, batch in ((1, 64), (8, 64), (8, 1)):
                parts = [find(queries[at : at + batch], k, threads) for at in range(0, 64, batch)]
                tests_found = [
                    at * batch + test for at, part in enumerate(parts) for test in part.test.tolist()
                ]
                uids_found = [uids[order][row] for part in parts for row in part.row.tolist()]
                scores = [score for part in parts for score in part.score.tolist()]
                assert (tests_found, uids_found, scores) == wanted


def finder(
    folder: Path, rows: Array, uids: list[str], way: str
) -> Callable[[np.ndarray[Any, Any], int, int], Pairs]:
    if way == "scan":
        held = HeldRows(rows, uids)
        return lambda queries, k, threads: (
            scan(
                held,
                prepare_tests(queries, [f"{n:02d}" for n in range(len(queries))]),
                Ask(top=k),
                threads=threads,
            ).top
        )
    stored = open_stored(write_stored(folder, rows, uids, [120, 0, 80]))
    index = build_index(stored, folder / "index", lists=3, probes=3, sample=5)
    return lambda queries, k, threads: search_index(index, stored, queries, k=k, threads=threads)


def test_49_a_threshold_is_strict_and_decided_by_exact_scores(tmp_path: Path) -> None:
    rows, query = near_equals(np.random.default_rng(5))
    uids = [f"{row:03d}" for row in range(200)]
    stored = open_stored(write_stored(tmp_path / "rows", rows, uids, [200]))
    index = build_index(stored, tmp_path / "index", lists=2, probes=2, sample=5)
    scores = search(rows, uids, query, ["0"], Ask(top=200)).top.score
    for limit in np.unique(scores)[::5]:
        found = search_index(index, stored, query.astype(np.float32), above=float(limit))
        assert len(found) == (scores > limit).sum()
        assert (found.score > limit).all()
