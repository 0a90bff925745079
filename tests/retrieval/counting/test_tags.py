import itertools
import json
import pickle
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as configure
from hypothesis import strategies as st

from oddpair import stages
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Concept, Vocabulary, build_vocabulary
from oddpair.retrieval.counting import tag_table, tags_file
from oddpair.retrieval.counting import tags as tags_module
from oddpair.retrieval.counting.tag_table import as_texts, hash_texts
from oddpair.retrieval.counting.tags import load_tags, open_tags
from oddpair.retrieval.mentions.incidence import from_lists, intersect
from oddpair.retrieval.words import normalise

NAMES = ("cat", "tree", "pine tree", "dog")
# A jaguar is an animal and a car.
VOCABULARY = Vocabulary(
    concepts=(
        *build_vocabulary(NAMES).concepts,
        Concept(name="panther", forms=("panther", "jaguar")),
        Concept(name="car", forms=("car", "jaguar", "cars")),
    )
)
WORDS = ("cat", "Cats", "pine_tree", "Pine-Trees", "DOG", "jaguar", "zebra", "tree")


@pytest.fixture(autouse=True)
def nothing_held(monkeypatch):
    """Each test reads its own files."""
    monkeypatch.setattr(tags_module, "_TABLES", tags_module._Tables())


def write_tags(path, *rows, kind=None, **more):
    kind = kind or pa.float32()
    uids, concepts, scores = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {
        "uid": pa.array(uids, pa.string()),
        "concept": pa.array(concepts, pa.string()),
        "score": pa.array(scores, kind),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**columns, **more}), path)
    return path


def find_slowly(rows, uids, threshold):
    """The tags of each uid, by the definition."""
    forms = [set(concept.forms) for concept in VOCABULARY.concepts]
    return [
        [
            number
            for number, known in enumerate(forms)
            if any(
                of == uid and normalise(word) in known and np.float32(score) > np.float32(threshold)
                for of, word, score in rows
            )
        ]
        for uid in uids
    ]


def lists(found):
    return [part.tolist() for part in np.split(found.concepts, found.ends[1:-1])]


UIDS = st.sampled_from(
    ["x", "y", "", "a\x00", "a", "ü", "0" * 16, "0" * 17, "uid of some length 1", "uid of some length 2"]
)
ROWS = st.lists(
    st.tuples(UIDS, st.sampled_from(WORDS), st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0])), max_size=30
)


@configure(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS,
    asked=st.lists(st.none() | UIDS, max_size=12),
    threshold=st.sampled_from([-1.0, 0.25, 0.7, 1.0]),
    cuts=st.lists(st.integers(0, 30), max_size=2),
    bits=st.sampled_from([64, 1, 0]),
    at_once=st.sampled_from([1, 3, 1 << 20]),
    held=st.sampled_from([1, 1 << 16]),
)
def test_each_uid_has_the_concepts_of_the_slow_rule(
    tmp_path_factory, rows, asked, threshold, cuts, bits, at_once, held
):
    folder = tmp_path_factory.mktemp("tags")
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        write_tags(folder / f"{number}.parquet", *rows[start:stop])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tag_table, "hash_texts", lambda texts: hash_texts(texts) & np.uint64(2**bits - 1))
        patch.setattr(tag_table, "_TAGS_AT_ONCE", at_once)
        patch.setattr(tags_file, "_ROWS_AT_ONCE", at_once)
        patch.setattr(tags_file, "_WORDS_HELD", held)
        tags = open_tags(folder, VOCABULARY, threshold=threshold)
        found = tags.of("0", pa.chunked_array([asked[:3], asked[3:]], pa.string()))
    expected = from_lists(find_slowly(rows, asked, threshold), len(VOCABULARY))
    assert (len(found), found.n_concepts) == (len(asked), len(VOCABULARY))
    assert (found.ends.tolist(), found.concepts.tolist()) == (
        expected.ends.tolist(),
        expected.concepts.tolist(),
    )
    assert [found.ends.dtype, found.concepts.dtype] == [np.dtype(np.int64), np.dtype(np.int32)]
    tagged = {uid for uid, *_ in rows if any(find_slowly(rows, [uid], threshold))}
    assert tags.tagged("0") == len(tagged)


