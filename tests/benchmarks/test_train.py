import json
import shutil

import numpy as np
import pytest

from oddpair.benchmarks.miniature import train
from oddpair.benchmarks.miniature.train import TrainPlan, read_pixels, train_model
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.encoder import load_encoder, reference_folder

VOCABULARY = reference_folder() / "bpe.txt.gz"
PLAN = TrainPlan(steps=16, seed=3, batch=24, warmup=4)


@pytest.fixture(scope="module", autouse=True)
def as_before():
    import torch

    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train_model(drawn, VOCABULARY, folder, PLAN)
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class StopError(Exception):
    pass


def stop_at(monkeypatch, last):
    real = train._step

    def step(*arguments):
        if arguments[-1] == last:
            raise StopError
        return real(*arguments)

    monkeypatch.setattr(train, "_step", step)


def test_a_few_steps_reduce_the_loss(drawn, tmp_path):
    train_model(drawn, VOCABULARY, tmp_path, TrainPlan(steps=41, seed=0, batch=24, warmup=5))
    loss = json.loads((tmp_path / "training.json").read_text())["loss"]
    assert len(loss) == 5
    assert np.mean(loss[-2:]) < loss[0] - 0.2


def test_the_folder_is_a_model_that_the_suite_loads_and_holds_no_checkpoint(trained):
    assert sorted(content(trained)) == [
        "bpe.txt.gz",
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "training.json",
    ]
    assert load_encoder(str(trained)).dimension == 128


def test_a_model_is_a_function_of_its_shards_and_its_seed(drawn, trained, tmp_path):
    train_model(drawn, VOCABULARY, tmp_path / "same", PLAN)
    assert content(tmp_path / "same") == content(trained)
    other = TrainPlan(steps=1, seed=4, batch=24)
    train_model(drawn, VOCABULARY, tmp_path / "four", other)
    train_model(drawn, VOCABULARY, tmp_path / "five", TrainPlan(steps=1, seed=5, batch=24))
    name = "open_clip_model.safetensors"
    assert (tmp_path / "four" / name).read_bytes() != (tmp_path / "five" / name).read_bytes()


@pytest.mark.parametrize("last", [3, 12])
def test_stopped_after_any_step_it_goes_on_to_the_same_bits(drawn, trained, tmp_path, monkeypatch, last):
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 5)
    with monkeypatch.context() as patch:
        stop_at(patch, last)
        with pytest.raises(StopError):
            train_model(drawn, VOCABULARY, tmp_path, PLAN)
    assert (tmp_path / train.CHECKPOINT).is_file() == (last > 5)
    steps = []
    real = train._step

    def noted(*given):
        steps.append(given[-1])
        return real(*given)

    monkeypatch.setattr(train, "_step", noted)
    train_model(drawn, VOCABULARY, tmp_path, PLAN)
    assert steps == list(range(10 if last > 5 else 0, 16))
    assert content(tmp_path) == content(trained)


def test_half_precision_halves_the_weights_and_keeps_the_embeddings_near(drawn, trained, tmp_path, noise):
    train_model(drawn, VOCABULARY, tmp_path, PLAN, half=True)
    name = "open_clip_model.safetensors"
    assert (tmp_path / name).stat().st_size < 0.52 * (trained / name).stat().st_size
    pictures = [np.asarray(noise(seed)) for seed in range(4)]
    full, half = (load_encoder(str(folder)).encode_pictures(pictures)[0] for folder in (trained, tmp_path))
    np.testing.assert_allclose(half, full, atol=0.02)


def test_every_row_is_seen_once_an_epoch(monkeypatch):
    plan = TrainPlan(steps=9, seed=1, batch=4)
    for epoch in (0, 1):
        rows = np.concatenate([train._rows(14, plan, 3 * epoch + step).numpy() for step in range(3)])
        assert len(set(rows.tolist())) == 12
    assert not np.array_equal(train._rows(14, plan, 0), train._rows(14, plan, 3))


def test_the_rate_warms_up_and_ends_near_nothing():
    plan = TrainPlan(steps=100, seed=0, warmup=10)
    rates = [train._schedule(step, plan) for step in range(100)]
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert max(rates) == pytest.approx(rates[9], rel=0.03)
    assert rates[-1] < 0.03
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_a_flip_is_of_the_picture_and_a_crop_stays_within_its_margin():
    import torch

    pixels = torch.arange(48 * 48, dtype=torch.uint8).reshape(1, 1, 48, 48).expand(1, 3, 48, 48)
    seen = set()
    for seed in range(20):
        batch = train._augment(pixels, np.random.default_rng(seed))
        assert batch.shape == (1, 3, 48, 48)
        seen.add(batch.numpy().tobytes())
    assert len(seen) > 10


def test_pixels_are_the_corpus_pictures_in_order(drawn):
    pictures, captions = read_pixels(drawn)
    assert tuple(pictures.shape) == (300, 3, 48, 48)
    assert captions == open_corpus(drawn).metadata()["caption"].to_pylist()


def test_fewer_rows_than_a_batch_are_refused(drawn, tmp_path):
    with pytest.raises(Refusal, match=r"corpus holds 300 rows, a batch needs 301: use a larger corpus"):
        train_model(drawn, VOCABULARY, tmp_path / "out", TrainPlan(steps=1, seed=0, batch=301))
    assert not (tmp_path / "out").exists()


def test_the_reference_encoder_can_be_made_again_and_goes_on_where_it_was(tmp_path, monkeypatch):
    from oddpair.benchmarks.miniature import reference_world

    monkeypatch.setattr(reference_world, "TrainPlan", lambda **given: TrainPlan(**given, batch=16, warmup=2))
    reference_world.make_reference(tmp_path, workers=1, rows=40, steps=2)
    before = content(tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    reference_world.make_reference(tmp_path, workers=1, rows=40, steps=2)
    assert content(tmp_path / "model") == before
    assert load_encoder(str(tmp_path / "model")).dimension == 128
