import dataclasses

import numpy as np
import pytest
from tests.splits.pairs.test_graph import counts_of

from oddpair.retrieval.counting.pmi_intervals import pmi_interval
from oddpair.splits.pairs.findings import describe_pairs, summarise_pairs
from oddpair.splits.pairs.graph import build_graph

# A triangle 0 1 2 with a tail to 3; 4 and 5 see only each other; 6 is in no caption.
EDGES = {(0, 1): 5, (0, 2): 20, (1, 2): 30, (2, 3): 10, (3, 4): 0, (4, 5): 1}
TEXT = [100, 200, 300, 40, 50, 2, 0]


def counted(**changes):
    return dataclasses.replace(counts_of(7, EDGES, text=TEXT), **changes)


def describe(pairs, *, minimum=1, support=1, **changes):
    counts = counted(**changes)
    graph = build_graph(counts, minimum=minimum)
    table = describe_pairs(counts, graph, np.array(pairs, np.int64), support=support)
    return table.to_pylist(), summarise_pairs(table, graph)


def test_a_seen_pair_has_its_counts_its_pmi_and_its_neighbours():
    (row,), _ = describe([[0, 1]])
    interval = pmi_interval(np.array([5]), np.array([100]), np.array([200]), 1000)
    assert row == {
        "a": "c0",
        "b": "c1",
        "status": "seen",
        "count_text": 5,
        "count_image": None,
        "count_joint": None,
        "count_a": 100,
        "count_b": 200,
        "expected": 20.0,
        "pmi": pytest.approx(np.log(5 / 20)),
        "pmi_low": interval.low[0],
        "pmi_high": interval.high[0],
        "degree_a": 2,
        "degree_b": 2,
        "common_neighbours": 1,
        "strongest": ["c2"],
        "strongest_counts": [20],
        "component_a": 0,
        "component_b": 0,
        "size_a": 4,
        "size_b": 4,
        "path": 1,
        "supported": True,
        "identifiable": True,
        "composition": "supported and identifiable",
    }


def test_an_unseen_pair_has_pmi_minus_infinity_with_an_upper_limit_and_a_path_if_there_is_one():
    (near, listed, apart), _ = describe([[0, 3], [3, 4], [0, 4]])
    assert [row["status"] for row in (near, listed, apart)] == ["unseen"] * 3
    assert (near["count_text"], near["pmi"], near["pmi_low"]) == (0, -np.inf, -np.inf)
    assert near["pmi_high"] == pytest.approx(np.log(-np.log(0.05) / 4))
    assert (near["path"], near["common_neighbours"], near["composition"]) == (
        2,
        1,
        "supported and identifiable",
    )
    # In a component of two sides the sum is not determined by that of another component.
    assert (apart["path"], apart["component_b"], apart["size_b"]) == (None, 1, 2)
    assert apart["composition"] == "supported only"


def test_support_is_of_each_concept_alone_and_a_concept_of_no_caption_has_no_pmi():
    rows, _ = describe([[0, 3], [4, 5], [5, 6]], support=41)
    assert [row["composition"] for row in rows] == ["identifiable only", "identifiable only", "neither"]
    assert (rows[2]["expected"], rows[2]["pmi"], rows[2]["pmi_low"], rows[2]["pmi_high"]) == (
        0,
        None,
        None,
        None,
    )
    assert [row["supported"] for row in describe([[4, 5], [5, 6]])[0]] == [True, False]


def test_a_minimum_takes_edges_from_the_graph_but_leaves_what_is_seen_seen():
    (row,), summary = describe([[0, 1]], minimum=6)
    assert (row["status"], row["count_text"], row["path"], row["degree_a"]) == ("seen", 5, 2, 1)
    # Without that edge there is no triangle, and 0 and 1 are on one side.
    assert not row["identifiable"]
    assert summary["graph"] == {
        "concepts": 7,
        "edges": 3,
        "components": 1,
        "largest": 4,
        "bipartite": 1,
        "alone": 3,
    }


