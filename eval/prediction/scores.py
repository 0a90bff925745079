"""The table of accuracies from what was scored and counted here: results by class beside the counts of corpora."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.prediction.corpus_counts import CorpusCounts, load_counts
from oddpair.eval.prediction.table import COUNTS, AccuracyTable, FloatArray, IntArray
from oddpair.eval.prediction.table_defects import find_defects, list_names
from oddpair.eval.prediction.table_file import Imported
from oddpair.eval.results import Found, TaskResult, find_results
from oddpair.eval.scoring.metrics import credit
from oddpair.eval.scoring.records import read_records

_KINDS = ("classification", "pairs")
BESIDE = " + "
_CODE = re.compile(r"n?\d+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """Rows of one model on one task; ``partner`` is -1 for classification."""

    found: Found
    target: IntArray
    partner: IntArray
    accuracy: FloatArray
    n: IntArray


def read_scores(
    paths: Iterable[Path], counts: Mapping[str, Path], trained_on: Mapping[str, str] | None = None
) -> Imported:
    """Join the results of models, class by class, with the counts of the corpora that they were trained on.

    A task of classification gives a row for each of its classes, by its key, or where keys are codes such as
    ``n01440764`` by its name, and ``name (key)`` where two share one. A task of pairs gives one for each ordered
    pair, ``target + partner``: its counts are those of the target, which was asked for, and its PMI is that of the
    two. Tasks of other kinds have no accuracy by concept, and are told. A class that was not counted has no count,
    which is not one of 0.

    Args:
        paths: What ``oddpair eval`` wrote; results below each.
        counts: Folder of ``oddpair count`` by the name of the corpus.
        trained_on: Corpus of each model, named ``model``, or ``model|pretrained`` where it was given weights; may be
            left out where there is one corpus.

    Returns:
        The table: the dataset is ``benchmark.task`` and ``n`` the questions asked.

    Raises:
        Refusal: If results or counts cannot be read or do not fit each other, no result has accuracies by class, one
            comes twice, models were asked different questions, or a model's corpus is not said.
    """
    every = find_results(paths)
    usable = [one for one in every if one.result.kind in _KINDS]
    if not usable:
        raise Refusal(
            f"none of {len(every)} results is of classification or pairs, which have accuracies by concept: give others"
        )
    _need_same_questions(usable)
    corpus_of = _choose_corpora([name_model(one.result) for one in usable], counts, trained_on or {})
    loaded = {corpus: load_counts(counts[corpus]) for corpus in sorted(set(corpus_of.values()))}
    lacking: dict[str, set[str]] = {corpus: set() for corpus in loaded}
    parts: list[dict[str, NDArray[Any]]] = []
    for one in usable:
        corpus = corpus_of[name_model(one.result)]
        parts.append(_join_counts(_read_rows(one), corpus, loaded[corpus], lacking[corpus]))
    table = AccuracyTable(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return Imported(table=table, notes=(*_tell(every, lacking), *find_defects(table)))


def name_model(result: TaskResult) -> str:
    """Return what a table calls the model of a result."""
    return f"{result.model}|{result.pretrained}" if result.pretrained else result.model


def _choose_corpora(
    models: Sequence[str], counts: Mapping[str, Path], trained_on: Mapping[str, str]
) -> dict[str, str]:
    names = sorted(set(models))
    if not counts:
        raise Refusal("no counts: give at least one folder that oddpair count wrote")
    strange = sorted(set(trained_on) - set(names))
    if strange:
        raise Refusal(
            f"no result is of a model {strange[0]!r}; there are {list_names(names)}: name one of them"
        )
    chosen = dict(trained_on) if trained_on or len(counts) > 1 else dict.fromkeys(names, next(iter(counts)))
    for model in names:
        if model not in chosen:
            raise Refusal(
                f"it is not said which of the corpora {list_names(sorted(counts))} model {model!r} was trained on: say so"
            )
        if chosen[model] not in counts:
            raise Refusal(
                f"model {model!r} was trained on {chosen[model]!r}, of which there are no counts, only of "
                f"{list_names(sorted(counts))}: give them"
            )
    return chosen


def _need_same_questions(usable: Sequence[Found]) -> None:
    """Refuse what one table cannot hold: a task twice for a model, or under one name two different tasks."""
    scored: dict[tuple[str, str], Path] = {}
    asked: dict[str, Found] = {}
    for one in usable:
        dataset = _name_dataset(one.result)
        key = name_model(one.result), dataset
        if key in scored:
            raise Refusal(
                f"{one.path} scores {key[0]!r} on {dataset} again, after {scored[key]}: leave one out"
            )
        scored[key] = one.path
        first = asked.setdefault(dataset, one)
        if one.result.hashes["questions"] != first.result.hashes["questions"]:
            raise Refusal(
                f"{one.path} answers other questions of {dataset} than {first.path}: score both models on the same"
            )


def _read_rows(found: Found) -> _Rows:
    result = found.result
    records = read_records(found.record_path, result.kind)
    if files.sha256(found.record_path) != result.records:
        raise Refusal(f"{found.record_path} is not what {found.path} was made from: score the model again")
    target, partner = (records[name].to_numpy().astype(np.int64) for name in ("target", "partner"))
    n_classes = len(result.class_names)
    if max(target.max(), partner.max()) >= n_classes:
        raise Refusal(
            f"{found.record_path} names a class {max(target.max(), partner.max())}, {found.path} has {n_classes}: "
            "score the model again"
        )
    # The partner is -1 where there is none.
    keys, places = np.unique(target * (n_classes + 1) + partner + 1, return_inverse=True)
    n = np.bincount(places.reshape(-1))
    earned = np.bincount(places.reshape(-1), weights=credit(records, result.kind))
    return _Rows(
        found=found,
        target=keys // (n_classes + 1),
        partner=keys % (n_classes + 1) - 1,
        # A sum of parts such as thirds may miss a whole number by its last bits.
        accuracy=np.minimum(np.round(earned, 9) / n, 1.0),
        n=n.astype(np.int64),
    )


def _join_counts(
    rows: _Rows, corpus: str, counts: CorpusCounts, lacking: set[str]
) -> dict[str, NDArray[Any]]:
    result = rows.found.result
    names = _name_classes(result)
    spellings = zip(names, result.class_names, result.class_keys, strict=True)
    ids = np.array([counts.find(spelling) for spelling in spellings], dtype=np.int64)
    used = np.union1d(rows.target, rows.partner[rows.partner >= 0])
    lacking.update(names[place] for place in used.tolist() if ids[place] < 0)
    size = len(rows.target)
    if result.kind == "pairs":
        concept = [
            f"{names[a]}{BESIDE}{names[b]}"
            for a, b in zip(rows.target.tolist(), rows.partner.tolist(), strict=True)
        ]
        pmi = counts.pmi(ids[rows.target], ids[rows.partner])
    else:
        concept, pmi = [names[place] for place in rows.target.tolist()], np.full(size, np.nan)
    found = counts.count(ids[rows.target])
    return {
        "model": np.full(size, name_model(result)),
        "corpus": np.full(size, corpus),
        "dataset": np.full(size, _name_dataset(result)),
        "concept": np.array(concept, dtype=np.str_),
        "accuracy": rows.accuracy,
        "n": rows.n.astype(np.float64),
        **{name: found[name] for name in COUNTS},
        "pmi": pmi,
    }


def _name_classes(result: TaskResult) -> list[str]:
    """Return a different name for each class, one that can be the same in other tasks."""
    # What prompts call a class may begin with an article.
    if not any(_CODE.fullmatch(key) for key in result.class_keys):
        return list(result.class_keys)
    times = Counter(result.class_names)
    return [
        name if times[name] == 1 else f"{name} ({key})"
        for name, key in zip(result.class_names, result.class_keys, strict=True)
    ]


def _name_dataset(result: TaskResult) -> str:
    return f"{result.benchmark}.{result.task}"


def _tell(every: Sequence[Found], lacking: Mapping[str, set[str]]) -> list[str]:
    notes = []
    others = sorted(
        {f"{_name_dataset(one.result)} ({one.result.kind})" for one in every if one.result.kind not in _KINDS}
    )
    if others:
        notes.append(f"left out, having no accuracy by concept: {list_names(others, quoted=False)}")
    for corpus, names in lacking.items():
        if names:
            notes.append(
                f"{corpus}: {len(names):,} classes are not among the counted concepts, or could be several, and have no "
                f"count: {list_names(sorted(names))}"
            )
    damaged = sum(one.result.damaged for one in every if one.result.kind in _KINDS)
    if damaged:
        notes.append(f"{damaged:,} damaged pictures were set aside when models were scored")
    return notes
