"""One small run of the whole path, and what must be true of it; the classifier at its real thresholds."""

import json
import warnings

import numpy as np
import pytest

from oddpair import files, stages
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.words import noun_phrase
from oddpair.demo.build import MODELS, TESTS
from oddpair.demo.plan import make_plan
from oddpair.demo.predict import TASKS, records_path
from oddpair.errors import Refusal
from oddpair.eval.scoring.records import read_records
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.retrieval.pictures import decode_pixels
from oddpair.splits.manifest import read_manifest
from oddpair.splits.pairs.unseen_pairs import PairTable

SPLITS = ("natural-strict", "rendition-strict", "control", "control-size", "pairs-seen", "pairs-unseen")
STYLES = {"photo", "sketch", "cartoon", "painting", "silhouette", "ambiguous"}


@pytest.fixture(scope="module")
def results(small_run):
    return files.read_json(small_run / "results" / "results.json")


@pytest.fixture(scope="module")
def pairs(small_run):
    return PairTable.from_table(files.read_table(small_run / "splits" / "pairs.parquet"))


@pytest.fixture(scope="module")
def corpus(small_run):
    return open_corpus(small_run / "world" / "corpus")


def pairs_of(rows):
    return {(a, b) for names in rows for a in names for b in names if a < b}


def truth_pairs(small_run):
    return files.read_table(small_run / "world" / "truth" / "pairs.parquet").to_pylist()


def test_the_world_is_of_the_planned_size_and_shows_every_style(small_run, corpus):
    assert len(corpus) == 2000
    assert len(CONCEPTS) >= 80
    assert set(corpus.metadata(["style"])["style"].to_pylist()) == STYLES
    assert len(open_corpus(small_run / "world" / "natural")) == 4 * len(CONCEPTS)
    assert len(open_corpus(small_run / "world" / "rendition")) == 2 * 4 * len(CONCEPTS)


def test_counts_equal_what_was_planted(small_run, corpus, results):
    metadata = corpus.metadata(["named", "concepts"])
    counted = files.read_table(small_run / "counts" / "counts.parquet").to_pylist()
    for column, source in (("count_text", "named"), ("count_image", "concepts")):
        planted = [name for names in metadata[source].to_pylist() for name in names]
        assert {row["name"]: row[column] for row in counted} == {
            name: planted.count(name) for name in CONCEPTS
        }
    assert results["planted"]["counts"]["count_text_differences"] == 0
    assert results["planted"]["counts"]["count_image_differences"] == 0


def test_no_pair_that_a_caption_names_or_a_picture_shows_is_called_unseen(corpus, pairs, results):
    metadata = corpus.metadata(["named", "concepts"])
    together = pairs_of(metadata["named"].to_pylist()) | pairs_of(metadata["concepts"].to_pylist())
    unseen = set(zip(pairs.a[pairs.status == "unseen"], pairs.b[pairs.status == "unseen"], strict=True))
    assert unseen
    assert not unseen & together
    assert results["planted"]["pairs"]["found_unseen"] == len(unseen)
    assert results["planted"]["pairs"]["found_unseen_but_shown_or_named"] == 0


def test_every_held_out_pair_that_was_tested_is_found_unseen(small_run, pairs, results):
    held = {(row["a"], row["b"]) for row in truth_pairs(small_run) if row["held_out"]}
    shown = open_corpus(small_run / "world" / "pairs").metadata(["concepts"])["concepts"].to_pylist()
    tested = held & pairs_of(shown)
    status = dict(
        zip(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True), pairs.status.tolist(), strict=True)
    )
    assert len(tested) == 20
    assert {status[pair] for pair in tested} == {"unseen"}
    planted = results["planted"]["pairs"]
    assert planted["held_out_tested"] == planted["held_out_found_unseen"] == 20


def test_held_out_pairs_are_together_in_no_picture_and_no_caption(small_run, corpus):
    held = {(row["a"], row["b"]) for row in truth_pairs(small_run) if row["held_out"]}
    metadata = corpus.metadata(["named", "concepts"])
    for source in ("named", "concepts"):
        assert not held & pairs_of(metadata[source].to_pylist())


