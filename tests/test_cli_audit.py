"""The command of an audit on small drawn sets: what it says, what its recipes make, and what verify finds again."""

import json
import shutil

import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner, Result

from oddpair import cli, files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.manifest import read_manifest

WORDS = ["clock", "drum", "tree", "whale", "apple", "house", "duck", "cat", "car", "bell"]


def run(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)


def list_files(folder):
    """When each file was written, but for the lock that every run takes."""
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A corpus of 600 drawn rows, a test set that shares 3 files with it, a reference set and a list of concepts."""
    from oddpair.benchmarks.miniature.draw import draw_corpus
    from oddpair.benchmarks.miniature.world import make_world

    place = tmp_path_factory.mktemp("audit")
    for seed, name, rows in ((5, "web", 600), (6, "train", 80), (8, "val", 60)):
        draw_corpus(make_world(seed), place / "drawn", rows, rows_per_shard=300, workers=1)
        (place / "drawn" / "corpus").rename(place / name)
        shutil.rmtree(place / "drawn")
    (place / "words.txt").write_text("".join(f"{word}\n" for word in WORDS))
    return place


@pytest.fixture(scope="module")
def told(place):
    """A finished audit, as JSON."""
    result = run(
        "audit",
        place / "val",
        "--against",
        place / "web",
        "--reference",
        place / "train",
        "--vocabulary",
        place / "words.txt",
        "--precision",
        "0.7",
        "--out",
        place / "audit",
        "--workers",
        1,
        "--json",
    )
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_the_card_is_what_was_printed_and_names_no_path(told, place):
    card = files.read_json(place / "audit" / "audit.json")
    assert {**card, "page": str(place / "audit" / "page.html")} == told
    assert str(place) not in json.dumps(card)
    assert (card["test"], card["corpus"], card["tests"], card["rows"]) == ("val", "web", 60, 600)
    assert [judgement["aspect"] for judgement in card["judgements"]] == [
        "copies",
        "style",
        "similarity",
        "concepts",
        "pairs",
    ]
    assert set(card["left_out"]) == {"accuracy"}
    assert {"corpus", "test", "reference", "encoder", "vocabulary"} <= set(card["hashes"])


def test_each_recipe_makes_the_split_of_exactly_the_rows_that_were_not_listed(told, place):
    corpus = open_corpus(place / "web")
    every = {uid for batch in corpus.batches() for uid in batch.table["uid"].to_pylist()}
    assert [removal["name"] for removal in told["removals"]] == ["style-strict", "gap-pruned", "pair-unseen"]
    for removal in told["removals"]:
        name = removal["name"]
        gone = files.read_table(place / "audit" / "removals" / f"{name}.parquet")
        out = place / f"split-{name}"
        made = run("split", place / "audit" / "recipes" / f"{name}.yaml", "--out", out, "--workers", 1)
        assert made.exit_code == 0, made.output
        split = read_manifest(out / "splits" / removal["split"])
        assert set(split.uids.to_pylist()) == every - set(gone["uid"].to_pylist())
        assert (len(split), gone.num_rows) == (removal["left"], removal["gone"])
        assert sum(rows for _, rows in removal["why"]) == removal["gone"]


def test_a_finished_audit_is_left_as_it_is_and_another_one_needs_another_folder(told, place):
    before = list_files(place / "audit")
    words = ["audit", place / "val", "--against", place / "web", "--out", place / "audit", "--workers", 1]
    given = ["--reference", place / "train", "--vocabulary", place / "words.txt", "--precision", "0.7"]
    again = run(*words, *given)
    assert again.exit_code == 0, again.output
    assert told["verdict"] in again.output
    assert list_files(place / "audit") == before
    with pytest.raises(Refusal, match=r"was made with asked\.precision=0\.7, now asked\.precision=0\.8"):
        run(*words, *given[:-1], "0.8")


def test_verify_finds_everything_again_and_refuses_what_was_changed(told, place):
    result = run("verify", place / "audit", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert result.output.count("    holds: ") == 3
    copy = place / "copy"
    shutil.copytree(place / "audit", copy)
    card = files.read_json(copy / "audit.json")
    card["duplicates"]["rows"] += 1
    card["verdict"] = card["verdict"].replace("in distribution", "out of distribution")
    files.write_json(copy / "audit.json", card)
    with pytest.raises(
        Refusal, match=r"audit\.json: duplicates\.rows: \d+ in the card, \d+ found; make the audit again"
    ):
        run("verify", copy, "--workers", 1)
    files.write_json(copy / "audit.json", files.read_json(place / "audit" / "audit.json"))
    table = files.read_table(copy / "images.parquet")
    files.write_table(copy / "images.parquet", table.slice(1))
    with pytest.raises(Refusal, match=r"audit\.json: images\.parquet was changed"):
        run("verify", copy, "--workers", 1)
    shutil.rmtree(copy)


def test_verify_with_another_corpus_says_which_input_it_is(told, place):
    with pytest.raises(Refusal, match=r"hashes\.corpus: '[0-9a-f]+… in the card, '[0-9a-f]+… found"):
        run("verify", place / "audit", "--corpus", place / "train", "--workers", 1)


def test_the_images_are_those_of_the_test_and_their_nearest_rows_are_of_the_corpus(told, place):
    images = files.read_table(place / "audit" / "images.parquet")
    uids = [uid for batch in open_corpus(place / "val").batches() for uid in batch.table["uid"].to_pylist()]
    assert images["uid"].to_pylist() == sorted(uids)
    nearest = files.read_table(place / "audit" / "nearest.parquet")
    first = nearest.filter(pc.equal(nearest["place"], 1))
    assert first["uid"].to_pylist() == images["nearest"].to_pylist()
    assert first["score"].to_pylist() == images["score"].to_pylist()
    assert told["files"].keys() == {
        "images.parquet",
        "nearest.parquet",
        "removals/gap-pruned.parquet",
        "removals/pair-unseen.parquet",
        "removals/style-strict.parquet",
    }


def test_embeddings_alone_are_audited_for_what_they_tell(place):
    for name in ("web", "val"):
        made = run("embed", place / name, "--out", place / f"emb-{name}", "--workers", 1)
        assert made.exit_code == 0, made.output
    result = run(
        "audit", place / "emb-val", "--against", place / "emb-web", "--out", place / "alone", "--workers", 1
    )
    assert result.exit_code == 0, result.output
    card = files.read_json(place / "alone" / "audit.json")
    assert set(card["left_out"]) == {"styles", "concepts", "pairs", "accuracy"}
    assert card["duplicates"]["compared"] == 0
    assert card["duplicates"]["unseen"] == 600
    assert card["judgements"][0]["answer"] == "open"
    assert "no picture" in (place / "alone" / "page.html").read_text()
    for why in card["left_out"].values():
        assert why in result.output


def test_sets_of_different_models_are_refused(place, tmp_path):
    files_of = shutil.copytree(place / "emb-val", tmp_path / "other")
    manifest = files.read_json(files_of / "manifest.json")
    files.write_json(files_of / "manifest.json", {**manifest, "encoder_sha256": "0" * 64})
    with pytest.raises(Refusal):
        run("audit", files_of, "--against", place / "emb-web", "--out", tmp_path / "audit", "--workers", 1)
    assert not (tmp_path / "audit" / "audit.json").exists()


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--precision", "1", "--precision is 1.0: it must lie between 0 and 1"),
        ("--duplicates", "1", "--duplicates is 1: it must lie from -1 to below 1"),
        ("--labels", "gone.parquet", "gone.parquet does not exist"),
        ("--accuracies", "gone.csv", "gone.csv does not exist"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_before_anything_is_made(
    place, tmp_path, option, value, why
):
    with pytest.raises(Refusal, match=why.replace("(", r"\(")) as caught:
        run("audit", place / "val", "--against", place / "web", "--out", tmp_path / "audit", option, value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "audit").exists()
