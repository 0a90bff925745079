"""The report of a small run: a drawn world with made-up embeddings and made-up answers, so nothing is trained."""

import html as markup
import re
import shutil
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from oddpair import files
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.rows import RENDITIONS
from oddpair.demo import build, report
from oddpair.demo.analyse import analyse_world
from oddpair.demo.pictures import STYLES, choose_world_pictures, rows_that_left
from oddpair.demo.plan import make_plan
from oddpair.demo.predict import TASKS, records_path
from oddpair.demo.split import split_world
from oddpair.demo.tables import make_tables
from oddpair.eval.scoring.classification import score_classification
from oddpair.eval.scoring.pairs import score_pairs
from oddpair.eval.scoring.records import write_records
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.manifest import read_manifest
from oddpair.stages import begin, finish

SECTIONS = [
    "The world",
    "Is the test out of distribution in style?",
    "Could accuracy have been predicted?",
    "Objects never seen together",
    "Does PMI add to counts?",
    "Was the planted truth found?",
    "Split cards",
    "How this was made",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with everything that a report reads."""
    out = tmp_path_factory.mktemp("run")
    plan = make_plan("small", seed=0)
    made = build.Run(plan=plan, out=out, workers=1)
    build.draw_world(made)
    for name in ("corpus", *build.TESTS):
        _embed(out, name)
    build.count_world(made)
    split_world(plan, out)
    begin(out / "models" / "natural-strict", {"torch": "0.0"})
    _answer(out)
    analyse_world(plan, out)
    return out


@pytest.fixture(scope="module")
def results(run):
    return files.read_json(run / "results" / "results.json")


@pytest.fixture(scope="module")
def page(run, results):
    return report.write_report(run, results).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(page):
    return " ".join(markup.unescape(re.sub(r"<[^>]+>", " ", page.split("</style>", 1)[1])).split())


def _embed(out, name):
    """Write embeddings in which concepts and styles are directions, as the encoder's stage would."""
    corpus, folder = open_corpus(out / "world" / name), out / "embeddings" / name
    begin(folder, {"made": "up"})
    directions = np.random.default_rng(0).normal(size=(len(CONCEPTS) + len(STYLES), 24))
    rng = np.random.default_rng(len(corpus))
    for index, (shard, size) in enumerate(zip(corpus.shards, corpus.sizes, strict=True)):
        rows = corpus.read(shard)
        weights = np.zeros((size, len(directions)))
        for row, (concepts, style) in enumerate(
            zip(rows.columns["concepts"].to_pylist(), rows.columns["style"].to_pylist(), strict=True)
        ):
            weights[row, [CONCEPTS.index(concept) for concept in concepts]] = 1
            weights[row, len(CONCEPTS) + STYLES.index(style)] = 2
        image = weights @ directions + 0.3 * rng.normal(size=(size, 24))
        image /= np.linalg.norm(image, axis=1, keepdims=True)
        for kind, array in (("img_emb", image), ("texture", image[:, :6]), ("text_emb", image)):
            files.write_array(folder / kind / f"{kind}_{index:04d}.npy", array.astype(np.float16))
        files.write_table(
            folder / "metadata" / f"metadata_{index:04d}.parquet",
            pa.table({"caption": list(rows.captions), "uid": list(rows.uids)}),
        )
    files.write_json(
        folder / "manifest.json",
        {
            "rows": list(corpus.sizes),
            "dimensions": {"img_emb": 24, "text_emb": 24, "texture": 6},
            "texts": True,
            "encoder_sha256": "0" * 64,
        },
    )
    finish(folder)


def _answer(out):
    """Write predictions that get better with the count, and of which only the control knows renditions."""
    counts = files.read_table(out / "counts" / "counts.parquet")
    number = dict(zip(counts["name"].to_pylist(), counts["count_text"].to_pylist(), strict=True))
    chance = {name: min(0.9, 0.05 + 0.4 * np.log10(1 + n)) for name, n in number.items()}
    begin(out / "predictions", {"made": "up"})
    for model in build.MODELS:
        rng = np.random.default_rng(0)
        for task, kind in TASKS.items():
            truth = open_corpus(out / "world" / task).metadata(["style", "concepts"]).to_pylist()
            asked = [(row, *order) for row in truth for order in _orders(row["concepts"])]
            known = model == "control" or task != "rendition"
            hits = [rng.random() < chance[target] * (0.9 if known else 0.1) for _, target, _ in asked]
            others = [
                next(name for name in CONCEPTS if name not in (target, partner))
                for _, target, partner in asked
            ]
            said = [
                target if hit else other
                for hit, other, (_, target, _) in zip(hits, others, asked, strict=True)
            ]
            write_records(records_path(out, model, task), kind, _score(kind, asked, said))
    finish(out / "predictions")


def _score(kind, asked, said):
    """Score pictures that are the very vector of what is said of them."""
    vectors = np.eye(len(CONCEPTS))
    questions: dict[str, Any] = {
        "keys": [row["uid"] for row, _, _ in asked],
        "uids": [row["uid"] for row, _, _ in asked],
        "styles": [row["style"] for row, _, _ in asked],
        "images": vectors[[CONCEPTS.index(name) for name in said]],
        "target": [CONCEPTS.index(target) for _, target, _ in asked],
        "logit_scale": 1.0,
    }
    if kind == "classification":
        return score_classification(vectors=vectors, **questions)
    partner = [CONCEPTS.index(name) for _, _, name in asked]
    return score_pairs(partner=partner, pair_vectors=lambda _: vectors, **questions)


def _orders(concepts):
    return [(concepts[0], "")] if len(concepts) == 1 else [tuple(concepts), tuple(concepts[::-1])]


def test_the_sections_stand_in_their_order(page):
    assert re.findall(r"<h2>(.*?)</h2>", page) == SECTIONS


def test_the_page_needs_nothing_but_itself(page):
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert not re.search(r"url\((?!#)", page)
    assert len(page.encode()) < 3_000_000


def test_equal_runs_give_equal_bytes_wherever_they_are(run, results, page, tmp_path):
    elsewhere = tmp_path / "another place"
    shutil.copytree(run, elsewhere)
    (elsewhere / "report.html").unlink()
    assert report.write_report(elsewhere, results).read_text(encoding="utf-8") == page
    assert str(run) not in page


def test_every_table_of_the_terminal_is_on_the_page(run, results, text):
    for table in make_tables(run, results):
        assert table.title in text
        for row in table.rows:
            assert all(cell in text for cell in row), row


def test_what_was_planted_in_the_answers_is_what_the_page_says(text):
    worse = text.split("worse than its control on ")[1].split(". ")[0]
    assert all(style in worse for style in RENDITIONS)
    assert "natural" not in worse
    assert "Accuracy rises with log count" in text
    assert "None of the" in text
    assert "All 20 tested held-out pairs were found unseen" in text


def test_every_split_has_its_card_with_the_hash_of_its_uids(run, text):
    for name in (
        "natural-strict",
        "rendition-strict",
        "control",
        "control-size",
        "pairs-unseen",
        "pairs-seen",
    ):
        assert f"sha256 of the uids {read_manifest(run / 'splits' / name).uids_sha256}" in text


def test_the_page_names_the_command_that_makes_it_again(results, text):
    assert "oddpair demo --size small --seed 0" in text
    assert (
        report.command_for({**results["plan"], "steps": 9}) == "oddpair demo --size small --seed 0 --steps 9"
    )
    assert report.command_for(make_plan("demo", seed=0).as_inputs()) == "make demo"
    assert report.command_for({**results["plan"], "per_pair": 5}) == ""


def test_pictures_are_of_one_object_in_every_style(run):
    corpus = open_corpus(run / "world" / "corpus")
    found = choose_world_pictures(corpus, concepts=4)
    shown = {}
    for shard in corpus.shards:
        rows = corpus.read(shard)
        for data, style, concepts in zip(
            rows.images, rows.columns["style"].to_pylist(), rows.columns["concepts"].to_pylist(), strict=True
        ):
            shown[data] = (style, concepts)
    assert len(found.concepts) == 4
    for name, row in zip(found.concepts, found.grid, strict=True):
        assert [shown[data] for data in row] == [(style, [name]) for style in STYLES]


def test_captions_of_every_kind_are_shown_beside_what_they_name(run):
    found = choose_world_pictures(open_corpus(run / "world" / "corpus")).captions
    assert list(dict.fromkeys(kind for kind, *_ in found)) == [
        "names what is there",
        "names one of two",
        "trap: one name holds another",
        "names nothing",
        "names something that is not there",
    ]
    for kind, caption, shown, named in found:
        assert (named == "–") == (kind == "names nothing"), caption
        if kind == "names one of two":
            assert named in shown.split(", ")


def test_rows_that_left_come_nearest_first_with_a_test_picture_of_another_style(run):
    left = rows_that_left(run, most=5)
    claims = [claim.values for claim in read_manifest(run / "splits" / "natural-strict").statement]
    (threshold,) = (values["threshold"] for values in claims if values["claim"] == "nearest")
    assert 0 < len(left) <= 5
    assert [row.similarity for row in left] == sorted((row.similarity for row in left), reverse=True)
    assert all(row.similarity > threshold and row.test_style in RENDITIONS for row in left)