@configure(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ROWS.filter(bool),
    st.lists(st.lists(st.integers(0, len(VOCABULARY) - 1), unique=True).map(sorted), min_size=4, max_size=4),
)
def test_image_counts_never_rise_with_the_threshold_and_joint_counts_are_no_larger_than_either(
    tmp_path_factory, rows, mentioned
):
    path = write_tags(tmp_path_factory.mktemp("tags") / "tags.parquet", *rows)
    mentions = from_lists(mentioned, len(VOCABULARY))
    text = np.bincount(mentions.concepts, minlength=len(VOCABULARY))
    totals = []
    for threshold in (-1, 0.0, 0.3, 0.5, 0.7, 1.0):
        found = open_tags(path, VOCABULARY, threshold=threshold).of("s", pa.array(["x", "y", "a", "x"]))
        image = np.bincount(found.concepts, minlength=len(VOCABULARY))
        joint = np.bincount(intersect(mentions, found).concepts, minlength=len(VOCABULARY))
        assert np.all(joint <= np.minimum(text, image))
        totals.append(image)
    assert all(np.all(low >= high) for low, high in itertools.pairwise(totals))


@given(st.lists(st.text(max_size=20), max_size=20), st.integers(0, 3))
def test_a_hash_depends_on_the_bytes_alone_and_tells_texts_apart(texts, cut):
    whole = as_texts(pa.array(texts, pa.string()))
    hashes = hash_texts(whole)
    assert hash_texts(whole[cut:]).tolist() == hashes[cut:].tolist()
    assert [hash_texts(as_texts(pa.array([text])))[0] for text in texts] == hashes.tolist()
    assert len(set(hashes.tolist())) == len(set(texts))


def test_a_word_of_several_concepts_tags_each_of_them(tmp_path):
    path = write_tags(tmp_path / "tags.parquet", ("x", "Jaguars", 1), ("x", "jaguar", 1), ("y", "cars", 1))
    found = open_tags(path, VOCABULARY, threshold=0.5).of("s", pa.array(["y", "x"]))
    assert lists(found) == [[5], [4, 5]]


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_a_score_at_the_threshold_is_not_above_it_in_any_type(tmp_path, kind):
    scores = pa.array(np.array([0.7, 0.701, 0.3], kind.to_pandas_dtype()))
    columns = {"uid": ["x", "y", "z"], "concept": ["cat"] * 3, "score": scores}
    pq.write_table(pa.table(columns), tmp_path / "tags.parquet")
    found = open_tags(tmp_path / "tags.parquet", VOCABULARY, threshold=0.7).of("s", pa.array(list("xyz")))
    assert lists(found) == [[], [0], []]


def test_the_threshold_for_the_tags_of_others_is_that_of_the_paper(tmp_path):
    path = write_tags(tmp_path / "tags.parquet", ("x", "cat", 0.7), ("y", "cat", 0.71))
    tags = open_tags(path, VOCABULARY)
    assert (tags.threshold, tags.tagger, tags.notes) == (0.7, None, ())
    assert lists(tags.of("s", pa.array(["x", "y"]))) == [[], [0]]
    with pytest.raises(Refusal, match="threshold of tags is NaN"):
        open_tags(path, VOCABULARY, threshold=float("nan"))


def test_tags_are_placed_in_the_shape_of_mentions(tmp_path):
    rows = [
        ("y", "Dogs", 0.9),
        ("x", "pine_tree", 0.5),
        ("x", "cat", 0.75),
        ("x", "cat", 0.8),
        ("z", "cat", 1),
        ("y", "zebra", 1),
    ]
    path = write_tags(tmp_path / "tags.parquet", *rows)
    tags = load_tags(path, VOCABULARY, ["x", "w", "y"], 0.5)
    assert [np.flatnonzero(row).tolist() for row in tags.toarray()] == [[0], [], [3]]
    assert tags.dtype == np.bool_


