"""Rules that counts of concepts obey: whoever breaks one is told, and who keeps all is not."""

from tests.eval.prediction.accuracy_tables import make_table

from oddpair.eval.prediction.table_defects import find_defects

WHOLE = {"count_text": 5, "count_image": 7, "count_joint": 3}


def test_counts_that_hold_are_not_told():
    rows = [{"dataset": name, "concept": "cat", **WHOLE} for name in ("a", "b")]
    assert find_defects(make_table(rows)) == ()


def test_a_joint_count_is_held_against_the_side_that_is_known():
    rows = [
        {"concept": "a", "count_text": 5, "count_image": 7, "count_joint": 6},
        {"concept": "b", "count_image": 7, "count_joint": 8},
        {"concept": "c", "count_joint": 8},
    ]
    assert find_defects(make_table(rows))[0] == "c: joint counts above those of text or image alone: 'a', 'b'"


def test_one_concept_is_one_by_its_normalised_name_and_each_corpus_on_its_own():
    rows = [
        {"dataset": "a", "concept": "Pine_Tree", **WHOLE},
        {"dataset": "b", "concept": "pine tree", **WHOLE, "count_text": 6},
        {"model": "k", "corpus": "e", "dataset": "b", "concept": "pine tree", **WHOLE, "count_text": 9},
    ]
    assert find_defects(make_table(rows)) == (
        "count_text differs between datasets for one and the same concept, of which there are in c 1: 'pine tree'",
    )


def test_datasets_that_share_names_are_one_group_however_they_are_linked():
    names = {"a": "pqrs", "b": "pqxy", "c": "rsuv", "e": "ijkl", "f": "pijk"}
    rows = [{"dataset": name, "concept": one, **WHOLE} for name, listed in names.items() for one in listed]
    assert find_defects(make_table(rows)) == (
        "a, b, c share names, 4 of 8: what pools datasets counts these concepts more than once",
        "e, f share names, 3 of 5: what pools datasets counts these concepts more than once",
    )