def test_a_pair_that_was_not_counted_is_never_called_unseen():
    members = np.array([0, 1, 2])
    rows, summary = describe([[0, 1], [0, 3], [2, 3], [3, 4]], members=members)
    assert [row["status"] for row in rows] == ["seen", "not counted", "seen", "unseen"]
    assert (rows[1]["count_text"], rows[1]["pmi"], rows[1]["pmi_high"]) == (None, None, None)
    # Chance, support and what the counted pairs tell are known of it all the same.
    assert (rows[1]["expected"], rows[1]["path"], rows[1]["composition"]) == (
        4.0,
        2,
        "supported and identifiable",
    )
    assert {name: part["pairs"] for name, part in summary["statuses"].items()} == {
        "seen": 2,
        "unseen": 1,
        "not counted": 1,
        "absent": 0,
        "nested": 0,
    }


def test_a_pair_with_a_concept_of_no_caption_is_absent_and_a_nested_one_no_pair():
    nested = np.array([0 * 7 + 4, 1 * 7 + 6])
    rows, summary = describe([[0, 3], [0, 4], [1, 6], [2, 6]], nested=nested)
    assert [row["status"] for row in rows] == ["unseen", "nested", "nested", "absent"]
    assert [row["count_text"] for row in rows] == [0, None, None, 0]
    assert [summary["statuses"][name]["pairs"] for name in ("unseen", "nested", "absent")] == [1, 2, 1]
    # Whatever was counted, none of its captions can hold it.
    (row,), _ = describe([[5, 6]], members=np.array([0, 1, 2]))
    assert (row["status"], row["count_text"]) == ("absent", None)


def test_pictures_tell_of_pairs_that_no_caption_holds():
    edges = len(EDGES)
    rows, summary = describe(
        [[0, 3], [3, 4]],
        image=np.full(7, 90),
        joint=np.zeros(7, np.int64),
        pair_image=np.arange(edges),
        pair_joint=np.zeros(edges, np.int64),
    )
    assert [(row["count_text"], row["count_image"], row["count_joint"]) for row in rows] == [
        (0, 0, 0),
        (0, 4, 0),
    ]
    assert summary["shown"] == 1
    assert describe([[0, 3]])[1]["shown"] is None


def test_the_summary_counts_conditions_by_status_and_degrees_of_each_concept_once():
    _, summary = describe([[0, 1], [0, 3], [0, 4], [4, 5]], support=41)
    assert summary["statuses"] == {
        "seen": {"pairs": 2, "supported": 1, "identifiable": 2, "both": 1},
        "unseen": {"pairs": 2, "supported": 1, "identifiable": 1, "both": 0},
        "not counted": {"pairs": 0, "supported": 0, "identifiable": 0, "both": 0},
        "absent": {"pairs": 0, "supported": 0, "identifiable": 0, "both": 0},
        "nested": {"pairs": 0, "supported": 0, "identifiable": 0, "both": 0},
    }
    # Of concepts 0, 1, 3, 4 and 5: 2, 2, 1, 1, 1.
    assert summary["degrees"] == {
        "concepts": 5,
        "quantiles": {"0": 1.0, "0.25": 1.0, "0.5": 1.0, "0.75": 2.0, "1": 2.0},
    }
    assert summary["components"] == 2
    assert summary["graph"] == {
        "concepts": 7,
        "edges": 5,
        "components": 2,
        "largest": 4,
        "bipartite": 1,
        "alone": 1,
    }


def test_findings_that_make_no_sense_are_an_error():
    counts = counted()
    with pytest.raises(ValueError, match="support is 0, needed 1 or more"):
        describe_pairs(counts, build_graph(counts), np.array([[0, 1]]), support=0)
    with pytest.raises(ValueError, match="the graph has 2 concepts, the counts 7"):
        describe_pairs(counts, build_graph(counts_of(2, {(0, 1): 1})), np.array([[0, 1]]))
