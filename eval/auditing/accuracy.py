"""The accuracy on a test set that concept counts foretell, and what in-domain rows of the corpus account for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.eval.auditing.asked import Material
from oddpair.eval.auditing.concepts import ConceptsFound
from oddpair.eval.auditing.forecast import FEWEST_CONCEPTS, FEWEST_DATASETS, Known, Shown, forecast
from oddpair.eval.auditing.found import Accuracy, find_share
from oddpair.eval.intervals import Estimate
from oddpair.eval.prediction.support import find_support
from oddpair.eval.prediction.table import AccuracyTable
from oddpair.eval.prediction.table_file import read_table
from oddpair.progress import track
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.finding import Finding
from oddpair.retrieval.counting.rows import repeat_rows
from oddpair.retrieval.unit_rows import IntArray
from oddpair.retrieval.words import normalise
from oddpair.splits.corpus_counts import CorpusCounts
from oddpair.splits.pool import pool_of_uids


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyFound:
    """What was foretold; ``accuracy`` is ``None`` where ``why`` says what is missing, and what to give."""

    accuracy: Accuracy | None
    why: str


def find_accuracy(
    material: Material,
    found: ConceptsFound,
    in_domain: pa.Array | None,
    what: Literal["style", "gap", "none"],
) -> AccuracyFound:
    """Foretell a model's accuracy on the test set from how often the corpus names what its images show.

    An image of several concepts stands for its rarest. Of the table only the one model's accuracies and caption counts are
    used, and of these none of a dataset that is named like the test set, as ``natural`` or ``miniature.natural`` are like a
    folder ``natural``: what was measured there is told as ``known``. A table that has the test's pictures under another
    name besides has met the test, which nothing here can notice. Its counts are of the corpus that the model was trained on,
    which may be another than the one that is audited.

    Args:
        material: With the table, and the corpus to count in.
        found: Concepts of the test set.
        in_domain: Uids of in-domain corpus rows; ``None`` where nothing tells which they are.
        what: What they were found by.

    Returns:
        The forecast, or why there is none.

    Raises:
        Refusal: If the table cannot be read, or does not have the model that was asked for.
    """
    if material.table is None:
        return _leave_out(
            "no accuracies: oddpair predict --import scores ... makes a table; give it as --accuracies, and --for MODEL "
            "where it has several"
        )
    if found.opened is None:
        return _leave_out(f"no accuracy can be foretold without concepts; {found.why}")
    table = read_table(material.table)
    model = _choose_model(material, table)
    if model is None:
        return _leave_out(
            f"no accuracy: {material.table.name} has {len(table.models):,} models: name one with --for, such as "
            f"{table.models[0]}"
        )
    support = table.n if not np.isnan(table.n).any() else find_support(table)
    same = _mark_same(table, material.name)
    here = (table.model == model) & table.known
    fitted = here & ~same & ~np.isnan(table.count_text)
    datasets = len(np.unique(table.dataset[fitted]))
    if datasets < FEWEST_DATASETS:
        return _leave_out(
            f"no accuracy: {material.table.name} has counts and accuracies of {model} on {datasets} datasets other than "
            f"{material.name}, and how much these differ is not known of fewer than {FEWEST_DATASETS}: score it on more"
        )
    shown = _count_shown(material.corpus.need_corpus(), found.images, found.opened, in_domain)
    known = Known(
        dataset=table.dataset[fitted],
        counts=table.count_text[fitted].astype(np.int64),
        accuracy=table.accuracy[fitted],
        support=support[fitted],
    )
    with track("foretell accuracies", datasets, "datasets") as progress:
        foretold = forecast(known, shown)
        progress.advance(datasets)
    if foretold is None:
        return _leave_out(
            f"no accuracy: of {datasets} datasets of {model} in {material.table.name} fewer than {FEWEST_DATASETS} have "
            f"{FEWEST_CONCEPTS} concepts of different counts: score it on more"
        )
    # Without any in-domain row the counts are the same.
    last = None if in_domain is None else len(shown) - 1
    return AccuracyFound(
        accuracy=Accuracy(
            model=model,
            all=foretold.means[0],
            without=None if last is None else foretold.means[last],
            explained=None if last is None else foretold.differences[last],
            in_domain=what,
            in_domain_rows=0 if in_domain is None else len(in_domain),
            datasets=foretold.datasets,
            known=_find_known(table, support, here & same),
        ),
        why="",
    )


def count_among(corpus: Corpus, vocabulary: Vocabulary, uids: pa.Array) -> IntArray:
    """Count the concepts in the captions of some rows of a corpus, as ``oddpair count`` counts them in all.

    Args:
        corpus: The corpus; its captions are read once, some rows at a time.
        vocabulary: The concepts.
        uids: Rows that count, in any order.

    Returns:
        Captions that name each concept, shape ``(len(vocabulary),)``.
    """
    among, finder = pool_of_uids(uids), Finding().make_finder(vocabulary)
    counts = np.zeros(len(vocabulary), np.int64)
    repeated = corpus.subset is not None
    with track("count in-domain captions", len(corpus), "rows") as progress:
        for batch in corpus.batches(["copies"] if repeated else []):
            inside = among.places(batch.table["uid"].combine_chunks()) >= 0
            rows = batch.table.filter(pa.array(inside))
            mentions = finder.find(rows["caption"])
            if repeated:
                mentions = repeat_rows(mentions, rows["copies"].to_numpy())
            counts += np.bincount(mentions.concepts, minlength=len(counts))
            progress.advance(batch.table.num_rows)
    return counts


def _leave_out(why: str) -> AccuracyFound:
    return AccuracyFound(accuracy=None, why=why)


def _choose_model(material: Material, table: AccuracyTable) -> str | None:
    asked = material.asked.model
    if asked is None:
        return table.models[0] if len(table.models) == 1 else None
    if asked not in table.models:
        raise Refusal(
            f"{material.table} has no model {asked!r}, it has {', '.join(table.models)}: name one of them with --for"
        )
    return asked


def _mark_same(table: AccuracyTable, test: str) -> NDArray[np.bool_]:
    """Mark the rows whose dataset is called like the test set: as a whole, or by its task behind the last dot."""
    wanted = normalise(test)
    same = [
        name for name in table.datasets if wanted in (normalise(name), normalise(name.rpartition(".")[2]))
    ]
    return np.isin(table.dataset, same)


def _count_shown(
    corpus: Corpus, images: pa.Table, opened: CorpusCounts, in_domain: pa.Array | None
) -> list[Shown]:
    """Put what images show beside the counts of all rows and, if there are in-domain rows, those of the others."""
    concepts = images["concepts"].combine_chunks()
    names = pa.array(opened.vocabulary.names, concepts.type.value_type)
    ids = pc.index_in(concepts.flatten(), value_set=names).to_numpy().astype(np.int64)
    image = pc.list_parent_indices(concepts).to_numpy()
    counts = opened.counts.text
    shown = [_choose_rarest(image, ids, counts)]
    if in_domain is not None and len(in_domain):
        others = counts - count_among(corpus, opened.vocabulary, in_domain)
        shown.append(_choose_rarest(image, ids, others))
    return shown


def _choose_rarest(image: IntArray, ids: IntArray, counts: IntArray) -> Shown:
    """Let each image stand for the rarest concept that it shows, of equally rare ones the first of the vocabulary."""
    order = np.lexsort((ids, counts[ids], image))
    first = np.unique(image[order], return_index=True)[1]
    stands = np.bincount(ids[order[first]], minlength=len(counts))
    used = np.unique(ids)
    return Shown(counts=counts[used], images=stands[used])


def _find_known(
    table: AccuracyTable, support: NDArray[np.float64], rows: NDArray[np.bool_]
) -> Estimate | None:
    """Find what was measured on the test set; nothing where several datasets have its name."""
    if len(np.unique(table.dataset[rows])) != 1:
        return None
    n = round(support[rows].sum())
    share = find_share(round((table.accuracy[rows] * support[rows]).sum()), n)
    return Estimate(
        value=share.value,
        low=share.low,
        high=share.high,
        n=n,
        what=f"accuracy measured on {table.dataset[rows][0]}",
    )
