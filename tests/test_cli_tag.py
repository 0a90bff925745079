import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.command import files_in, run

from oddpair import cli, files, stages
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import fingerprint, open_corpus
from oddpair.retrieval.counting.tags import load_tags, open_tags
from oddpair.retrieval.models import reference_folder
from oddpair.retrieval.vocabulary_file import load_vocabulary

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "concepts.txt"
    path.write_text("\n".join(CONCEPTS))
    return path


@pytest.fixture(scope="module")
def embedded(drawn, tmp_path_factory):
    """Embeddings that the runs below share."""
    folder = tmp_path_factory.mktemp("embedded") / "embeddings"
    assert run("embed", drawn, "--out", folder, "--workers", 1)[0] == 0
    return folder


@pytest.fixture(scope="module")
def tagged(drawn, words, embedded, tmp_path_factory):
    out = tmp_path_factory.mktemp("tagged") / "tags"
    code, said = run(*call(drawn, words, embedded, out))
    assert code == 0, said
    return out, said


def call(drawn, words, embedded, out, *more):
    return (
        "tag",
        drawn,
        "--vocabulary",
        words,
        "--embeddings",
        embedded,
        "--out",
        out,
        "--workers",
        1,
        *more,
    )


def test_pictures_are_tagged_and_the_manifest_says_how(tagged, drawn, words):
    out, said = tagged
    manifest = files.read_json(out / "manifest.json")
    assert "300 pictures, 600 tags of 87 concepts by reference, its opinion and no truth" in said
    assert (manifest["shards"], manifest["rows"], manifest["tags"]) == (
        ["00000", "00001", "00002"],
        [100] * 3,
        [200] * 3,
    )
    weights = files.sha256(reference_folder() / "open_clip_model.safetensors")
    assert manifest["encoder"] == {"name": "reference", "weights": weights, "sha256": weights}
    assert (manifest["per_image"], manifest["threshold"], manifest["same_encoder"]) == (2, None, False)
    assert manifest["vocabulary_sha256"] == load_vocabulary(words).sha256
    assert stages.made_from(out) is not None
    vocabulary = load_vocabulary(out / "vocabulary.txt")
    assert vocabulary == load_vocabulary(words)
    assert pq.read_table(out / "concepts.parquet")["concept"].to_pylist() == list(vocabulary.names)


def test_tags_are_counted_shard_by_shard_with_all_that_the_tagger_wrote(tagged, drawn, words):
    out, _ = tagged
    vocabulary = load_vocabulary(words)
    tags = open_tags(out, vocabulary)
    corpus = open_corpus(drawn)
    assert tags.tagger is not None
    assert (tags.tagger["kind"], tags.tagger["encoder"]["name"]) == ("zero-shot", "reference")
    assert tags.notes == ("these tags are the opinion of a model, not the truth about the pictures",)
    uids = corpus.metadata()["uid"].to_pylist()
    whole = load_tags(out, vocabulary, uids, -1).toarray()
    assert whole.sum(axis=1).tolist() == [2] * 300
    for number, shard in enumerate(corpus.shards):
        assert tags.has_file(shard)
        part = slice(100 * number, 100 * number + 100)
        found = tags.of(shard, pa.array(uids[part]))
        assert np.array_equal(found.to_csr().toarray(), whole[part])
        assert tags.tagged(shard) == 100
    assert tags.identity() == {"threshold": "-inf", "tags": stages.digest(out)}
    assert open_tags(out, vocabulary, threshold=0.9).of("00000", pa.array(uids)).ends[-1] == 0


def test_files_that_were_taken_out_of_the_folder_say_who_tagged(tagged, drawn, words):
    out, _ = tagged
    vocabulary = load_vocabulary(words)
    whole = open_tags(out, vocabulary)
    uids = pa.array(open_corpus(drawn).metadata()["uid"].to_pylist())
    for path in (out / "tags", out / files.read_json(out / "manifest.json")["files"][0]):
        tags = open_tags(path, vocabulary)
        assert (tags.tagger, tags.notes, tags.threshold) == (whole.tagger, whole.notes, whole.threshold)
        first = tags.of("00000", uids[:100]).to_csr().toarray()
        assert np.array_equal(first, whole.of("00000", uids[:100]).to_csr().toarray())