@pytest.mark.parametrize(
    ("column", "values", "line"),
    [
        ("score", ["0.5"], "string in column 'score', needed numbers"),
        ("score", [[0.5]], "list<element: double> in column 'score', needed numbers"),
        ("score", [True], "bool in column 'score', needed numbers"),
        ("concept", [3], "int64 in column 'concept', needed text"),
        ("concept", [["cat"]], "list<element: string> in column 'concept', needed text"),
        ("uid", [7], "int64 in column 'uid', needed text"),
        ("uid", [None], "null in column 'uid', needed text"),
    ],
)
def test_tags_of_another_type_are_refused_by_column_and_type(tmp_path, column, values, line):
    rows = {"uid": ["x"], "concept": ["cat"], "score": [0.9]}
    pq.write_table(pa.table(rows | {column: values}), tmp_path / "tags.parquet")
    with pytest.raises(Refusal, match=rf"tags\.parquet has {re.escape(line)}: write it so"):
        load_tags(tmp_path / "tags.parquet", VOCABULARY, ["x"], 0.5)


@pytest.mark.parametrize("score", [pa.float16(), pa.float64(), pa.int8(), pa.uint64()])
@pytest.mark.parametrize("text", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_tags_in_other_types_of_text_and_numbers_are_read(tmp_path, text, score):
    rows = {
        "uid": pa.array(["x", "y"]).cast(text),
        "concept": pa.array(["cat", "cat"]).cast(text),
        "score": pa.array(np.array([1, 0], score.to_pandas_dtype())),
    }
    pq.write_table(pa.table(rows), tmp_path / "tags.parquet")
    tags = load_tags(tmp_path / "tags.parquet", VOCABULARY, ["y", "x"], 0.5).toarray()
    assert [np.flatnonzero(row).tolist() for row in tags] == [[], [0]]


def test_a_tag_without_a_uid_or_a_concept_and_a_name_that_is_no_text_are_passed_over(tmp_path):
    names = pa.Array.from_buffers(
        pa.string(),
        4,
        [None, pa.py_buffer(np.array([0, 3, 4, 7, 10], np.int32)), pa.py_buffer(b"cat\xffcatcat")],
    )
    names = pa.concat_arrays([names, pa.array([None], pa.string())])
    uids = ["x", "y", None, "z", "z"]
    pq.write_table(pa.table({"uid": uids, "concept": names, "score": np.ones(5)}), tmp_path / "tags.parquet")
    found = open_tags(tmp_path / "tags.parquet", VOCABULARY).of("s", pa.array(["x", "y", "z", None]))
    assert lists(found) == [[0], [], [0], []]


@pytest.mark.parametrize("score", [float("nan"), None])
def test_a_missing_score_is_refused_by_file_and_row(tmp_path, monkeypatch, score):
    monkeypatch.setattr(tags_file, "_ROWS_AT_ONCE", 2)
    path = write_tags(tmp_path / "tags.parquet", *[("x", "cat", 0.5)] * 5, ("y", "zebra", score))
    with pytest.raises(Refusal, match=r"tags\.parquet row 5 has no score: every tag needs a number"):
        load_tags(path, VOCABULARY, ["x"], 0.5)


def test_tags_that_cannot_be_used_are_refused(tmp_path):
    path = write_tags(tmp_path / "tags.parquet", ("x", "zebra", 0.5))
    with pytest.raises(Refusal, match=r"tags\.parquet tags none of the 6 concepts: use the vocabulary of"):
        load_tags(path, VOCABULARY, ["x"], 0.5)
    with pytest.raises(ValueError, match="one uid twice"):
        load_tags(path, VOCABULARY, ["x", "x"], 0.5)
    path = write_tags(tmp_path / "tags.parquet", ("x", "cat", 0.5), ("y", "cat", 0.9))
    with pytest.raises(
        Refusal, match=r"tags\.parquet tags none of the 2 uids of the corpus: use the tags of"
    ):
        load_tags(path, VOCABULARY, ["a", "b"], 0.5)
    assert load_tags(path, VOCABULARY, ["a", "x"], 0.9).nnz == 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "is truncated or damaged"),
        (lambda path: path.write_bytes(b"PAR1 no table"), "is truncated or damaged"),
        (lambda path: path.unlink(), "does not exist: give a parquet file of tags"),
        (
            lambda path: pq.write_table(pq.read_table(path, columns=["uid", "score"]), path),
            "no column 'concept'",
        ),
    ],
    ids=["35-cut", "35-no-parquet", "missing", "36-column"],
)
def test_files_that_are_damaged_or_lack_a_column_are_refused(tmp_path, change, line):
    path = write_tags(tmp_path / "tags.parquet", *[(f"u{row}", "cat", row / 9) for row in range(9)])
    change(path)
    with pytest.raises(Refusal, match=line):
        load_tags(path, VOCABULARY, ["u1"], 0.5)


