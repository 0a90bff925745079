"""Posting lists: against masks of rows, for any cut into batches, shards and files, and with every kind of damage."""

import itertools
import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyroaring import BitMap
from scipy import sparse

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.counting import postings as postings_module
from oddpair.retrieval.counting import postings_file
from oddpair.retrieval.counting.postings import PostingsBuilder, write_postings
from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER, read_bitmaps, write_bitmaps
from oddpair.retrieval.counting.postings_index import INDEX_FILE, write_index
from oddpair.retrieval.counting.postings_query import open_postings
from oddpair.retrieval.mentions.incidence import from_csr, from_lists

K = 6
CORPUS = "c" * 64

tables = st.integers(1, 40).flatmap(
    lambda rows: st.tuples(arrays(np.bool_, (rows, K)), st.none() | arrays(np.bool_, (rows, K)))
)


def incidence(mask):
    return from_csr(sparse.csr_array(mask))


def build(mask, cuts=()):
    """A builder of some rows, added in batches between the cuts."""
    builder = PostingsBuilder(mask.shape[1])
    for batch in np.split(mask, cuts):
        builder.add(incidence(batch))
    return builder


def write(folder, text, image=None, *, sizes=None, starts=(0,), cuts=()):
    """Write posting lists of masks whose rows are cut into shards, and these into files."""
    sizes = [len(text)] if sizes is None else sizes
    ends = np.cumsum([0, *sizes])
    for first, last in itertools.pairwise((*starts, len(sizes))):
        inside = [cut - ends[first] for cut in cuts if ends[first] < cut < ends[last]]
        rows = slice(ends[first], ends[last])
        tags = None if image is None else build(image[rows], inside)
        write_postings(folder, first, len(sizes), build(text[rows], inside), tags)
    write_index(folder, CORPUS, [f"shard-{place}" for place in range(len(sizes))], sizes)
    return open_postings(folder)


def mask_of(kind, text, image):
    return {"text": text, "image": image, "joint": None if image is None else text & image}[kind]


@pytest.fixture
def small_groups(monkeypatch):
    """Files of several row groups, and groupings after every few entries."""
    monkeypatch.setattr(postings_file, "_GROUP_CONCEPTS", 2)
    monkeypatch.setattr(postings_module, "_GROUPED", 5)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables, st.data())
def test_counts_and_rows_are_those_of_the_masks_for_any_cut(small_groups, tmp_path_factory, table, data):
    text, image = table
    n = len(text)
    ends = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    sizes = np.diff([0, *ends, n]).tolist()
    starts = sorted({0, *data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=2))})
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    folder = tmp_path_factory.mktemp("counts")
    found = write(folder, text, image, sizes=sizes, starts=starts, cuts=cuts)
    assert found.n_rows == n
    for kind in ("text",) if image is None else ("text", "image", "joint"):
        mask = mask_of(kind, text, image)
        concepts = data.draw(st.lists(st.integers(0, K - 1), min_size=1, max_size=4))
        expected = np.flatnonzero(mask[:, concepts].all(axis=1))
        assert found.count(concepts, kind) == len(expected)
        offset = dict(zip(found.index.shards, np.cumsum([0, *sizes]), strict=False))
        parts = list(found.rows(concepts, kind))
        assert [shard for shard, _ in parts] == sorted(
            {shard for shard, _ in parts}, key=found.index.shards.index
        )
        assert [int(row + offset[shard]) for shard, rows in parts for row in rows] == expected.tolist()
        assert found.count_each(concepts, kind).tolist() == mask[:, concepts].sum(axis=0).tolist()
        pairs = np.array(list(itertools.product(range(K), range(K))))
        both = [int((mask[:, a] & mask[:, b]).sum()) for a, b in pairs]
        assert found.count_pairs(pairs, kind).tolist() == both


