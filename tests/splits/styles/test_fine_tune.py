import shutil
from dataclasses import replace

import pytest

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.fine_tune import FineTuning
from oddpair.retrieval.models import identify_model, reference_folder
from oddpair.retrieval.stored import open_stored
from oddpair.retrieval.style_tower import WEIGHTS
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.pool import pool_of_stored
from oddpair.splits.recipes.style_strict import StyleStrictRecipe, build, verify
from oddpair.splits.styles.features import StyleFeatures
from oddpair.splits.styles.fine_tune import TRAINED, fit_fine_tuned, refuse_other_tower
from oddpair.splits.styles.labels import labels_of_column


@pytest.fixture(scope="module")
def labelled(drawn, tmp_path_factory):
    """Features of drawn pictures, their rows by uid, and their classes."""
    out = tmp_path_factory.mktemp("embedded") / "drawn"
    corpus = open_corpus(drawn)
    embed_corpora(
        [EmbedTask(corpus=corpus, out=out, tower=Tower(model="reference"), only_images=True)], workers=1
    )
    stored = open_stored(out)
    pool = pool_of_stored(stored)
    codes = labels_of_column(corpus, "style", pool, ["photo"], ["ambiguous"]).codes
    return StyleFeatures(image=stored, pictures=corpus), pool.rows, codes


def fit(labelled, work, epochs=12):
    features, rows, codes = labelled
    tuning = FineTuning(epochs=epochs, batch=64, rate=0.05)
    return fit_fine_tuned(
        features, rows[:200], codes[:200], model="reference", weights=None, tuning=tuning, device="cpu", work=work
    )  # fmt: skip


def test_a_tuned_tower_tells_pictures_that_it_did_not_see(labelled, tmp_path):
    features, rows, codes = labelled
    scorer = fit(labelled, tmp_path)
    scores = scorer.score(features)[rows]
    assert scores.shape == (300, 2)
    held = codes[200:]
    # Of a picture of the class and one of another, the first scores higher.
    for column in (0, 1):
        mine, others = (scores[200:, column][held == column], scores[200:, column][held != column])
        assert (mine[:, None] > others[None]).mean() > 0.7
    assert len(scorer.unseen) == len(scorer.codes) == 40
    known = {tuple(row) for row in scores[:200].tolist()}
    assert {tuple(row) for row in scorer.unseen.tolist()} <= known


def test_a_second_run_finds_the_scores_of_the_first(labelled, tmp_path):
    first = fit(labelled, tmp_path, epochs=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    second = fit(labelled, tmp_path, epochs=1)
    assert first.unseen.tobytes() == second.unseen.tobytes()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_embeddings_alone_are_refused(labelled, tmp_path):
    features, rows, codes = labelled
    bare = replace(features, pictures=None)
    with pytest.raises(
        Refusal, match="classifier fine-tune looks at pictures, and only embeddings were given"
    ):
        fit((bare, rows, codes), tmp_path)


RECIPE = StyleStrictRecipe(
    classifier="fine-tune", epochs=4, precision=0.4, confidence=0.6, quantile=0.9, held_out=0.1
)


@pytest.fixture(scope="module")
def inputs(labelled):
    features, _, _ = labelled
    return Inputs(corpus=Pictures(name="drawn", corpus=features.pictures, stored=features.image))


@pytest.fixture(scope="module")
def natural(inputs, tmp_path_factory):
    """The natural split of the drawn pictures, told by a tower that was trained."""
    work = tmp_path_factory.mktemp("built")
    return build(RECIPE, inputs, work).splits[0], work


def identify(natural, work, **changes):
    given = {"model": "reference", "weights": None, "device": "cpu", "work": work, **changes}
    refuse_other_tower(natural.provenance, **given)


def test_the_trained_weights_are_in_the_provenance_and_in_a_claim_that_training_again_confirms(
    natural, inputs, tmp_path
):
    manifest, work = natural
    sha256 = files.sha256(work / TRAINED / WEIGHTS)
    assert manifest.provenance["classifier"] == {"began": identify_model("reference"), "trained": sha256}
    precision = manifest.statement[1]
    assert precision.values["tower"] == sha256
    forged = replace(precision, values={**precision.values, "tower": "f" * 64})
    statement = (manifest.statement[0], forged, *manifest.statement[2:])
    checks = verify(replace(manifest, statement=statement), RECIPE, inputs, tmp_path)
    assert [check.holds for check in checks] == [True, False, True, True]
    assert f"tower is '{sha256}', not '{'f' * 64}'" in checks[1].found


def test_a_tower_that_began_from_another_model_is_refused_before_it_is_trained(natural, inputs, tmp_path):
    manifest, _ = natural
    other = tmp_path / "other"
    shutil.copytree(reference_folder(), other)
    identify(manifest, tmp_path, model=str(other))
    path = next(other.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(
        Refusal, match=f"tuned_model {other} is not the model that the split's classifier was"
    ):
        verify(manifest, replace(RECIPE, tuned_model=str(other)), inputs, tmp_path / "work")
    with pytest.raises(Refusal, match="tuned_model reference is not the model"):
        verify(replace(manifest, provenance={}), RECIPE, inputs, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_what_a_gpu_trained_is_verified_by_the_same_weights_alone(natural, tmp_path):
    manifest, work = natural
    with pytest.raises(Refusal, match="trained on a GPU, which does not give the same weights again"):
        identify(manifest, tmp_path, device="cuda")
    identify(manifest, work, device="cuda")
    shutil.copytree(work / TRAINED, tmp_path / TRAINED)
    (tmp_path / TRAINED / WEIGHTS).write_bytes(b"other")
    with pytest.raises(Refusal, match="nobody can compute its claims again"):
        identify(manifest, tmp_path, device="cuda")


def test_test_sets_without_pictures_are_refused_before_training(inputs, tmp_path):
    tests = {"bare": Pictures(name="bare", stored=inputs.corpus.stored)}
    with pytest.raises(Refusal, match="only embeddings were given of bare: give it with its pictures"):
        build(replace(RECIPE, rendition_tests=("bare",)), replace(inputs, tests=tests), tmp_path / "work")
    assert not (tmp_path / "work").exists()