def test_a_flipped_bit_in_a_page_is_refused(tmp_path):
    path = tmp_path / "tags.parquet"
    uids = [f"{row * 7919:08d}" for row in range(900)]
    table = pa.table({"uid": uids, "concept": ["cat"] * 900, "score": np.ones(900)})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[data.index(uids[500].encode())] ^= 1
    path.write_bytes(data)
    with pytest.raises(Refusal, match=r"tags\.parquet is truncated or damaged"):
        load_tags(path, VOCABULARY, [uids[0]], 0.5)


@pytest.fixture
def named_like_shards(tmp_path):
    """A folder with files of the names of two shards, in which tags of a shard are in both files."""
    write_tags(tmp_path / "tags" / "0.parquet", ("x", "cat", 1), ("y", "dog", 1), more=["?", "?"])
    write_tags(tmp_path / "tags" / "deep" / "1.parquet", ("y", "cat", 1), ("z", "dog", 1))
    return tmp_path / "tags"


@pytest.mark.parametrize("corpus", [None, "abc"])
def test_the_names_of_the_files_of_another_tagger_do_not_matter(named_like_shards, corpus):
    tags = open_tags(named_like_shards, VOCABULARY, corpus=corpus)
    for shard in ("0", "deep/1", "2"):
        assert lists(tags.of(shard, pa.array(["z", "y", "x"]))) == [[3], [0, 3], [0]]
        assert (tags.tagged(shard), tags.has_file(shard)) == (3, False)


def test_tags_are_read_once_in_a_process_and_by_copies_too(named_like_shards, monkeypatch):
    read = []
    stream = tags_file.stream_tags

    def noted(path, *rest):
        read.append(path.name)
        return stream(path, *rest)

    monkeypatch.setattr(tags_module, "stream_tags", noted)
    tags = open_tags(named_like_shards, VOCABULARY)
    copy = pickle.loads(pickle.dumps(tags))
    for one in (tags, copy, open_tags(named_like_shards, VOCABULARY)):
        assert lists(one.of("0", pa.array(["y"]))) == [[0, 3]]
        assert lists(one.of("elsewhere", pa.array(["y"]))) == [[0, 3]]
    assert read == ["0.parquet", "1.parquet"]
    assert copy.identity() == tags.identity()
    open_tags(named_like_shards, VOCABULARY, threshold=0.1).of("0", pa.array(["y"]))
    assert len(read) == 4


def test_identity_names_the_files_their_content_and_the_threshold(named_like_shards):
    tags = open_tags(named_like_shards, VOCABULARY, threshold=0.5)
    before = tags.identity()
    assert set(before) == {"threshold", "0.parquet", "deep/1.parquet"}
    assert before["threshold"] == "0.5"
    write_tags(named_like_shards / "0.parquet", ("x", "cat", 1), ("y", "dog", 0.99))
    after = tags.identity()
    assert {name for name in before if before[name] != after[name]} == {"0.parquet"}
    alone = open_tags(named_like_shards / "0.parquet", VOCABULARY)
    assert alone.identity() == {"threshold": "0.7", "tags": after["0.parquet"]}


