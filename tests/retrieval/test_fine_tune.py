import numpy as np
import pyarrow as pa
import pytest
from tests.command import files_in

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.fine_tune import FineTuning, StyleScores, read_styles, score_styles, train_styles
from oddpair.retrieval.formats.shards import make_keys, write_shard
from oddpair.retrieval.style_tower import RECORD, WEIGHTS

QUICK = FineTuning(epochs=8, batch=32, drop_every=6, rate=0.05)
UNTRAINED = FineTuning(epochs=1, rate=1e-12, momentum=0.0)


@pytest.fixture(scope="module")
def corpus(drawn):
    return open_corpus(drawn)


@pytest.fixture(scope="module")
def truth(corpus):
    """The style of every picture: natural, rendition or ambiguous."""
    table = corpus.metadata(["style"])
    known = {"photo": "natural", "ambiguous": "ambiguous"}
    return dict(
        sorted(
            (uid, known.get(style, "rendition"))
            for uid, style in zip(table["uid"].to_pylist(), table["style"].to_pylist(), strict=True)
        )
    )


@pytest.fixture(scope="module")
def labels(truth):
    """Labels of two thirds; the others are held out."""
    return {uid: style for row, (uid, style) in enumerate(truth.items()) if row % 3}


@pytest.fixture(scope="module")
def trained(corpus, labels, tmp_path_factory):
    return train_styles(corpus, labels, tmp_path_factory.mktemp("trained"), model="reference", tuning=QUICK)


@pytest.fixture(scope="module")
def scored(trained, corpus, tmp_path_factory):
    return score_styles(trained.folder, corpus, tmp_path_factory.mktemp("scored"))


def held_out_accuracy(scores, truth, labels):
    uids = [uid for uid in truth if uid not in labels]
    found = scores.at(pa.array(uids)).argmax(axis=1)
    return np.mean([scores.classes[place] == truth[uid] for uid, place in zip(uids, found, strict=True)])


def test_it_learns_styles_that_hold_on_pictures_it_never_saw(
    trained, scored, corpus, truth, labels, tmp_path
):
    assert trained.classes == ("ambiguous", "natural", "rendition")
    assert (trained.rows, trained.missing) == (200, 0)
    assert trained.loss[-1] < 0.6 * trained.loss[0]
    untrained = train_styles(corpus, labels, tmp_path / "u", model="reference", tuning=UNTRAINED)
    before = held_out_accuracy(score_styles(untrained.folder, corpus, tmp_path / "s"), truth, labels)
    after = held_out_accuracy(scored, truth, labels)
    majority = np.mean([style == "natural" for uid, style in truth.items() if uid not in labels])
    assert after > max(before, majority) + 0.15


def test_scores_are_the_log_odds_of_a_distribution(scored, truth):
    assert scored.uids.to_pylist() == list(truth)
    assert scored.bad == 0
    probability = 1 / (1 + np.exp(-scored.scores.astype(np.float64)))
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)


def test_equal_inputs_give_equal_bytes_and_a_finished_folder_is_left_alone(
    trained, corpus, labels, tmp_path, monkeypatch
):
    before = files_in(trained.folder)
    again = train_styles(
        corpus, dict(reversed(labels.items())), tmp_path / "again", model="reference", tuning=QUICK
    )
    assert files_in(again.folder) == before
    monkeypatch.setattr("oddpair.retrieval.fine_tune.load_tower", None)
    assert train_styles(corpus, labels, trained.folder, model="reference", tuning=QUICK) == trained
    assert read_styles(trained.folder) == trained


def test_weights_are_safetensors(trained):
    from safetensors.numpy import load_file

    state = load_file(trained.folder / WEIGHTS)
    assert state["head.weight"].shape[0] == 3
    assert all(name.startswith(("visual.", "head.")) for name in state)


def test_a_killed_scoring_goes_on_and_workers_and_other_shards_change_no_score(
    trained, scored, corpus, tmp_path
):
    out = tmp_path / "scores"
    score_styles(trained.folder, corpus, out)
    whole = files_in(out)
    (out / "done.json").unlink()
    (out / "scores" / "scores_0001.parquet").unlink()
    score_styles(trained.folder, corpus, out)
    assert files_in(out) == whole
    rows = [corpus.read(shard) for shard in corpus.shards]
    pairs = [pair for shard in reversed(rows) for pair in zip(shard.uids, shard.images, strict=True)]
    write_shard(
        tmp_path / "one",
        0,
        keys=make_keys(0, len(pairs)),
        captions=["x"] * len(pairs),
        images=[image for _, image in pairs],
        columns=pa.table({"uid": [uid for uid, _ in pairs]}),
    )
    other = score_styles(trained.folder, open_corpus(tmp_path / "one"), tmp_path / "other", workers=2)
    assert other.uids.equals(scored.uids)
    np.testing.assert_array_equal(other.scores, scored.scores)