def test_counts_of_such_files_are_those_of_the_folder_and_name_the_tagger(tagged, drawn, words, tmp_path):
    counts: list[list[int]] = []
    taggers = []
    for number, tags in enumerate((tagged[0], tagged[0] / "tags")):
        out = tmp_path / str(number)
        options = ("--vocabulary", words, "--tags", tags, "--out", out, "--workers", 1)
        code, said = run("count", drawn, *options)
        assert (code, "images are tagged by reference" in said) == (0, True)
        counts.append(pq.read_table(out / "counts.parquet")["count_image"].to_pylist())
        taggers.append(files.read_json(out / "meta.json")["tagger"])
    assert counts[0] == counts[1]
    assert sum(counts[0]) == 600
    assert taggers[0] == taggers[1]


def test_tags_of_another_corpus_are_looked_for_in_all_files(tagged, drawn, words):
    uids = pa.array(open_corpus(drawn).metadata()["uid"].to_pylist())
    tags = open_tags(tagged[0], load_vocabulary(words), corpus="of other files")
    assert not tags.has_file("00000")
    same = open_tags(tagged[0], load_vocabulary(words), corpus=fingerprint(open_corpus(drawn)))
    assert same.has_file("00000")
    assert np.diff(tags.of("00000", uids[:150]).ends).tolist() == [2] * 150


def test_of_another_vocabulary_it_is_said_what_was_not_offered_to_the_tagger(tagged):
    tags = open_tags(tagged[0], build_vocabulary([*CONCEPTS, "zeppelin"]))
    assert tags.notes[1].startswith("1 of 88 concepts, such as 'zeppelin', were not offered to the tagger")


def test_tags_find_planted_objects_far_more_often_than_chance(tagged, drawn, words):
    table = open_corpus(drawn).metadata(["concepts"])
    vocabulary = load_vocabulary(words)
    places = {name: number for number, name in enumerate(vocabulary.names)}
    found = load_tags(tagged[0], vocabulary, table["uid"].to_pylist(), -1).toarray()
    shown = np.zeros_like(found)
    for row, names in enumerate(table["concepts"].to_pylist()):
        shown[row, [places[name.replace("_", " ")] for name in names]] = True
    # Chance is 0.02 for both.
    assert (found & shown).sum() / found.sum() > 0.25
    assert (found & shown).sum() / shown.sum() > 0.3


def test_a_second_run_does_nothing_and_workers_do_not_matter(tagged, drawn, words, embedded, tmp_path):
    out, said = tagged
    before = files_in(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != ".lock"}
    assert run(*call(drawn, words, embedded, out, "--workers", 2)) == (
        0,
        said[said.index("300 pictures, ") :],
    )
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert run(*call(drawn, words, embedded, tmp_path / "two", "--workers", 2))[0] == 0
    assert files_in(tmp_path / "two") == before


@pytest.mark.parametrize("at", [1, 2, 4, 6])
def test_a_run_that_is_interrupted_goes_on_to_the_same_bytes(
    tagged, drawn, words, embedded, tmp_path, monkeypatch, at
):
    atomic, count = files.atomic, iter(range(at, -1, -1))

    def interrupted(path):
        if next(count) == 0:
            raise cli.Interrupted
        return atomic(path)

    monkeypatch.setattr(files, "atomic", interrupted)
    with pytest.raises(cli.Interrupted):
        run(*call(drawn, words, embedded, tmp_path / "out"))
    monkeypatch.undo()
    with pytest.raises(Refusal, match="holds no finished tags"):
        open_tags(tmp_path / "out", load_vocabulary(words))
    assert run(*call(drawn, words, embedded, tmp_path / "out"))[0] == 0
    assert files_in(tmp_path / "out") == files_in(tagged[0])


