import numpy as np
import pytest

from oddpair.errors import Refusal
from oddpair.eval.published.layout import (
    CLASSIFICATION,
    FILES,
    ZERO_SHOT,
    Concepts,
    choose_sets,
    join,
    read_published,
)


def test_scores_stand_beside_the_counts_of_their_set_and_concept(layout):
    published = read_published(layout())
    found = join(published, ("retrieval", "i2t_k=1"), "M", "c", "integrated_rampp0.7")
    assert isinstance(found, Concepts)
    assert found.count.tolist() == [0, 1, 10, 10, 100, 1000, 10000]
    assert found.score.tolist() == [0.9, 0.1, 0.1, 0.3, 0.4, 0.3, 0]
    assert found.key.tolist() == ["", "bee", "cow", "dog", "elk", "fox", "gnu"]
    assert found.n_blank == 0


def test_blank_counts_are_left_out_and_counted_never_taken_for_zero(layout):
    published = read_published(layout({"concept_counts.csv": {1: "cifar10,ant,,0,0,0"}}))
    found = join(
        published, (ZERO_SHOT, "ensemble"), "M", "c", "lemmatized", (*CLASSIFICATION, "imagenet-sketch")
    )
    assert isinstance(found, Concepts)
    assert found.count.tolist() == [1, 10, 10, 100, 1000, 10000]
    assert found.n_blank == 2


def test_a_concept_has_one_name_across_sets_that_write_it_otherwise(layout):
    found = join(read_published(layout()), (ZERO_SHOT, "ensemble"), "M", "c", "rampp0.7")
    assert isinstance(found, Concepts)
    assert found.key[found.dataset == "imagenet-sketch"].tolist() == ["elk"]
    assert len(found) == 8


@pytest.mark.parametrize(
    ("metric", "model", "corpus", "method", "reason"),
    [
        (("t2i", "max_clip"), "M", "c", "rampp0.7", "no scores of t2i max_clip are published"),
        ((ZERO_SHOT, "class"), "N", "c", "rampp0.7", "no scores of N trained on c are published"),
        ((ZERO_SHOT, "class"), "M", "c", "rampp0.5", "no counts rampp0.5 of c are published"),
    ],
)
def test_what_was_not_published_is_told(layout, metric, model, corpus, method, reason):
    assert join(read_published(layout()), metric, model, corpus, method) == reason


def test_image_counts_take_sketches_as_well_and_retrieval_all_its_sets():
    assert choose_sets(ZERO_SHOT, "integrated_rampp0.7") == (*CLASSIFICATION, "imagenet-sketch")
    assert choose_sets("retrieval", "lemmatized") is None


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_is_missing_is_named(layout, name):
    folder = layout()
    (folder / name).unlink()
    with pytest.raises(Refusal, match=f"lacks {name}: give the folder that holds all published tables"):
        read_published(folder)


@pytest.mark.parametrize(
    ("name", "line", "text", "message"),
    [
        ("concept_counts.csv", 2, "cifar10,ant,1,1,1,1", "line 3 repeats concept 'ant' of cifar10"),
        ("concept_counts.csv", 1, "cifar10,ant,-1,0,0,0", r"line 2: c\|lemmatized is -1, needed 0 or more"),
        ("zeroshot_acc_per_class_simple.csv", 1, "cifar10,ant,101", r"line 2: M\|c is 101, needed 0 to 100"),
        ("zeroshot_acc_per_class_simple.csv", 1, "cifar10,bee,1", "line 3: concept 'bee' of cifar10 comes twice"),
        ("retrieval_recall_per_concept.csv", 2, "coco,i2t_k=1,cat,0.5", "concept 'cat' of coco is not in concept_counts"),
        ("retrieval_recall_per_concept.csv", 2, "coco,i2t_k=1,bee,50", "line 3: .* is 50, needed 0 to 1"),
    ],
)  # fmt: skip
def test_tables_that_do_not_hold_together_are_refused_by_file_and_line(layout, name, line, text, message):
    with pytest.raises(Refusal, match=f"{name}.*{message}" if message.startswith("line") else message):
        read_published(layout({name: {line: text}}))


def test_the_published_layout_holds_what_its_readme_says(published_tables):
    found = published_tables
    assert len(found.concepts) == 6552
    assert len(found.scores[ZERO_SHOT, "ensemble"].of_model) == 18
    assert sum(len(scores.row) for (task, _), scores in found.scores.items() if task == "retrieval") == 5676
    sets = found.scores[ZERO_SHOT, "class"].dataset
    assert np.isin(CLASSIFICATION, sets).all()
    assert int(np.isin(sets, CLASSIFICATION).sum()) == 3469