def test_nested_concepts_are_no_pair_anywhere(small_run, pairs):
    nested = {(row["a"], row["b"]) for row in truth_pairs(small_run) if row["nested"]}
    assert ("pine tree", "tree") in nested
    assert not nested & set(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
    rows = files.read_table(small_run / "results" / "pair_rows.parquet").to_pylist()
    assert rows
    assert not any(tuple(sorted((row["target"], row["partner"]))) in nested for row in rows)


def test_kinds_of_pairs_in_the_results_are_what_the_world_planted(small_run, corpus):
    held = {(row["a"], row["b"]) for row in truth_pairs(small_run) if row["held_out"]}
    members = set(read_manifest(small_run / "splits" / "natural-strict").uids.to_pylist())
    metadata = corpus.metadata(["named"])
    trained = pairs_of(
        names
        for uid, names in zip(metadata["uid"].to_pylist(), metadata["named"].to_pylist(), strict=True)
        if uid in members
    )
    rows = files.read_table(small_run / "results" / "pair_rows.parquet").to_pylist()
    assert {row["kind"] for row in rows} == {"seen", "held-out", "rare"}
    for row in rows:
        pair = tuple(sorted((row["target"], row["partner"])))
        assert (row["kind"] == "held-out") == (pair in held)
        assert (row["kind"] == "seen") == (pair in trained) == (row["pair_count"] > 0)


@pytest.mark.parametrize("name", SPLITS)
def test_every_manifest_verifies_and_names_its_origin(small_run, name):
    manifest = read_manifest(small_run / "splits" / name)
    assert manifest.name == name
    assert manifest.card
    assert manifest.provenance["world"] == files.sha256(small_run / "world" / "done.json")


def test_the_control_names_each_concept_and_pair_as_often_as_the_strict_split(small_run, corpus):
    metadata = corpus.metadata()
    mentions = find_mentions(build_vocabulary(CONCEPTS), metadata["caption"].to_pylist())
    uids = np.array(metadata["uid"].to_pylist())
    rows = {
        name: np.isin(uids, read_manifest(small_run / "splits" / name).uids.to_pylist())
        for name in SPLITS[:4]
    }
    strict, control = (mentions[np.flatnonzero(rows[name])].toarray().astype(int) for name in MODELS)
    # On the diagonal captions that name a concept, beside it those that name two.
    assert np.array_equal(strict.T @ strict, control.T @ control)
    assert rows["control"].sum() == rows["control-size"].sum() == rows["natural-strict"].sum()
    assert (rows["control"] != rows["natural-strict"]).any()


def test_the_control_holds_renditions_and_the_strict_split_next_to_none(small_run, corpus):
    metadata = corpus.metadata(["style"])
    style = dict(zip(metadata["uid"].to_pylist(), metadata["style"].to_pylist(), strict=True))
    wrong = {
        name: np.mean(
            [
                style[uid] not in ("photo", "ambiguous")
                for uid in read_manifest(small_run / "splits" / name).uids.to_pylist()
            ]
        )
        for name in MODELS
    }
    assert wrong["natural-strict"] < 0.05
    assert wrong["control"] > 0.25


def test_the_search_took_rows_out_of_both_strict_splits(small_run):
    classes = files.read_table(small_run / "splits" / "classes.parquet")
    for style in ("natural", "rendition"):
        before, after = (
            classes[name].to_numpy(zero_copy_only=False) for name in (f"sorted_{style}", f"{style}_strict")
        )
        assert after.sum() < before.sum()
        assert not (after & ~before).any()
        kept = {uid for uid, keep in zip(classes["uid"].to_pylist(), after, strict=True) if keep}
        assert kept == set(read_manifest(small_run / "splits" / f"{style}-strict").uids.to_pylist())


@pytest.mark.parametrize("name", MODELS)
def test_exported_shards_are_the_split_for_webdataset_and_for_open_corpus(small_run, name):
    import webdataset

    members = set(read_manifest(small_run / "splits" / name).uids.to_pylist())
    shards = open_corpus(small_run / "shards" / name)
    rows = [shards.read(shard) for shard in shards.shards]
    assert {uid for part in rows for uid in part.uids} == members
    tars = [str(shards.root / f"{shard}.tar") for shard in shards.shards]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert len(samples) == len(members)
    captions = [caption for part in rows for caption in part.captions]
    pictures = [data for part in rows for data in part.images]
    assert [sample["txt"].decode() for sample in samples] == captions
    assert [sample["jpg"] for sample in samples] == pictures


@pytest.mark.parametrize("name", MODELS)
def test_a_trained_model_loads_and_embeds(small_run, name, noise):
    image, _ = load_encoder(str(small_run / "models" / name)).encode_pictures([np.asarray(noise(1))])
    assert image.shape == (1, 128)


@pytest.mark.parametrize("name", MODELS)
def test_predictions_hold_every_question_once_and_re_score_to_the_same_accuracies(small_run, results, name):
    records = {task: read_records(records_path(small_run, name, task), kind) for task, kind in TASKS.items()}
    sizes = {test: len(open_corpus(small_run / "world" / test)) for test in TESTS}
    asked = {task: table.num_rows for task, table in records.items()}
    assert asked == {**sizes, "pairs": 2 * sizes["pairs"]}
    for style, found in results["styles"].items():
        hits = [
            row["top_classes"][0] == row["target"]
            for row in records["natural" if style == "natural" else "rendition"].to_pylist()
            if row["style"] == ("photo" if style == "natural" else style)
        ]
        assert found[name]["n"] == len(hits)
        assert found[name]["value"] == pytest.approx(np.mean(hits), abs=1e-6)


def test_predictions_can_be_made_again_by_hand(small_run):
    """The natural test, scored from the pictures' bytes with nothing but the encoder and numpy."""
    encoder = load_encoder(str(small_run / "models" / "control"))
    natural = open_corpus(small_run / "world" / "natural").read("00000")
    image, _ = encoder.encode_pictures([decode_pixels(data) for data in natural.images[:60]], textures=False)
    vectors = []
    for name in CONCEPTS:
        phrase = noun_phrase(name)
        prompts = [f"a photo of {phrase}", phrase, f"a picture of {phrase}", f"an image of {phrase}"]
        mean = encoder.encode_texts(prompts).astype(np.float64).mean(axis=0)
        vectors.append(mean / np.linalg.norm(mean))
    scores = image.astype(np.float64) @ np.array(vectors).T
    records = read_records(records_path(small_run, "control", "natural"), "classification")
    said = dict(zip(records["uid"].to_pylist(), records["top_classes"].to_pylist(), strict=True))
    agree = [
        said[uid][0] == best for uid, best in zip(natural.uids, scores.argmax(axis=1).tolist(), strict=False)
    ]
    # Stored embeddings are float16: a tie of near-equals may fall the other way.
    assert np.mean(agree) > 0.95


def test_pairs_are_asked_for_in_both_orders_among_all_that_are_not_nested(small_run):
    records = read_records(records_path(small_run, "control", "pairs"), "pairs").to_pylist()
    shown = open_corpus(small_run / "world" / "pairs").metadata(["concepts"])
    expected = {
        (uid, *order)
        for uid, pair in zip(shown["uid"].to_pylist(), shown["concepts"].to_pylist(), strict=True)
        for order in (pair, pair[::-1])
    }
    asked = {(row["uid"], CONCEPTS[row["target"]], CONCEPTS[row["partner"]]) for row in records}
    assert asked == expected
    nested = [{row["a"], row["b"]} for row in truth_pairs(small_run) if row["nested"]]
    for row in records:
        both = {CONCEPTS[row["target"]], CONCEPTS[row["partner"]]}
        left_out = set().union(*(pair for pair in nested if pair & both)) - both
        assert row["n_candidates"] == len(CONCEPTS) - 1 - len(left_out)


def estimates(value, path=""):
    if isinstance(value, dict):
        if "what" in value or {"low", "high"} & set(value):
            yield path, value
        for name, item in value.items():
            yield from estimates(item, f"{path}/{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from estimates(item, f"{path}/{place}")


def test_every_result_has_its_n_and_its_interval(results):
    found = dict(estimates(results))
    assert len(found) > 50
    for path, estimate in found.items():
        assert {"value", "low", "high", "n", "what"} <= set(estimate), path
        assert estimate["n"] > 0, path
        assert estimate["what"], path
        if None not in (estimate["low"], estimate["value"], estimate["high"]):
            assert estimate["low"] <= estimate["value"] <= estimate["high"], path


def test_the_results_answer_every_question_of_the_study(results):
    assert set(results) == {"plan", "planted", "styles", "concepts", "pairs"}
    assert set(results["styles"]) == {"natural", "sketch", "cartoon", "painting", "silhouette"}
    assert set(results["pairs"]) >= {"accuracy", "penalty", "matched", "transfer", "pmi", "cross_validation"}
    assert set(results["pairs"]["accuracy"]) == {"seen", "held-out", "rare"}
    assert set(results["concepts"]) >= {"trend", "cross_validation"}


def test_every_stage_is_complete_and_as_its_record_says(small_run):
    folders = sorted(path.parent for path in small_run.rglob("done.json"))
    assert len(folders) == 19
    for folder in folders:
        stages.verify(folder)
    assert not list(small_run.rglob("*.tmp"))
    assert not list(small_run.rglob("checkpoint*"))


def test_no_output_holds_a_path_of_this_machine(small_run):
    for path in small_run.rglob("*.json"):
        assert str(small_run) not in path.read_text(), path


def test_a_second_run_does_nothing(small_run):
    from oddpair.demo.run import run_stages

    before = {path: path.stat().st_mtime_ns for path in small_run.rglob("*")}
    run_stages(make_plan("small", seed=0), small_run, workers=2)
    assert {path: path.stat().st_mtime_ns for path in small_run.rglob("*")} == before


def test_another_plan_in_the_same_folder_is_refused_by_its_key(small_run):
    from oddpair.demo.run import run_stages

    with pytest.raises(Refusal, match=r"world was made with .*seed=0, now .*seed=1"):
        run_stages(make_plan("small", seed=1), small_run, workers=1)
    with pytest.raises(Refusal, match=r"world was made with steps=20, now steps=21"):
        run_stages(make_plan("small", seed=0, steps=21), small_run, workers=1)


def test_a_lost_stage_is_made_again_to_the_same_bytes(small_run):
    from oddpair.demo.run import run_stages

    lost = small_run / "splits" / "natural-strict" / "uids.parquet"
    before = {path: path.read_bytes() for path in small_run.rglob("*") if path.is_file()}
    lost.unlink()
    (small_run / "results" / "results.json").unlink()
    run_stages(make_plan("small", seed=0), small_run, workers=1)
    assert {path: path.read_bytes() for path in small_run.rglob("*") if path.is_file()} == before


def test_a_plan_that_cannot_be_carried_out_is_refused():
    for changes, line in (
        ({"rows": 999}, "a world of 999 rows is too small for its splits: use 1000 or more"),
        ({"steps": 0}, "0 training steps: use 1 or more"),
        ({"seed": -1}, "seed -1: use 0 to 2147483647"),
    ):
        with pytest.raises(Refusal, match=line):
            make_plan("small", **{"seed": 0, **changes})
    with pytest.raises(Refusal, match="no size 'tiny': use demo, study or small"):
        make_plan("tiny", seed=0)


def test_a_plan_is_json_and_the_study_is_larger_than_the_demo():
    demo, study = (make_plan(size, seed=2).as_inputs() for size in ("demo", "study"))
    assert json.loads(json.dumps(demo)) == demo
    assert all(study[name] >= demo[name] for name in demo)
    assert (demo["precision"], demo["labelled"]) == (0.98, 6000)


def test_the_shipped_encoder_sorts_styles_at_the_real_thresholds(tmp_path):
    from oddpair.benchmarks.miniature.draw import draw_corpus
    from oddpair.benchmarks.miniature.world import make_world
    from oddpair.retrieval.stored import open_stored
    from oddpair.splits.pool import pool_of_stored
    from oddpair.splits.styles.features import open_features
    from oddpair.splits.styles.labels import labels_of_column
    from oddpair.splits.styles.probe import fit_probe
    from oddpair.splits.styles.sorting import sort_corpus

    draw_corpus(make_world(1), tmp_path, 8000, workers=2)
    corpus = open_corpus(tmp_path / "corpus")
    embed_corpora(
        [EmbedTask(corpus=corpus, out=tmp_path / "embeddings", tower=Tower(model="reference"))], workers=2
    )
    stored = open_stored(tmp_path / "embeddings")
    pool = pool_of_stored(stored)
    truth = labels_of_column(corpus, "style", pool, ["photo"], ["ambiguous"]).codes
    labels = np.full(8000, -1, dtype=np.int8)
    labelled = np.random.default_rng(0).permutation(8000)[:6000]
    labels[labelled] = truth[labelled]
    sort = sort_corpus(
        open_features(stored, textured=True),
        pool.rows,
        labels,
        np.random.default_rng(1),
        fit=fit_probe,
        precision=0.98,
    )
    held_out = np.setdiff1d(np.arange(8000), sort.seen)
    assert len(held_out) == 3800
    for code, least in ((0, 0.70), (1, 0.90)):
        accepted, members = sort.codes[held_out] == code, truth[held_out] == code
        both = (accepted & members).sum()
        assert both / accepted.sum() >= 0.98, code
        assert both / members.sum() >= least, code
    for certificate in (sort.natural, sort.rendition):
        assert certificate.lower_bound >= 0.98
        assert certificate.confidence == 0.95
