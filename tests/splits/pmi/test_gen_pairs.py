import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.splits.pair_data import encode, write_pairs

from oddpair.errors import Refusal
from oddpair.retrieval.concept_names import ConceptNames
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.formats.shards import make_keys, write_shard
from oddpair.splits.pmi.gen_pairs import NOT_COUNTED, NOT_TWO, SAME, read_pairs

NAMES = ("dog", "fire hydrant", "hot dog", "hot", "car")
VOCABULARY = build_vocabulary(NAMES)


def read(path):
    found = read_pairs(open_corpus(path), ConceptNames(VOCABULARY))
    shown = [
        tuple(NAMES[concept] if concept >= 0 else None for concept in pair)
        for pair in zip(found.first.tolist(), found.second.tolist(), strict=True)
    ]
    return dict(zip(found.pool.uids.to_pylist(), shown, strict=True)), found


def test_a_folder_for_each_pair_says_what_its_pictures_show(tmp_path):
    shown, found = read(write_pairs(tmp_path / "set", [("dog", "fire_hydrant"), ("Cars", "hot dog")], 3))
    assert sorted(shown.values()) == [("car", "hot dog")] * 3 + [("dog", "fire hydrant")] * 3
    assert found.pool.uids.to_pylist() == sorted(shown)
    assert not found.left_out


@pytest.mark.parametrize(
    ("folder", "pair"),
    [
        ("dog_fire_hydrant", ("dog", "fire hydrant")),
        ("hot_dog_car", ("hot dog", "car")),
        # Hot with dog, or one hot dog and nothing.
        ("hot_dog", ("hot", "dog")),
        ("dog", NOT_TWO),
        ("dog_unicorn", NOT_TWO),
        ("dog__unicorn", NOT_COUNTED),
        ("dog__dogs", SAME),
        ("dog__car__hot", NOT_TWO),
        ("dog__", NOT_TWO),
    ],
)
def test_a_folder_name_is_a_pair_if_it_can_be_one_in_one_way_only(tmp_path, folder, pair):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "0.png").write_bytes(encode(1))
    shown, found = read(tmp_path)
    if isinstance(pair, tuple):
        assert list(shown.values()) == [pair]
    else:
        assert list(shown.values()) == [(None, None)]
        assert found.left_out == {pair: 1}


def test_a_name_that_can_be_cut_in_two_ways_is_no_pair(tmp_path):
    (tmp_path / "a_b_c").mkdir()
    (tmp_path / "a_b_c" / "0.png").write_bytes(encode(1))
    names = ConceptNames(build_vocabulary(["a", "b c", "a b", "c"]))
    assert read_pairs(open_corpus(tmp_path), names).left_out == {NOT_TWO: 1}


@pytest.mark.parametrize("columns", [("word1", "word2"), ("a", "b")])
def test_a_table_of_two_words_says_what_its_pictures_show(tmp_path, write_folder, columns):
    cells = (["dog", "car", "dog", ""], ["car", "unicorn", "Fire Hydrants", "car"])
    folder = write_folder(
        tmp_path / "set",
        {f"{row}.png": encode(row) for row in range(4)},
        [f"caption {row}" for row in range(4)],
        uid=["u0", "u1", "u2", "u3"],
        **dict(zip(columns, cells, strict=True)),
    )
    shown, found = read(folder)
    assert shown == {
        "u0": ("dog", "car"),
        "u1": (None, None),
        "u2": ("dog", "fire hydrant"),
        "u3": (None, None),
    }
    assert found.left_out == {NOT_COUNTED: 1, NOT_TWO: 1}


def test_a_column_of_concepts_is_a_list_json_or_text(tmp_path, write_folder):
    write_shard(
        tmp_path / "shards",
        0,
        keys=make_keys(0, 4),
        captions=["c"] * 4,
        images=[encode(row, kind="PNG") for row in range(4)],
        columns=pa.table(
            {
                "uid": ["a", "b", "c", "d"],
                "concepts": pa.array(
                    [["dog", "car"], ["dog"], ["hot dog", "dog"], None], pa.list_(pa.string())
                ),
            }
        ),
    )
    shown, found = read(tmp_path / "shards")
    assert shown == {"a": ("dog", "car"), "b": (None, None), "c": ("hot dog", "dog"), "d": (None, None)}
    assert found.left_out == {NOT_TWO: 2}
    texts = ["dog|car", json.dumps(["car", "hot dog"]), "[dog"]
    folder = write_folder(
        tmp_path / "list",
        {f"{row}.png": encode(row) for row in range(3)},
        ["c"] * 3,
        concepts=texts,
        uid=["x", "y", "z"],
    )
    assert read(folder)[0] == {"x": ("dog", "car"), "y": ("car", "hot dog"), "z": (None, None)}


def test_a_set_that_says_nothing_of_pairs_is_refused_with_what_it_may_have(tmp_path):
    Image.new("RGB", (3, 3)).save(tmp_path / "0.png")
    with pytest.raises(Refusal, match="does not say which pair a picture shows: give it a column 'concepts'"):
        read(tmp_path)


def test_damaged_pictures_are_counted_and_a_uid_that_comes_twice_is_one_row(tmp_path):
    table = pa.table(
        {
            "uid": ["b", "a", "b"],
            "text": ["c", "c", "c"],
            "word1": ["dog", "dog", "car"],
            "word2": ["car", "hot", "hot"],
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    shown, _ = read(tmp_path / "rows.parquet")
    assert shown == {"a": ("dog", "hot"), "b": ("dog", "car")}