@settings(max_examples=20, deadline=None)
@given(arrays(np.bool_, (30, K)), st.lists(st.integers(0, K - 1), min_size=2, max_size=4))
def test_more_concepts_never_hold_in_more_rows_and_a_repeated_concept_changes_nothing(
    tmp_path_factory, mask, concepts
):
    found = write(tmp_path_factory.mktemp("counts"), mask)
    whole = found.count(concepts)
    assert all(whole <= found.count(part) for part in itertools.combinations(concepts, len(concepts) - 1))
    assert found.count([*concepts, concepts[0]]) == whole == found.count(concepts[::-1])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.bool_, (25, K)), st.lists(st.integers(0, 25), max_size=5).map(sorted), st.randoms())
def test_a_file_has_the_same_bytes_however_its_rows_came(small_groups, tmp_path_factory, mask, cuts, chance):
    folder = tmp_path_factory.mktemp("bytes")
    build(mask).write(folder / "whole")
    build(mask, cuts).write(folder / "batches")
    ends = [0, *cuts, len(mask)]
    parts = list(itertools.pairwise(ends))
    chance.shuffle(parts)
    halves = [PostingsBuilder(K), PostingsBuilder(K)]
    for place, (first, end) in enumerate(parts):
        halves[place % 2].add(incidence(mask[first:end]), first_row=first)
    halves[0].merge(halves[1])
    halves[0].write(folder / "merged")
    assert (
        (folder / "whole").read_bytes()
        == (folder / "batches").read_bytes()
        == (folder / "merged").read_bytes()
    )


def test_a_file_has_the_same_bytes_for_any_number_of_threads_where_bitmaps_are_dense(tmp_path):
    chance = np.random.default_rng(0)
    shares = [0.02, 0.06, 0.07, 0.5, 0.99, 1.0]
    mask = chance.random((150_000, K)) < shares
    mask[70_000:140_000, 0] = True
    mask[20_000:60_000, 3] = False
    cuts = range(0, 150_001, 10_000)
    parts = list(itertools.pairwise(cuts))
    for threads in (1, 3):
        builders = [PostingsBuilder(K) for _ in range(threads)]
        for place, (first, end) in enumerate(parts if threads == 1 else chance.permutation(parts).tolist()):
            builders[place % threads].add(incidence(mask[first:end]), first_row=first)
            builders[place % threads].bitmaps()
        for other in builders[1:]:
            builders[0].merge(other)
        builders[0].write(tmp_path / str(threads))
    build(mask).write(tmp_path / "whole")
    assert len({(tmp_path / name).read_bytes() for name in ("1", "3", "whole")}) == 1
    found = read_bitmaps(tmp_path / "3", range(K), n_rows=len(mask), n_concepts=K)
    assert all(np.array_equal(np.array(found[k]), np.flatnonzero(mask[:, k])) for k in range(K))


def test_rows_of_every_kind_of_container_come_back(tmp_path):
    rows = {
        0: range(200_000),
        1: range(0, 200_000, 2),
        2: range(7, 200_000, 5_000),
        3: [0, 65_535, 65_536, 199_999],
    }
    bitmaps = {concept: BitMap(list(wanted)) for concept, wanted in rows.items()}
    write_bitmaps(tmp_path / "x", bitmaps, n_rows=200_000, n_concepts=9)
    found = read_bitmaps(tmp_path / "x", range(9), n_rows=200_000, n_concepts=9)
    assert {concept: list(bitmap) for concept, bitmap in found.items()} == {
        concept: list(wanted) for concept, wanted in rows.items()
    }


def test_bitmaps_are_in_the_portable_format_of_roaring(tmp_path):
    write_bitmaps(tmp_path / "x", {4: BitMap([1, 5])}, n_rows=6, n_concepts=5)
    table = pq.read_table(tmp_path / "x")
    assert table.column_names == ["concept_id", "count", "rows"]
    assert (table["concept_id"].to_pylist(), table["count"].to_pylist()) == ([4], [2])
    # Cookie 12346, one container, its key 0 and cardinality less 1, its offset 16, then its values.
    words = np.array([12346, 0, 1, 0, 0, 1, 16, 0, 1, 5], "<u2")
    assert table["rows"][0].as_py() == words.tobytes()


