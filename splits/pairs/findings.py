"""What the pairs that a corpus shows say of the pairs of a test set: seen or not, how often, through which neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.pmi import FloatArray, IntArray, expect_pairs, pmi
from oddpair.retrieval.counting.pmi_intervals import pmi_interval
from oddpair.splits.pairs.graph import BoolArray, PairGraph, count_bipartite, find_identifiable
from oddpair.splits.pairs.paths import NO_PATH, find_paths

SEEN, UNSEEN, NOT_COUNTED, ABSENT, NESTED = "seen", "unseen", "not counted", "absent", "nested"
STATUSES = (SEEN, UNSEEN, NOT_COUNTED, ABSENT, NESTED)

STATUS_MEANINGS = (
    "Unseen here means together in no counted caption, though each of the two concepts is in some: it says nothing of "
    "pictures, of what captions leave out, or of captions that were set aside. A pair with a concept that no counted "
    "caption names is absent rather than unseen, as nothing could have shown it. A nested pair is no pair: its concepts "
    "are mentioned together by construction, by the rules of the count. Of a pair that was not counted nothing is known."
)

BOTH, SUPPORTED, IDENTIFIABLE, NEITHER = (
    "supported and identifiable",
    "supported only",
    "identifiable only",
    "neither",
)

SUPPORT_CONDITION = (
    "Supported: each of the two concepts occurs in enough captions by itself. This is compositional support (Wiedemer "
    "et al., Compositional Generalization from First Principles, arXiv:2307.05596), one of several conditions under "
    "which they prove that a model composes; their others, on the model and on the variety of what it has seen, cannot "
    "be read from counts. So it does not promise that a pair is understood, and without it nothing of the kind can be "
    "expected."
)
SUM_CONDITION = (
    "Identifiable: if what a model learns of a pair is a sum f(a) + f(b), then its values on the seen pairs determine "
    "its value on this one. They do if and only if e_a + e_b lies in the row space of the incidence matrix of the graph "
    "of seen pairs: a walk of odd length joins a and b, or both lie in components with a cycle of odd length. That "
    "embeddings of CLIP are nearly such sums is an observation of Trager et al. (arXiv:2302.14383), not a law. Captions "
    "that name one concept alone would determine f(a) by itself; counts cannot tell them and they are left out."
)
CAVEAT = (
    "Both are conditions of simple models, necessary there: a pair that meets them may still fail, and a model that is "
    "no such sum may succeed without them."
)

_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def describe_pairs(
    counts: Counts,
    graph: PairGraph,
    pairs: IntArray,
    *,
    support: int = 1,
    told: Callable[[int], None] | None = None,
) -> pa.Table:
    """Describe pairs by the counts of a corpus and the graph of its seen pairs, one row a pair.

    All of it is about captions: a pair that they never name together may still be in pictures, which ``count_image``
    tells where they are tagged. Where only some pairs were counted, degrees and common neighbours are the least that
    there can be, and a pair that is not identifiable may be so by pairs that were not counted.

    Args:
        counts: Of the corpus.
        graph: Of the same counts.
        pairs: Ids ``a < b``, shape ``(n_pairs, 2)``.
        support: Captions that each concept must occur in to be supported.
        told: Called with the number of pairs whose paths were found since, which takes most of the time.

    Returns:
        Columns ``a`` and ``b`` (names); ``status``: ``seen`` together in a counted caption; ``unseen``, together in
        none though each concept is in some; ``absent``, where a concept is in none; ``nested``, no pair because its
        concepts are mentioned together by construction; or ``not counted``; ``count_text``, ``count_image``,
        ``count_joint`` of the pair, null where it was not counted, as nested pairs never are; ``count_a`` and
        ``count_b``, captions; ``expected``, captions with both by chance; ``pmi`` in nats with its 95 % interval
        ``pmi_low`` to ``pmi_high``, null where not counted or undefined; ``degree_a`` and ``degree_b``, concepts seen
        with; ``common_neighbours``, concepts that both are seen with, of which ``strongest`` names the first by the
        smaller of their two counts, ``strongest_counts``; ``component_a``, ``component_b`` and their sizes in concepts;
        ``path``, edges of the shortest path, null where there is none; ``supported``; ``identifiable``; and
        ``composition``, the two in words.

    Raises:
        ValueError: If ``support`` is below 1 or the graph is of another vocabulary.
    """
    if support < 1 or len(graph) != len(counts.names):
        raise ValueError(
            f"support is {support}, needed 1 or more; the graph has {len(graph)} concepts, the counts "
            f"{len(counts.names)}"
        )
    names = pa.array(counts.names, pa.string())
    first, second = pairs[:, 0], pairs[:, 1]
    counted, text, image, joint = _look_up(counts, first, second)
    paths = find_paths(graph, pairs, told=told)
    supported = (counts.text[first] >= support) & (counts.text[second] >= support)
    identifiable = find_identifiable(graph, pairs)
    value, low, high = _find_pmi(text, counts.text[first], counts.text[second], counts.n_captions, counted)
    return pa.table(
        {
            "a": names.take(pa.array(first)),
            "b": names.take(pa.array(second)),
            "status": _find_status(counts, first, second, counted, text),
            "count_text": pa.array(text, mask=~counted),
            "count_image": _optional(image, ~counted),
            "count_joint": _optional(joint, ~counted),
            "count_a": counts.text[first],
            "count_b": counts.text[second],
            "expected": expect_pairs(counts.text[first], counts.text[second], counts.n_captions),
            "pmi": pa.array(value, mask=np.isnan(value)),
            "pmi_low": pa.array(low, mask=np.isnan(low)),
            "pmi_high": pa.array(high, mask=np.isnan(high)),
            "degree_a": graph.degrees[first],
            "degree_b": graph.degrees[second],
            "common_neighbours": paths.common,
            "strongest": pa.array(
                [[counts.names[near] for near in row] for row in paths.strongest], pa.list_(pa.string())
            ),
            "strongest_counts": pa.array(paths.strengths, pa.list_(pa.int64())),
            "component_a": graph.component[first],
            "component_b": graph.component[second],
            "size_a": graph.sizes[graph.component[first]],
            "size_b": graph.sizes[graph.component[second]],
            "path": pa.array(paths.lengths, mask=paths.lengths == NO_PATH),
            "supported": supported,
            "identifiable": identifiable,
            "composition": np.select(
                [supported & identifiable, supported, identifiable],
                [BOTH, SUPPORTED, IDENTIFIABLE],
                NEITHER,
            ),
        }
    )


def summarise_pairs(table: pa.Table, graph: PairGraph) -> dict[str, Any]:
    """Sum up what ``describe_pairs`` found, as JSON: pairs by status, their conditions, degrees and components.

    Args:
        table: The pairs.
        graph: The graph that they were described by.

    Returns:
        ``pairs``; ``statuses``, for each how many pairs, and of these how many supported, identifiable and both;
        ``shown``, unseen pairs whose two concepts some picture is tagged with, null without tags; ``degrees``, the
        quantiles over the concepts of the pairs, each once; ``components`` in which these concepts lie; ``graph``.
    """
    statuses = {}
    for status in STATUSES:
        chosen = table.filter(pc.equal(table["status"], status))
        conditions = [chosen[name].to_numpy() for name in ("supported", "identifiable")]
        statuses[status] = {
            "pairs": len(chosen),
            "supported": int(conditions[0].sum()),
            "identifiable": int(conditions[1].sum()),
            "both": int((conditions[0] & conditions[1]).sum()),
        }
    unseen = table.filter(pc.equal(table["status"], UNSEEN))
    tagged = table["count_image"].null_count < len(table)
    ends = {
        name: np.concatenate([table[f"{name}_{end}"].to_numpy() for end in "ab"])
        for name in ("degree", "component")
    }
    _, members = np.unique(np.concatenate([table["a"].to_numpy(), table["b"].to_numpy()]), return_index=True)
    degrees, components = ends["degree"][members], ends["component"][members]
    return {
        "pairs": len(table),
        "statuses": statuses,
        "shown": int(pc.sum(pc.greater(unseen["count_image"], 0)).as_py() or 0) if tagged else None,
        "degrees": {
            "concepts": len(members),
            "quantiles": {f"{share:g}": float(np.quantile(degrees, share)) for share in _QUANTILES},
        },
        "components": len(np.unique(components)),
        "graph": {
            "concepts": len(graph),
            "edges": len(graph.partners) // 2,
            "components": int((graph.sizes > 1).sum()),
            "largest": int(graph.sizes.max()),
            "bipartite": count_bipartite(graph),
            "alone": int((graph.sizes == 1).sum()),
        },
    }


def _find_status(
    counts: Counts, first: IntArray, second: IntArray, counted: BoolArray, text: IntArray
) -> NDArray[np.str_]:
    nested = np.isin(first * len(counts.names) + second, counts.nested)
    absent = (counts.text[first] == 0) | (counts.text[second] == 0)
    status: NDArray[np.str_] = np.select(
        [nested, absent, ~counted, text > 0], [NESTED, ABSENT, NOT_COUNTED, SEEN], UNSEEN
    )
    return status


def _look_up(
    counts: Counts, first: IntArray, second: IntArray
) -> tuple[BoolArray, IntArray, IntArray | None, IntArray | None]:
    """Look up which pairs were counted and their counts, 0 where they were not."""
    counted = counts.counted(first, second)
    found = counts.look_up(first[counted], second[counted])

    def spread(column: IntArray) -> IntArray:
        values = np.zeros(len(counted), np.int64)
        values[counted] = column
        return values

    image, joint = (None if column is None else spread(column) for column in (found.image, found.joint))
    return counted, spread(found.text), image, joint


def _find_pmi(
    pair: IntArray, first: IntArray, second: IntArray, n_captions: int, counted: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return PMI and its interval, NaN where the pair was not counted or a concept is absent."""
    value, low, high = np.full((3, len(pair)), np.nan)
    defined = counted & (first > 0) & (second > 0)
    if defined.any():
        of = (pair[defined], first[defined], second[defined], n_captions)
        interval = pmi_interval(*of)
        value[defined], low[defined], high[defined] = pmi(*of), interval.low, interval.high
    return value, low, high


def _optional(column: IntArray | None, missing: BoolArray) -> pa.Array:
    return pa.nulls(len(missing), pa.int64()) if column is None else pa.array(column, mask=missing)
