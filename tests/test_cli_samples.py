"""``oddpair samples``: numbers, samples, uids, splits and the page; what is refused, and what is escaped."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from oddpair import cli, files, stages
from oddpair.commands.samples_page import mark
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import Corpus, fingerprint, open_corpus
from oddpair.retrieval.counting.count import count as count_mentions
from oddpair.retrieval.counting.counts_file import read_meta, write_counts
from oddpair.retrieval.counting.postings import PostingsBuilder, write_postings
from oddpair.retrieval.counting.postings_index import write_index
from oddpair.retrieval.mentions.incidence import from_lists
from oddpair.retrieval.mentions.slow import find_slowly
from oddpair.retrieval.vocabulary_file import save_vocabulary
from oddpair.retrieval.words import find_words
from oddpair.splits.manifest import read_manifest

pytestmark = pytest.mark.usefixtures("no_network")

VOCABULARY = build_vocabulary(["dog", "tree", "pine tree", "ax", "axis", "zebra"])
CAPTIONS = [
    "a dog and a tree",
    "Dogs under pine-trees",
    None,
    "a cat",
    "tree, tree",
    "<b>DOG</b> &amp; =cmd \x1b[2J tree\u202e",
    "a tree for a dog",
]
TAGS = [[0], [0, 1], [1], [], [0, 1], [0, 1]]
SIZES = [4, 3]


def write_corpus(folder):
    for shard, (first, end) in enumerate([(0, 4), (4, 7)]):
        uids = [f"{row:032x}" for row in range(first, end)]
        table = pa.table({"uid": uids[::-1] if shard else uids, "text": CAPTIONS[first:end]})
        files.write_table(folder / f"{shard:032x}.parquet", table)
    return folder


def write_folder_of_counts(folder, corpus, tags=None):
    """What ``oddpair count --postings`` leaves, as far as this verb reads it."""
    kept = [
        [caption for batch in corpus.scan(shard) for caption in batch.table["caption"].to_pylist()]
        for shard in corpus.shards
    ]
    stages.begin(folder, {"corpus": fingerprint(corpus)})
    text, image = PostingsBuilder(len(VOCABULARY)), PostingsBuilder(len(VOCABULARY))
    for captions in kept:
        text.add(find_slowly(VOCABULARY, captions))
    if tags is not None:
        image.add(from_lists(tags, len(VOCABULARY)))
    write_postings(folder, 0, len(kept), text, None if tags is None else image)
    write_index(folder, fingerprint(corpus), corpus.shards, list(map(len, kept)))
    save_vocabulary(folder / "vocabulary.txt", VOCABULARY)
    mentions = find_slowly(VOCABULARY, [caption for captions in kept for caption in captions]).to_csr()
    write_counts(folder, count_mentions(mentions, vocabulary=VOCABULARY))
    stages.finish(folder)
    return folder


def write_meta(folder, **made):
    files.write_json(folder / "meta.json", read_meta(folder) | made)
    stages.finish(folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def counts(corpus, tmp_path_factory):
    return write_folder_of_counts(tmp_path_factory.mktemp("counts"), open_corpus(corpus), TAGS)


def run(*arguments):
    """Run the verb: what it printed on stdout; a refusal is raised."""
    result = CliRunner().invoke(cli.app, ["samples", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def as_json(*arguments):
    printed = run(*arguments, "--json")
    assert printed.count("\n") == 1
    return json.loads(printed)


def test_the_numbers_need_no_corpus(counts):
    assert as_json(counts, "dog", "tree") == {
        "concepts": ["dog", "tree"],
        "in": "text",
        "count": 4,
        "rows": 6,
        "share": 4 / 6,
        "each": {"dog": 4, "tree": 5},
        "nested": False,
        "expected": pytest.approx(6 * (4 / 6) * (5 / 6)),
        "labels": [],
    }
    lines = run(counts, "dog", "tree").splitlines()
    assert lines[0] == "dog + tree: in the caption of 4 of 6 rows, 66.6667%"
    assert lines[-1] == "    expected if they were independent: 3.333, 1.2 times as many were found"


@pytest.mark.parametrize(("where", "count"), [("text", 4), ("image", 3), ("joint", 3)])
def test_concepts_are_found_in_captions_in_tags_or_in_both(counts, where, count):
    assert as_json(counts, "dog", "tree", "--in", where)["count"] == count


@pytest.mark.parametrize("spelling", ["dog", "DOGS", " Dog's "])
def test_a_concept_may_be_written_in_any_form_and_more_than_once(counts, spelling):
    found = as_json(counts, "tree", spelling, "dog")
    assert (found["concepts"], found["count"]) == (["tree", "dog"], 4)


def test_no_number_is_expected_of_one_concept_or_of_nested_ones(counts):
    assert as_json(counts, "dog")["expected"] is None
    nested = as_json(counts, "pine tree", "tree")
    assert (nested["count"], nested["nested"], nested["expected"]) == (1, True, None)
    assert "mentioned together by construction" in run(counts, "pine tree", "tree")


def test_a_papers_rules_and_the_tagger_are_named_wherever_they_matter(corpus, tmp_path):
    counts = write_folder_of_counts(tmp_path / "counts", open_corpus(corpus), TAGS)
    paper = {"rules": "unigrams", "paper": "arXiv:2404.04125", "check": "unverified against spaCy"}
    write_meta(counts, counting=paper, tagger={"encoder": {"name": "<ViT>"}, "same_encoder": True})
    rules = "captions by the rules of unigrams, arXiv:2404.04125, unverified against spaCy"
    tagger = "tags by <ViT>, a model under evaluation, whose mistakes are in the counts too"
    for where, labels in {"text": [rules], "image": [tagger], "joint": [rules, tagger]}.items():
        assert as_json(counts, "dog", "--in", where)["labels"] == labels
    assert run(counts, "dog", "--in", "joint").splitlines()[1:] == [f"    {rules}", f"    {tagger}"]
    page, split = tmp_path / "page.html", tmp_path / "split"
    run(counts, "dog", "--in", "joint", "--corpus", corpus, "--out", page, "--split", split)
    assert rules in page.read_text()
    assert "&lt;ViT&gt;" in page.read_text()
    assert read_manifest(split).provenance["found"] == [rules, tagger]
    write_meta(counts, counting={"rules": "mentions", "overlap": "all"})
    assert as_json(counts, "dog")["labels"] == []


def test_a_concept_that_never_occurs_is_in_no_row(corpus, counts, tmp_path):
    page, uids = tmp_path / "page.html", tmp_path / "uids.txt"
    found = as_json(counts, "dog", "zebra", "--corpus", corpus, "--out", page, "--uids", uids)
    assert (found["count"], found["expected"], found["samples"]) == (0, 0, [])
    assert uids.read_text() == ""
    assert "zebra" in page.read_text()
    with pytest.raises(Refusal, match="keeps no row"):
        run(counts, "zebra", "--corpus", corpus, "--split", tmp_path / "split")


def test_samples_are_the_first_of_the_corpus_and_only_their_shards_are_read(corpus, counts, monkeypatch):
    read: list[str] = []
    whole = Corpus.scan

    def watch(self, shard, columns=()):
        read.append(shard)
        return whole(self, shard, columns)

    monkeypatch.setattr(Corpus, "scan", watch)
    found = as_json(counts, "tree", "dog", "--corpus", corpus, "--limit", "2")
    assert [sample["caption"] for sample in found["samples"]] == CAPTIONS[:2]
    assert [int(sample["uid"], 16) for sample in found["samples"]] == [0, 1]
    assert read == [f"{0:032x}"]
    assert as_json(counts, "tree", "dog", "--corpus", corpus, "--limit", "0")["samples"] == []
    found = as_json(counts, "tree", "dog", "--corpus", corpus)
    assert [sample["caption"] for sample in found["samples"]] == [CAPTIONS[row] for row in (0, 1, 5, 6)]
    # The second shard names its rows backwards.
    assert [int(sample["uid"], 16) for sample in found["samples"]] == [0, 1, 5, 4]


def test_all_uids_and_a_split_are_written_whatever_the_limit(corpus, counts, tmp_path):
    uids, split = tmp_path / "uids.txt", tmp_path / "dogs-and-trees"
    options = ["--corpus", corpus, "--limit", "1", "--uids", uids, "--split", split]
    printed = run(counts, "tree", "dog", *options)
    assert printed.count("tree for a dog") == 0
    expected = tuple(f"{row:032x}" for row in (0, 1, 4, 5))
    assert uids.read_text().split() == list(expected)
    manifest = read_manifest(split)
    assert (manifest.name, manifest.recipe, tuple(manifest.uids.to_pylist())) == (
        "dogs-and-trees",
        "samples",
        expected,
    )
    assert manifest.parameters == {"concepts": ["tree", "dog"], "in": "text"}
    assert manifest.provenance["corpus"] == fingerprint(open_corpus(corpus))
    before = {path: path.read_bytes() for path in split.iterdir()}
    run(counts, "tree", "dog", *options)
    assert before == {path: path.read_bytes() for path in split.iterdir()}


def test_only_rows_of_the_subset_are_found_each_once(corpus, tmp_path):
    subset = tmp_path / "subset.npy"
    kept = [0, 4, 4, 4]
    pairs = [(row >> 64, row & (2**64 - 1)) for row in kept]
    np.save(subset, np.array(pairs, np.dtype("u8,u8")))
    counts = write_folder_of_counts(tmp_path / "counts", open_corpus(corpus, subset))
    found = as_json(counts, "dog", "tree", "--corpus", corpus, "--subset", subset)
    assert (found["count"], found["rows"]) == (2, 2)
    assert [int(sample["uid"], 16) for sample in found["samples"]] == [0, 4]
    with pytest.raises(Refusal, match=r"is not the corpus that .*with the same --subset"):
        run(counts, "dog", "--corpus", corpus)


def test_captions_of_strangers_move_no_cursor_and_are_no_html(corpus, counts, tmp_path):
    page = tmp_path / "page.html"
    printed = run(counts, "dog", "tree", "--corpus", corpus, "--out", page)
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    text = page.read_text()
    assert "\x1b" not in text
    assert "\u202e" not in text
    marked = "&lt;b&gt;<mark>DOG</mark>&lt;/b&gt; &amp;amp; =cmd \\x1b[2J <mark>tree\\u202e</mark>"
    assert re.search(rf"<td>{re.escape(marked)}</td>", text)
    assert "<mark>Dogs</mark> under pine-<mark>trees</mark>" in text


def test_the_page_shows_the_pictures_that_the_corpus_has(write_folder, noise, as_bytes, tmp_path):
    pictures = {f"{number}.png": as_bytes(noise(number)) for number in range(4)}
    where = write_folder(tmp_path / "farm", pictures, ["a dog", "a tree", "dogs", "a zebra"])
    (where / "2.png").write_bytes(b"no picture")
    counts = write_folder_of_counts(tmp_path / "counts", open_corpus(where))
    page = tmp_path / "page.html"
    found = as_json(counts, "dog", "--corpus", where, "--out", page)
    assert [sample["caption"] for sample in found["samples"]] == ["a dog", "dogs"]
    assert page.read_text().count("<img ") == 1
    run(counts, "dog", "--corpus", where, "--limit", "1", "--out", page)
    assert "The first 1 of 2." in page.read_text()


def edit_vocabulary(folder):
    save_vocabulary(folder / "vocabulary.txt", build_vocabulary([*VOCABULARY.names[:-1], "yak"]))
    stages.finish(folder)


def swap_names(folder):
    table = pq.read_table(folder / "counts.parquet")
    names = pa.array([*reversed(VOCABULARY.names)])
    files.write_table(folder / "counts.parquet", table.set_column(1, "name", names))
    stages.finish(folder)


def flip_footer(folder):
    path = folder / "postings/text_0000.parquet"
    data = bytearray(path.read_bytes())
    data[-60] ^= 1
    path.write_bytes(data)


def lose(name):
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (edit_vocabulary, "vocabulary.txt is not the vocabulary that was counted"),
        (lose("vocabulary.txt"), "vocabulary.txt does not exist, but was counted"),
        (lose("meta.json"), "meta.json does not exist, but was counted"),
        (lose("done.json"), "is not finished: run oddpair count again"),
        (lose("inputs.json"), "is not finished: run oddpair count again"),
        (swap_names, "names 'zebra' as concept 0, its vocabulary 'dog'"),
        (flip_footer, r"text_0000\.parquet has changed since it was counted"),
        (
            lambda folder: write_meta(folder, vocabulary_sha256="0" * 64),
            "not the vocabulary that was counted",
        ),
        (lose("postings/index.json"), "has no posting lists: .*--postings"),
        (lose("postings/text_0000.parquet"), "text_0000.parquet does not exist, but was counted"),
    ],
    ids=[
        "another-vocabulary",
        "no-vocabulary",
        "no-meta",
        "no-done",
        "no-inputs",
        "names",
        "footer",
        "other-counts",
        "no-postings",
        "no-file",
    ],
)
def test_a_folder_that_is_not_whole_is_refused(corpus, tmp_path, damage, found):
    counts = write_folder_of_counts(tmp_path / "counts", open_corpus(corpus))
    damage(counts)
    with pytest.raises(Refusal, match=found) as told:
        run(counts, "dog")
    assert "\n" not in str(told.value)


def test_no_flipped_bit_of_a_footer_gives_another_answer(corpus, tmp_path):
    counts = write_folder_of_counts(tmp_path / "counts", open_corpus(corpus))
    path = counts / "postings/text_0000.parquet"
    whole = path.read_bytes()
    for place in range(len(whole) - 400, len(whole), 29):
        data = bytearray(whole)
        data[place] ^= 4
        path.write_bytes(data)
        with pytest.raises(Refusal, match="has changed since it was counted"):
            run(counts, "dog", "tree")
    path.write_bytes(whole)
    assert as_json(counts, "dog", "tree")["count"] == 4


def test_concepts_are_nested_by_the_rules_of_the_count(corpus, tmp_path):
    counts = write_folder_of_counts(tmp_path / "counts", open_corpus(corpus))
    assert as_json(counts, "dog", "ax")["nested"] is False
    nested = pa.table({"a": pa.array([VOCABULARY.names.index("dog")]), "b": [VOCABULARY.names.index("ax")]})
    files.write_table(counts / "nested.parquet", nested)
    stages.finish(counts)
    found = as_json(counts, "ax", "tree", "dog")
    assert (found["nested"], found["expected"]) == (True, None)
    found = as_json(counts, "pine tree", "tree")
    assert (found["nested"], found["expected"]) == (False, pytest.approx(6 * (1 / 6) * (5 / 6)))


def test_nothing_is_written_before_everything_is_checked(corpus, counts, tmp_path):
    uids, page = tmp_path / "uids.txt", tmp_path / "page.html"
    for concepts, split in ((["dog"], "-x"), (["zebra"], "split")):
        with pytest.raises(Refusal):
            run(
                counts,
                *concepts,
                "--corpus",
                corpus,
                "--uids",
                uids,
                "--out",
                page,
                "--split",
                tmp_path / split,
            )
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--uids", "--out", "--split"])
def test_outputs_are_never_written_over_inputs(corpus, counts, tmp_path, option):
    before = {path: path.read_bytes() for path in (*corpus.iterdir(), *counts.rglob("*")) if path.is_file()}
    link = tmp_path / "link"
    link.symlink_to(counts)
    for path in (counts / "meta.json", link / "new", corpus / f"{0:032x}.parquet", corpus / "new"):
        with pytest.raises(Refusal, match=r"lie one in the other|is a file"):
            run(counts, "dog", "--corpus", corpus, option, path)
    assert before == {
        path: path.read_bytes() for path in (*corpus.iterdir(), *counts.rglob("*")) if path.is_file()
    }


def test_outputs_are_never_written_over_each_other_or_the_subset(corpus, tmp_path):
    subset = tmp_path / "subset.npy"
    np.save(subset, np.array([(0, 0)], np.dtype("u8,u8")))
    counts = write_folder_of_counts(tmp_path / "counts", open_corpus(corpus, subset))
    ask = (counts, "dog", "--corpus", corpus, "--subset", subset)
    for outputs in (
        ("--uids", subset),
        ("--uids", tmp_path / "x", "--out", tmp_path / "x"),
        ("--split", tmp_path / "x", "--out", tmp_path / "x" / "page.html"),
    ):
        with pytest.raises(Refusal, match="are one or lie one in the other"):
            run(*ask, *outputs)
    assert not (tmp_path / "x").exists()


def test_what_cannot_be_answered_is_refused(corpus, counts, tmp_path):
    with pytest.raises(Refusal, match=r"concept 'dgo' is not among the 6 counted; did you mean 'dog'\?"):
        run(counts, "dgo")
    with pytest.raises(Refusal, match=r"concept '!!' is not among the 6 counted: give one of the vocabulary"):
        run(counts, "!!")
    with pytest.raises(Refusal, match="'Axes' is ambiguous, a form of 'ax', 'axis'"):
        run(counts, "Axes")
    for option in ("--out", "--uids", "--split", "--subset"):
        with pytest.raises(Refusal, match=f"{option} needs --corpus"):
            run(counts, "dog", option, tmp_path / "x")
    for option in ("--out", "--uids"):
        with pytest.raises(Refusal, match="is a folder: give the file to write"):
            run(counts, "dog", "--corpus", corpus, option, tmp_path)
    with pytest.raises(Refusal, match=r"--split .*split name '-x'"):
        run(counts, "dog", "--corpus", corpus, "--split", tmp_path / "-x")
    with pytest.raises(Refusal, match="lie one in the other"):
        run(counts, "dog", "--corpus", corpus, "--split", corpus / "split")


def test_another_corpus_than_the_one_that_was_counted_is_refused(counts, tmp_path):
    other = write_corpus(tmp_path)
    table = pq.read_table(other / f"{0:032x}.parquet")
    files.write_table(other / f"{0:032x}.parquet", table.slice(1))
    with pytest.raises(Refusal, match=r"is not the corpus that .* counts .*or count this one"):
        run(counts, "dog", "--corpus", other)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a Pine  TREE.", "a <mark>Pine  TREE</mark>."),
        ("pine trees, tree", "<mark>pine trees</mark>, tree"),
        ("'pine-tree's'", "'<mark>pine-tree's</mark>'"),
        ("the pine, tree", "the <mark>pine, tree</mark>"),
        ("ﬁr and PINE\u00ad tree", "ﬁr and <mark>PINE\\xad tree</mark>"),
        ("pineapple tree", "pineapple tree"),
        ("", ""),
    ],
)
def test_the_words_of_forms_are_marked_as_they_are_written(caption, expected):
    marked = mark(caption, [("pine", "tree"), ("pine", "trees")])
    assert str(marked).replace("&#39;", "'") == expected


def test_marks_fall_where_the_rule_for_words_finds_them():
    captions = [caption for caption in CAPTIONS if caption]
    for caption in captions:
        words = find_words(caption)
        marked = re.findall(r"<mark>(.*?)</mark>", str(mark(caption, [(word,) for word in words])))
        assert sum(len(find_words(piece.replace("\\u202e", ""))) for piece in marked) == len(words)