def test_a_few_concepts_are_read_without_the_rest_of_the_file(small_groups, tmp_path, monkeypatch):
    build(np.ones((3, K), np.bool_)).write(tmp_path / "x")
    read = []
    whole = pq.ParquetFile.read_row_groups

    def watch(file, groups, **options):
        read.append(groups)
        return whole(file, groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", watch)
    assert set(read_bitmaps(tmp_path / "x", [0, 5], n_rows=3, n_concepts=K)) == {0, 5}
    assert read == [[0, 2]]


def test_a_row_that_the_caller_writes_over_stays_as_it_was():
    given_rows = from_lists([[1], [2]], n_concepts=K)
    builder = PostingsBuilder(K)
    builder.add(given_rows)
    given_rows.concepts[:] = 0
    assert {concept: list(rows) for concept, rows in builder.bitmaps().items()} == {1: [0], 2: [1]}


def test_a_builder_refuses_other_vocabularies_and_rows_beyond_32_bits():
    builder = PostingsBuilder(K)
    with pytest.raises(ValueError, match="rows of 3 concepts, needed 6"):
        builder.add(from_lists([[0]], n_concepts=3))
    with pytest.raises(ValueError, match="rows of 3 concepts, needed 6"):
        builder.merge(PostingsBuilder(3))
    builder.add(from_lists([[0]], n_concepts=K), first_row=(1 << 32) - 1)
    assert list(builder.bitmaps()[0]) == [(1 << 32) - 1]
    with pytest.raises(ValueError, match="rows 4,294,967,296 to 4,294,967,297"):
        builder.add(from_lists([[0]], n_concepts=K))


def test_a_question_without_a_concept_or_of_an_unknown_one_is_an_error(tmp_path):
    found = write(tmp_path, np.ones((2, K), np.bool_))
    for concepts in ([], [K], [-1]):
        with pytest.raises(ValueError, match="needed ids from 0 to 5"):
            found.count(concepts)
    with pytest.raises(ValueError, match=r"needed \(n, 2\)"):
        found.count_pairs([1, 2])
    assert found.count_pairs(np.zeros((0, 2), np.int64)).tolist() == []
    with pytest.raises(Refusal, match="counted without image tags: count again with --tags"):
        found.count([0], "joint")


def test_the_index_is_written_only_over_files_that_fit(tmp_path):
    builder = build(np.ones((3, K), np.bool_))
    write_postings(tmp_path, 0, 2, builder, None)
    with pytest.raises(ValueError, match="of 3 rows, its shards have 4"):
        write_index(tmp_path, CORPUS, ["a", "b"], [3, 1])
    with pytest.raises(ValueError, match="needed 0 to -1"):
        write_index(tmp_path, CORPUS, [], [])
    write_postings(tmp_path, 1, 2, builder, builder)
    with pytest.raises(ValueError, match="1 files are of images, 2 of captions"):
        write_index(tmp_path, CORPUS, ["a", "b"], [3, 3])
    with pytest.raises(ValueError, match="3 rows of captions and 0 of images"):
        write_postings(tmp_path, 0, 2, builder, PostingsBuilder(K))
    with pytest.raises(ValueError, match="shard 2 of 2"):
        write_postings(tmp_path, 2, 2, builder, None)


def change(**columns):
    """Write the file again with other columns; all else, its checksums included, is right."""

    def damage(path):
        table = pq.read_table(path)
        for name, values in columns.items():
            place = table.schema.get_field_index(name)
            table = table.set_column(
                place, table.schema.field(place), pa.array(values, table.schema.field(place).type)
            )
        pq.write_table(table, path)

    return damage


def bytes_at(share):
    def damage(path):
        data = bytearray(path.read_bytes())
        data[int(share * len(data))] ^= 0xFF
        path.write_bytes(data)

    return damage


def describe(text):
    return lambda path: pq.write_table(pq.read_table(path).replace_schema_metadata(text), path)


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "a-flipped-byte": bytes_at(0.02),
    "no-bitmap": change(rows=[b"", b""]),
    "a-cut-bitmap": change(rows=[BitMap([0, 1]).serialize()[:-1], BitMap([1]).serialize()]),
    "another-count": change(count=[1, 1]),
    "a-row-past-the-end": change(rows=[BitMap([0, 7]).serialize(), BitMap([1]).serialize()]),
    "concepts-out-of-order": change(concept_id=[2, 1]),
    "a-concept-twice": change(concept_id=[1, 1]),
    "of-other-rows": describe({"n_rows": "3", "n_concepts": "6"}),
    "of-nothing-known": describe(None),
    "another-table": lambda path: files.write_table(path, pa.table({"uid": ["a"]})),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, damage):
    mask = np.zeros((2, K), np.bool_)
    mask[0, 1] = mask[1, 1] = mask[1, 2] = True
    found = write(tmp_path, mask)
    assert found.count([1, 2]) == 1
    damage(tmp_path / POSTINGS_FOLDER / "text_0000.parquet")
    with pytest.raises(
        Refusal, match=r"text_0000\.parquet holds no posting lists that can be used .*count again"
    ) as told:
        found.count([1, 2])
    assert "\n" not in str(told.value)