def test_the_model_under_evaluation_may_not_be_the_tagger(
    tagged, drawn, words, embedded, transformer, tmp_path
):
    arguments = call(drawn, words, embedded, tmp_path / "out", "--evaluated", transformer)
    code, said = run(*arguments, "--evaluated", reference_folder())
    assert (code, said.startswith("reference is the model that tagged the pictures")) == (2, True)
    assert files_in(tmp_path) == {}
    code, said = run(*arguments, "--evaluated", reference_folder(), "--allow-same-encoder")
    assert (code, "the tagger is a model that is to be evaluated" in said) == (0, True)
    manifest = files.read_json(tmp_path / "out" / "manifest.json")
    assert manifest["same_encoder"] is True
    assert [model["name"] for model in manifest["evaluated"]] == [transformer.name, "reference"]
    tagger = open_tags(tmp_path / "out", load_vocabulary(words)).tagger
    assert tagger is not None
    assert tagger["same_encoder"] is True


@pytest.mark.parametrize(
    ("evaluated", "line"),
    [
        ("typo,x", "typo is neither a folder of a model nor an architecture"),
        ("ViT-B-32,", "model 'ViT-B-32' is given empty weights"),
        ("ViT-B-32", "ViT-B-32 is no folder of a model, and an architecture needs weights"),
        ("ViT-B-32,/nonexistent.pt", "/nonexistent.pt is neither a file nor pretrained weights"),
    ],
)
def test_a_model_under_evaluation_that_is_not_there_is_refused(
    drawn, words, embedded, tmp_path, evaluated, line
):
    code, said = run(*call(drawn, words, embedded, tmp_path / "out", "--evaluated", evaluated))
    assert (code, said.startswith(line)) == (2, True)
    assert files_in(tmp_path) == {}


def test_other_settings_need_another_folder(tagged, drawn, words, embedded):
    code, said = run(*call(drawn, words, embedded, tagged[0], "--per-image", 3))
    assert (code, "per_image=2, now per_image=3" in said) == (2, True)


def test_templates_and_a_threshold_of_ones_own_are_taken(drawn, words, embedded, tmp_path):
    (tmp_path / "templates.txt").write_text("a drawing of a {}\n")
    options = ("--templates", tmp_path / "templates.txt", "--threshold", 0.5, "--per-image", 4)
    assert run(*call(drawn, words, embedded, tmp_path / "out", *options))[0] == 0
    manifest = files.read_json(tmp_path / "out" / "manifest.json")
    assert (manifest["templates"], manifest["threshold"], manifest["per_image"]) == (
        ["a drawing of a {}"],
        0.5,
        4,
    )
    scores = np.concatenate(
        [pq.read_table(tmp_path / "out" / name)["score"].to_numpy() for name in manifest["files"]]
    )
    assert 0 < len(scores) == sum(manifest["tags"]) < 4 * 300
    assert scores.min() > 0.5


def test_a_corpus_without_pictures_is_refused(words, tmp_path):
    pq.write_table(pa.table({"uid": ["a"], "text": ["a cat"]}), tmp_path / "captions.parquet")
    code, said = run("tag", tmp_path / "captions.parquet", "--vocabulary", words, "--out", tmp_path / "out")
    assert (code, "holds no pictures" in said) == (2, True)
    assert files_in(tmp_path / "out") == {}


def test_embeddings_of_another_model_are_refused(drawn, words, embedded, transformer, tmp_path):
    code, said = run(*call(drawn, words, embedded, tmp_path / "out", "--model", transformer))
    assert (code, "choose another --out" in said) == (2, True)
    assert files_in(tmp_path / "out") == {}


@pytest.mark.parametrize("role", ["corpus", "embeddings"])
def test_an_output_folder_in_what_is_read_is_refused(drawn, words, embedded, role):
    out = {"corpus": drawn, "embeddings": embedded}[role] / "tags"
    code, said = run(*call(drawn, words, embedded, out))
    assert (code, "lie one in the other" in said) == (2, True)
    assert not out.exists()


def test_a_manifest_that_was_rewritten_does_not_say_who_tagged(tagged, words, tmp_path):
    shutil.copytree(tagged[0], tmp_path / "tags")
    place = tmp_path / "tags" / "manifest.json"
    text = place.read_text()
    assert '"same_encoder": ' in text
    changed = text.replace('"same_encoder": true', '"same_encoder":false').replace(
        '"same_encoder": false', '"same_encoder":  true'
    )
    assert len(changed) == len(text)
    place.write_text(changed)
    with pytest.raises(
        Refusal, match=r"manifest\.json has changed since the tags were made: delete .* again"
    ):
        open_tags(tmp_path / "tags", load_vocabulary(words))