def test_pictures_that_cannot_be_decoded_are_counted_and_not_scored(trained, corpus, tmp_path):
    rows = corpus.read(corpus.shards[0])
    write_shard(
        tmp_path / "c",
        0,
        keys=make_keys(0, 3),
        captions=["x"] * 3,
        images=[rows.images[0], rows.images[2][: len(rows.images[2]) // 2], rows.images[1]],
        columns=pa.table({"uid": [rows.uids[0], "f" * 32, rows.uids[1]]}),
    )
    found = score_styles(trained.folder, open_corpus(tmp_path / "c"), tmp_path / "s")
    assert found.bad == 1
    assert found.uids.to_pylist() == sorted(rows.uids[:2])
    with pytest.raises(Refusal, match=f"uid {'f' * 32} has no style score: give the corpus"):
        found.at(pa.array(["f" * 32]))


def test_of_pictures_with_one_uid_the_highest_score_of_each_class_counts():
    from oddpair.retrieval.fine_tune import _highest_of_each

    table = pa.table(
        {
            "uid": ["b", "a", "b"],
            "scores": pa.array([[1.0, -1.0], [0.5, -0.5], [-2.0, 2.0]], pa.list_(pa.float32())),
        }
    )
    uids, scores = _highest_of_each(table, 2)
    found = StyleScores(uids=uids, scores=scores, classes=("x", "y"), bad=0)
    assert uids.to_pylist() == ["a", "b"]
    assert found.at(pa.array(["b", "a"])).tolist() == [[1.0, 2.0], [0.5, -0.5]]


def test_labels_without_a_picture_are_counted_and_a_class_without_any_is_refused(corpus, labels, tmp_path):
    few = dict(list(labels.items())[:40])
    found = train_styles(
        corpus, {**few, "nobody": "natural"}, tmp_path / "a", model="reference", tuning=UNTRAINED
    )
    assert (found.rows, found.missing) == (40, 1)
    with pytest.raises(Refusal, match="no picture of those labelled 'odd': give labels of this corpus"):
        train_styles(corpus, {**few, "nobody": "odd"}, tmp_path / "b", model="reference", tuning=UNTRAINED)
    with pytest.raises(Refusal, match="labels are all natural: a classifier needs two classes"):
        train_styles(corpus, {"x": "natural"}, tmp_path / "c", model="reference", tuning=UNTRAINED)
    assert not (tmp_path / "b").exists()


def test_a_rate_that_diverges_is_refused(corpus, labels, tmp_path):
    tuning = FineTuning(epochs=3, batch=100, rate=1e30)
    with pytest.raises(Refusal, match=r"learning diverges in epoch \d: try a rate below 1e\+30"):
        train_styles(corpus, labels, tmp_path / "t", model="reference", tuning=tuning)


@pytest.mark.parametrize("name", ["epochs", "batch", "rate", "drop_every"])
def test_settings_are_above_zero(name):
    with pytest.raises(Refusal, match=f"{name} is 0: it must be above 0"):
        FineTuning(**{name: 0})


def test_a_model_that_was_exchanged_and_damaged_weights_are_refused(trained, corpus, tmp_path):
    for name, data in files_in(trained.folder).items():
        files.write_bytes(tmp_path / "t" / name, data)
    record = files.read_json(tmp_path / "t" / RECORD)
    files.write_json(tmp_path / "t" / RECORD, {**record, "base": "0" * 64})
    with pytest.raises(Refusal, match=r"was trained from 000000000000…: put them back, or train again"):
        score_styles(tmp_path / "t", corpus, tmp_path / "s")
    files.write_json(tmp_path / "t" / RECORD, record)
    data = (tmp_path / "t" / WEIGHTS).read_bytes()
    (tmp_path / "t" / WEIGHTS).write_bytes(data[:-100])
    with pytest.raises(Refusal, match=r"style_model.safetensors is damaged: delete"):
        score_styles(tmp_path / "t", corpus, tmp_path / "s2")


def test_a_gpu_that_is_not_there_is_refused(trained, corpus, labels, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(Refusal, match="torch finds no GPU for device cuda here: use cpu"):
        score_styles(trained.folder, corpus, tmp_path / "s", device="cuda")
    with pytest.raises(Refusal, match="torch finds no GPU for device cuda here: use cpu"):
        train_styles(corpus, labels, tmp_path / "t", model="reference", tuning=QUICK, device="cuda")
    assert not list(tmp_path.iterdir())