def test_bytes_of_strangers_in_place_of_a_bitmap_are_refused_or_are_the_rows_they_say(tmp_path):
    """A first release of the library ended the process on such bytes."""
    chance = random.Random(0)
    whole = [
        BitMap(range(0, 20_000, 2)),
        BitMap(chance.sample(range(20_000), 60)),
        BitMap(range(9, 9_000)),
    ]
    refused = 0
    for place in range(240):
        data = bytearray(whole[place % 3].serialize())
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(min(len(data), 80))] = chance.randrange(256)
        data = data[: chance.randrange(len(data))] if place % 4 == 0 else data
        table = pa.table({"concept_id": [0], "count": [len(whole[place % 3])], "rows": [bytes(data)]})
        schema = postings_file._SCHEMA.with_metadata({"n_rows": "20000", "n_concepts": "1"})
        pq.write_table(table.cast(schema), tmp_path / "x")
        try:
            rows = list(read_bitmaps(tmp_path / "x", [0], n_rows=20_000, n_concepts=1)[0])
        except Refusal:
            refused += 1
        else:
            assert rows == sorted(set(rows))
            assert rows[-1] < 20_000
    assert refused > 120


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"format_version": 2}, "no index of format 1"),
        ({"corpus": 1}, "no 'corpus' of type str"),
        ({"image": 1}, "no 'image' of type bool"),
        ({"rows": [1]}, "contradicts itself"),
        ({"rows": [1, -1]}, "contradicts itself"),
        ({"rows": [1, True]}, "contradicts itself"),
        ({"shards": ["a", 1]}, "contradicts itself"),
        ({"starts": []}, "contradicts itself"),
        ({"starts": [1]}, "contradicts itself"),
        ({"starts": [0, 2]}, "contradicts itself"),
        ({"starts": [0, 1, 1]}, "contradicts itself"),
        ({"starts": ["0"]}, "contradicts itself"),
    ],
    ids=str,
)
def test_a_damaged_index_is_refused(tmp_path, fields, found):
    write(tmp_path, np.ones((2, K), np.bool_), sizes=[1, 1])
    path = tmp_path / POSTINGS_FOLDER / INDEX_FILE
    path.write_text(json.dumps({**files.read_json(path), **fields}))
    with pytest.raises(Refusal, match=rf"index\.json.* {found}.*count again"):
        open_postings(tmp_path)


def test_a_folder_without_posting_lists_says_how_to_get_them(tmp_path):
    with pytest.raises(Refusal, match=r"has no posting lists: .*oddpair count --postings"):
        open_postings(tmp_path)