def test_folders_without_finished_tags_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refusal, match=r"empty holds no \.parquet file"):
        open_tags(tmp_path / "empty", VOCABULARY)
    stages.begin(tmp_path / "begun", {})
    with pytest.raises(Refusal, match="begun holds no finished tags: run oddpair tag again"):
        open_tags(tmp_path / "begun", VOCABULARY)
    (tmp_path / "begun" / "manifest.json").write_text("{}")
    with pytest.raises(Refusal, match=r"manifest\.json is no manifest of oddpair tag"):
        open_tags(tmp_path / "begun", VOCABULARY)
    (tmp_path / "begun" / "manifest.json").write_text('{"kind": "zero-shot"}')
    with pytest.raises(Refusal, match="begun holds no finished tags"):
        open_tags(tmp_path / "begun", VOCABULARY)


def write_marked(path, tagger, *rows):
    write_tags(path, *rows)
    pq.write_table(tags_file.mark_tagger(pq.read_table(path), tagger), path)


OPINION = {
    "kind": "zero-shot",
    "encoder": {"name": "one", "weights": "w"},
    "templates": ["{}"],
    "per_image": 2,
    "threshold": None,
    "same_encoder": True,
    "evaluated": [],
}


def test_a_file_says_who_tagged_and_then_every_tag_counts(tmp_path):
    write_marked(tmp_path / "tags" / "0.parquet", OPINION, ("x", "cat", 0.2))
    write_marked(tmp_path / "tags" / "1.parquet", OPINION, ("y", "dog", -0.1))
    folder = open_tags(tmp_path / "tags", VOCABULARY)
    alone = open_tags(tmp_path / "tags" / "0.parquet", VOCABULARY)
    for tags in (folder, alone, pickle.loads(pickle.dumps(folder))):
        assert tags.tagger == OPINION
        assert tags.notes == ("these tags are the opinion of a model, not the truth about the pictures",)
    assert lists(folder.of("0", pa.array(["x", "y"]))) == [[0], [3]]
    assert lists(alone.of("0", pa.array(["x", "y"]))) == [[0], []]
    assert set(folder.identity()) == {"threshold", "0.parquet", "1.parquet"}
    assert lists(open_tags(tmp_path / "tags", VOCABULARY, threshold=0).of("0", pa.array(["x", "y"]))) == [
        [0],
        [],
    ]


@pytest.mark.parametrize("other", [None, {**OPINION, "per_image": 3}], ids=["of-others", "other-run"])
def test_files_of_more_than_one_tagger_are_refused(tmp_path, other):
    write_marked(tmp_path / "0.parquet", OPINION, ("x", "cat", 0.2))
    if other is None:
        write_tags(tmp_path / "1.parquet", ("y", "dog", 1))
    else:
        write_marked(tmp_path / "1.parquet", other, ("y", "dog", 1))
    with pytest.raises(
        Refusal, match=r"tags of more than one tagger \(.*0\.parquet and .*1\.parquet differ\)"
    ):
        open_tags(tmp_path, VOCABULARY)


@pytest.mark.parametrize("mark", ["{", "[]", '{"kind": "zero-shot"}', json.dumps({**OPINION, "kind": "x"})])
def test_a_mark_that_does_not_tell_who_tagged_is_refused(tmp_path, mark):
    path = tmp_path / "tags.parquet"
    write_tags(path, ("x", "cat", 1))
    pq.write_table(pq.read_table(path).replace_schema_metadata({"oddpair.tagger": mark}), path)
    with pytest.raises(Refusal, match="does not tell who tagged: tag again"):
        open_tags(path, VOCABULARY)


def test_a_damaged_file_in_a_folder_is_refused_when_it_is_opened(tmp_path):
    write_tags(tmp_path / "0.parquet", ("x", "cat", 1))
    (tmp_path / "1.parquet").write_bytes(b"PAR1")
    with pytest.raises(Refusal, match=r"1\.parquet is truncated or damaged"):
        open_tags(tmp_path, VOCABULARY)
