from dataclasses import replace

import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.fine_tune import FineTuning
from oddpair.retrieval.stored import open_stored
from oddpair.splits.pool import pool_of_stored
from oddpair.splits.styles.features import StyleFeatures
from oddpair.splits.styles.fine_tune import fit_fine_tuned
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
