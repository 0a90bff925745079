"""``oddpair count`` by its command line: what it prints, what it refuses, what a script reads of it."""

import html
import json
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from oddpair import cli, files
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary, nested_pairs

CAPTIONS = [
    "A cat and two dogs",
    "DOGS, a Pine_Tree",
    "hot-dogs by the tree",
    "cat’s tree",
    "catalogue of carpets",
    "   ",
    None,
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("captions") / "captions.parquet"
    uids = [f"{number:032x}" for number in range(len(CAPTIONS))]
    pq.write_table(pa.table({"uid": uids, "text": CAPTIONS}), path)
    return path


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("# what to look for\nCat\nDog\tpuppy\nPine_Tree\ntree\nhot dog\nemu\n\ncats\n")
    return path


def run(*arguments):
    result = CliRunner().invoke(cli.app, ["count", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refuse(*arguments):
    with pytest.raises(Refusal) as refusal:
        run(*arguments)
    return str(refusal.value)


def test_a_script_reads_one_line_of_json_by_the_names_as_they_were_written(table, names, tmp_path):
    result = run(table, "--vocabulary", names, "--out", tmp_path / "out", "--json")
    assert result.stdout.count("\n") == 1
    found = files.parse_json(result.stdout.encode())
    assert found["captions"] == 5
    assert found["counts"] == {
        "Cat": 2, "cats": 2, "Dog": 3, "Pine_Tree": 1, "tree": 3, "hot dog": 1, "emu": 0
    }  # fmt: skip
    assert found["quarantined"] == {"no caption": 2}
    assert found["captions"] + sum(found["quarantined"].values()) == found["seen"] == len(CAPTIONS)
    assert found["out"] == str(tmp_path / "out")
    again = run(table, "--vocabulary", names, "--out", tmp_path / "out", "--json")
    assert again.stdout == result.stdout


def test_tables_and_pmi_are_as_worked_out_by_hand(table, names, tmp_path):
    run(table, "--vocabulary", names, "--out", tmp_path / "out")
    singles = pq.read_table(tmp_path / "out" / "counts.parquet").to_pydict()
    assert singles["name"] == ["cat", "dog", "pine tree", "tree", "hot dog", "emu"]
    assert singles["count_text"] == [2, 3, 1, 3, 1, 0]
    assert singles["count_image"] == [None] * 6
    pairs = {
        (line["a"], line["b"]): (line["count_text"], line["pmi"])
        for line in pq.read_table(tmp_path / "out" / "pairs.parquet").to_pylist()
    }
    expected = {
        (0, 1): (1, math.log(1 * 5 / (2 * 3))),
        (0, 3): (1, math.log(1 * 5 / (2 * 3))),
        (1, 2): (1, math.log(1 * 5 / (3 * 1))),
        (1, 3): (2, math.log(2 * 5 / (3 * 3))),
        (3, 4): (1, math.log(1 * 5 / (3 * 1))),
    }
    assert pairs.keys() == expected.keys()
    for pair, (together, pmi) in expected.items():
        assert pairs[pair][0] == together
        assert pairs[pair][1] == pytest.approx(pmi, abs=1e-12)
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert (meta["n"], meta["counting"]) == (5, {"overlap": "all", "rules": "mentions"})


def test_a_person_reads_a_few_lines_and_a_page(table, names, tmp_path):
    result = run(table, "--vocabulary", names, "--out", tmp_path / "out")
    lines = result.stdout.splitlines()
    assert lines[0] == f"5 captions name 5 of 6 concepts, 5 pairs: {tmp_path}/out"
    assert lines[1] == "    most often dog 3, tree 3, cat 2, pine tree 1, hot dog 1"
    assert lines[-1] == f"page: {tmp_path}/out/card.html"
    assert f"{table.parent}: 2 of 7 rows have no caption and are left out" in result.stderr
    page = (tmp_path / "out" / "card.html").read_text()
    assert "1 concepts that no caption mentions" in page
    assert "emu" in page


def test_what_was_lost_is_made_again_with_every_byte(table, names, tmp_path):
    out = tmp_path / "out"
    run(table, "--vocabulary", names, "--out", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for name in ("pairs.parquet", "card.html"):
        (out / name).unlink()
        run(table, "--vocabulary", names, "--out", out)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_several_sources_are_one_vocabulary(table, names, tmp_path):
    options = ("--vocabulary", names, "--vocabulary", "coco", "--out", tmp_path / "out", "--json")
    found = json.loads(run(table, *options).stdout)
    assert found["counts"]["hot dog"] == 1
    assert found["counts"]["giraffe"] == 0
    assert "Cat" in found["counts"]


def test_the_longest_form_alone_counts_if_asked_for(table, names, tmp_path):
    options = ("--vocabulary", names, "--overlap", "longest", "--out", tmp_path / "out", "--json")
    counts = json.loads(run(table, *options).stdout)["counts"]
    assert (counts["tree"], counts["Pine_Tree"], counts["Dog"], counts["hot dog"]) == (2, 1, 2, 1)


def test_pairs_that_are_asked_for_are_listed_at_zero(table, names, tmp_path):
    (tmp_path / "pairs.csv").write_text("a,b\nEmus,cat\n")
    options = ("--vocabulary", names, "--pairs", tmp_path / "pairs.csv", "--pair-concepts", 2)
    result = run(table, *options, "--out", tmp_path / "out")
    assert (
        "    all pairs are counted among the 2 most frequent concepts, others only as asked for"
        in result.stdout
    )
    listed = pq.read_table(tmp_path / "out" / "pairs.parquet", columns=["a", "b", "count_text"]).to_pylist()
    assert [tuple(line.values()) for line in listed] == [(0, 5, 0), (1, 3, 2)]


def test_tags_above_another_threshold_count(table, names, tmp_path):
    tags = {
        "uid": [f"{n:032x}" for n in (0, 1, 3)],
        "concept": ["Cat", "cats", "emu"],
        "score": [0.5, 0.8, 0.6],
    }
    pq.write_table(pa.table(tags), tmp_path / "tags.parquet")
    options = ("--vocabulary", names, "--tags", tmp_path / "tags.parquet")
    run(table, *options, "--out", tmp_path / "usual")
    run(table, *options, "--tag-threshold", 0.5, "--out", tmp_path / "other")
    images = [
        pq.read_table(tmp_path / name / "counts.parquet")["count_image"].to_pylist()
        for name in ("usual", "other")
    ]
    assert images == [[1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1]]


def test_counts_of_a_taggers_opinion_say_so_and_that_it_is_to_be_evaluated(drawn, names, tmp_path):
    same = ("--evaluated", "reference", "--allow-same-encoder")
    tag = ["tag", drawn, "--vocabulary", names, "--out", tmp_path / "tags", *same, "--workers", 1]
    assert CliRunner().invoke(cli.app, [str(word) for word in tag]).exit_code == 0
    options = ("--vocabulary", names, "--tags", tmp_path / "tags", "--out", tmp_path / "out")
    result = run(drawn, *options)
    said = "images are tagged by reference, which is a model's opinion; it is to be evaluated too"
    assert f"    {said}" in result.stdout.splitlines()
    assert said in html.unescape((tmp_path / "out" / "card.html").read_text())
    assert "these tags are the opinion of a model, not the truth about the pictures" in result.stderr
    tagger = json.loads((tmp_path / "out" / "meta.json").read_text())["tagger"]
    assert tagger["same_encoder"] is True
    assert json.loads(run(drawn, *options, "--json").stdout)["tagger"] == tagger


def test_words_are_mined_where_no_vocabulary_is_given(table, tmp_path):
    (tmp_path / "nouns.txt").write_text("dog\ntree\ncatalogue\n")
    found = json.loads(run(table, "--out", tmp_path / "one", "--json").stdout)["counts"]
    assert found == {"cat": 2, "dogs": 3, "tree": 3}
    nouns = ("--nouns", tmp_path / "nouns.txt", "--mined", 2, "--json")
    assert json.loads(run(table, *nouns, "--out", tmp_path / "two").stdout)["counts"] == {"dog": 3, "tree": 3}
    (tmp_path / "stops.txt").write_text("dogs\n")
    stops = ("--stop-words", tmp_path / "stops.txt", "--json")
    assert "dogs" not in json.loads(run(table, *stops, "--out", tmp_path / "three").stdout)["counts"]


def test_the_papers_count_otherwise(table, tmp_path):
    (tmp_path / "names.txt").write_text("dog\nhot dog\n")
    (tmp_path / "single.txt").write_text("dog\n")
    options = ("--out", tmp_path / "one", "--rules", "unigrams", "--json")
    found = json.loads(run(table, "--vocabulary", tmp_path / "names.txt", *options).stdout)
    assert found["counts"] == {"dog": 3, "hot dog": 1}
    meta = json.loads((tmp_path / "one" / "meta.json").read_text())
    assert meta["counting"] == found["counting"]
    assert meta["counting"]["check"] == "unverified against spaCy"
    said = "concepts are found by the rules of arXiv:2404.04125, unverified against spaCy"
    assert said in (tmp_path / "one" / "card.html").read_text()
    again = run(table, "--vocabulary", tmp_path / "names.txt", *options[:-1])
    assert f"    {said}" in again.stdout.splitlines()
    line = refuse(
        table, "--vocabulary", tmp_path / "names.txt", "--out", tmp_path / "two", "--rules", "words"
    )
    assert "concept 'hot dog' has more than one word" in line
    # Nothing was begun, so that the folder is free.
    run(table, "--vocabulary", tmp_path / "single.txt", "--out", tmp_path / "two", "--rules", "words")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--tag-threshold", "0.5"), "--tag-threshold is of --tags, and none are given"),
        (("--lemmas", "names.txt"), "--lemmas is not used by --rules mentions"),
        (("--stop-words", "names.txt"), "--stop-words is not used by --rules mentions"),
        (("--rules", "words", "--overlap", "longest"), "--overlap longest belongs to --rules mentions"),
        (("--mined", "9"), "--mined is for concepts from the captions"),
        (("--nouns", "names.txt"), "--nouns is for concepts from the captions"),
        (("--pair-concepts", "40000"), "--pair-concepts is 40,000, needed 0 to 32,768"),
        (("--pairs", "none.csv"), "none.csv does not exist: check the path"),
        (("--tags", "none.parquet"), "none.parquet does not exist: check the path"),
        (("--vocabulary", "per-shard"), "makes counts depend on how the corpus is cut into shards"),
        (("--engine", "slurm"), "found no engine 'slurm'"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(
    table, names, tmp_path, monkeypatch, options, line
):
    monkeypatch.chdir(tmp_path)
    found = refuse(table, "--vocabulary", names, "--out", tmp_path / "out", *options)
    assert line in found
    assert "\n" not in found
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_more_damage_than_is_borne_ends_with_exit_3(names, tmp_path):
    text = pa.array([b"a cat", b"caf\xe9", b"a dog"], pa.binary())
    broken = pa.StringArray.from_buffers(3, text.buffers()[1], text.buffers()[2])
    (tmp_path / "c").mkdir()
    pq.write_table(pa.table({"uid": list("abc"), "text": broken}), tmp_path / "c" / "c.parquet")
    options = (tmp_path / "c", "--vocabulary", names, "--out", tmp_path / "out", "--json")
    result = run(*options)
    assert result.exit_code == 3
    assert json.loads(result.stdout)["quarantined"] == {"caption is not UTF-8": 1}
    assert (
        "1 of 3 rows are damaged and left out, the first in c.parquet: caption is not UTF-8" in result.stderr
    )
    assert re.search(r"33\.33% of the rows are damaged, --max-bad is 0\.001", result.stderr)
    assert run(*options, "--max-bad", 0.5).exit_code == 0


def test_a_caption_of_ten_megabytes_takes_no_more_than_its_part(names, tmp_path):
    long = "cat " + "dog " * 2499 + "emu " * 2_500_000
    (tmp_path / "c").mkdir()
    pq.write_table(pa.table({"uid": ["a"], "text": [long]}), tmp_path / "c" / "c.parquet")
    found = json.loads(run(tmp_path / "c", "--vocabulary", names, "--out", tmp_path / "out", "--json").stdout)
    assert {name: n for name, n in found["counts"].items() if n} == {"Cat": 1, "cats": 1, "Dog": 1}


def test_captions_of_the_miniature_give_its_planted_counts_and_pmi_back(tmp_path):
    """The world writes down what each caption names; its counts and PMI come back exactly from the captions."""
    from oddpair.benchmarks.miniature.concepts import CONCEPTS
    from oddpair.benchmarks.miniature.rows import plan_corpus_row
    from oddpair.benchmarks.miniature.world import make_world

    world = make_world(11, decades=1.0)
    rows = [plan_corpus_row(world, index) for index in range(3000)]
    named = np.zeros((len(rows), len(CONCEPTS)), bool)
    number = {name: place for place, name in enumerate(CONCEPTS)}
    for place, row in enumerate(rows):
        named[place, [number[name] for name in row.named]] = True
    (tmp_path / "names.txt").write_text("".join(f"{name}\n" for name in CONCEPTS))
    (tmp_path / "c").mkdir()
    for part in range(3):
        table = {"uid": [row.uid for row in rows[part::3]], "text": [row.caption for row in rows[part::3]]}
        pq.write_table(pa.table(table), tmp_path / "c" / f"{part}.parquet")
    options = ("--vocabulary", tmp_path / "names.txt", "--out", tmp_path / "out", "--json")
    found = json.loads(run(tmp_path / "c", *options).stdout)
    assert found["counts"] == dict(zip(CONCEPTS, named.sum(axis=0).tolist(), strict=True))
    together = named.T.astype(np.int64) @ named
    listed = pq.read_table(tmp_path / "out" / "pairs.parquet").to_pylist()
    assert len(listed) > 500
    for line in listed:
        a, b = line["a"], line["b"]
        assert line["count_text"] == together[a, b]
        pmi = math.log(together[a, b] * len(rows) / (together[a, a] * together[b, b]))
        assert line["pmi"] == pytest.approx(pmi, abs=1e-12)
    planted = {(a, b) for a, b in np.argwhere(np.triu(together, 1)).tolist()}
    nested = nested_pairs(build_vocabulary(CONCEPTS))
    assert {(line["a"], line["b"]) for line in listed} == planted - nested
