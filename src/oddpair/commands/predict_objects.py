"""``oddpair predict`` of a table with a column ``objects``: unseen sets from single counts, and scaling with data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from oddpair import files
from oddpair.commands.predict_objects_page import make_report
from oddpair.commands.predict_page import write_report
from oddpair.eval.composing.objects import ObjectSamples
from oddpair.eval.composing.objects_file import read_objects
from oddpair.eval.composing.scaling import LEAST_CORPORA, scale
from oddpair.eval.composing.scaling_rows import scale_sets
from oddpair.eval.composing.unseen import UnseenPrediction, find_obstacle, predict_unseen

SCORES, PREDICTIONS = "scores.json", "predictions.parquet"
_SEED = 0


def predict_objects(path: Path, counts: Mapping[str, Path], out: Path | None) -> dict[str, Any]:
    """Predict how models do on sets of objects that their corpora never show together.

    Args:
        path: Table of samples, see `oddpair.eval.composing.objects_file.read_objects`.
        counts: Folder of ``oddpair count`` by the name of the corpus.
        out: Folder for ``scores.json``, ``predictions.parquet`` (a row for each unseen sample) and the report; ``None``
            writes none.

    Returns:
        By model, by corpus (all its models together, where it has several) and from smaller corpora to the largest;
        ``left_out`` says why there is nothing to say.

    Raises:
        Refusal: If the table or the counts cannot be read.
    """
    samples = read_objects(path, counts)
    by_model = {model: _predict(samples, samples.model == model) for model in samples.models}
    several = [
        corpus for corpus in samples.corpora if len(np.unique(samples.model[samples.corpus == corpus])) > 1
    ]
    found = {
        "rows": len(samples),
        "models": {model: _tell(each) for model, each in by_model.items()},
        "corpora": {corpus: _tell(_predict(samples, samples.corpus == corpus)) for corpus in several},
        "scaling": _scale(samples),
    }
    if out is not None:
        files.write_json(out / SCORES, found)
        _write_predictions(out / PREDICTIONS, samples, by_model)
        write_report(out, make_report(samples, by_model))
    return found


def show_objects(found: Mapping[str, Any]) -> Iterator[str]:
    """Say in lines what `predict_objects` found."""
    for kind in ("models", "corpora"):
        for name, each in found[kind].items():
            label = name if kind == "models" else f"all models of {name}"
            if "left_out" in each:
                yield f"{label}: no prediction: {each['left_out']}"
            else:
                yield from _show_unseen(label, each)
    scaling = found["scaling"]
    if "left_out" in scaling:
        yield f"scaling with data: {scaling['left_out']}"
        return
    yield f"{scaling['largest']} predicted from smaller corpora, {scaling['n']:,} {scaling['kind']}:"
    for score in scaling["scores"]:
        whole = score["whole"]
        quoted = " (the law to quote)" if score["law"] == scaling["default"] else ""
        yield (
            f"  {score['law']}: {100 * whole['predicted']:.1f} % predicted, {100 * whole['observed']:.1f} % found, "
            f"error {_with_interval(whole['error'], 1)} points{quoted}"
        )
    yield from (f"  {note}" for note in scaling["notes"])


def _predict(samples: ObjectSamples, rows: np.ndarray[Any, np.dtype[np.bool_]]) -> UnseenPrediction | str:
    """Predict some samples, the rows of the prediction being those of all samples; or say why not."""
    chosen = samples.take(rows)
    obstacle = find_obstacle(chosen)
    return obstacle if obstacle is not None else predict_unseen(chosen)


def _tell(prediction: UnseenPrediction | str) -> dict[str, Any]:
    if isinstance(prediction, str):
        return {"left_out": prediction}
    told = {name: value for name, value in asdict(prediction).items() if name not in ("rows", "predictions")}
    return dict(_as_plain(told))


def _scale(samples: ObjectSamples) -> dict[str, Any]:
    if len(samples.corpora) < LEAST_CORPORA:
        return {"left_out": f"samples of {len(samples.corpora)} corpora, needed {LEAST_CORPORA} or more"}
    try:
        rows = scale_sets(samples)
    except ValueError as error:
        return {"left_out": str(error)}
    if len(rows.corpora) < LEAST_CORPORA:
        return {"left_out": f"{len(rows.corpora)} corpora of known size, needed {LEAST_CORPORA} or more"}
    if rows.n_clusters < 2:
        return {"left_out": f"{rows.n_clusters} set of objects is known for all corpora, needed 2 or more"}
    return dict(_as_plain(asdict(scale(rows, np.random.default_rng(_SEED)))))


def _write_predictions(
    path: Path, samples: ObjectSamples, by_model: Mapping[str, UnseenPrediction | str]
) -> None:
    import pyarrow as pa

    rows, values = [], []
    for model, prediction in by_model.items():
        if not isinstance(prediction, str):
            rows.append(np.flatnonzero(samples.model == model)[prediction.rows])
            values.append(prediction.predictions)
    chosen = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    predicted = np.concatenate(values) if values else np.zeros(0)
    table = {
        "model": samples.model[chosen].tolist(),
        "corpus": samples.corpus[chosen].tolist(),
        "sample": samples.sample[chosen].tolist(),
        "objects": [";".join(samples.objects[row]) for row in chosen.tolist()],
    }
    files.write_table(
        path,
        pa.table(
            {
                **{name: pa.array(texts, pa.string()) for name, texts in table.items()},
                "smallest_count": pa.array(samples.smallest[chosen]),
                "correct": pa.array(samples.correct[chosen]),
                "predicted": pa.array(predicted),
            }
        ),
    )


def _show_unseen(label: str, each: Mapping[str, Any]) -> Iterator[str]:
    samples, features = each["samples"], ", ".join(each["choice"]["columns"])
    yield (
        f"{label} ({each['corpus']}): {samples['unseen']:,} samples of {samples['unseen_sets']:,} unseen sets, predicted "
        f"from {samples['seen']:,} of {samples['seen_sets']:,} seen sets by {features}"
    )
    yield (
        f"  {100 * each['predicted']:.1f} % predicted, {100 * each['observed']:.1f} % found, bias "
        f"{_with_interval(each['bias'], 1)} points; {samples['outside']:,} samples extrapolated"
    )
    if samples["unknown"] or samples["single"]:
        yield (
            f"  left out: {samples['unknown']:,} samples without a count of each object and of the set, "
            f"{samples['single']:,} of one object"
        )
    explained = each["explained"]
    if explained is not None:
        bins = explained["r2_bins"]
        told = f"  R2 {_with_interval(explained['r2_samples'], 3)} over samples"
        if bins is not None:
            told += f", {_with_interval(bins, 3)} over {len(explained['bins'])} bins"
            told += f" (true probabilities would reach about {explained['ceiling_bins']:.3f})"
        yield told
    saved = "; ".join(
        f"{_with_interval(base['saved'], 4)} below the {base['name']}" for base in each["baselines"]
    )
    yield f"  log loss {each['log_loss']['value']:.4f} nats, {saved}"
    control = each["control"]
    if control is not None:
        yield (
            f"  unseen minus seen with the same mean log count: {_with_interval(control['difference'], 1)} points, "
            f"{control['n_matched']:,} sets matched, {control['n_unmatched']:,} not"
        )


def _with_interval(estimate: Mapping[str, Any], digits: int) -> str:
    low, high = (
        "unknown" if end is None else f"{end:.{digits}f}" for end in (estimate["low"], estimate["high"])
    )
    return f"{estimate['value']:.{digits}f} [{low}, {high}]"


def _as_plain(value: Any) -> Any:
    """What JSON can hold: names as keys, lists for tuples, and null where the data set no bound."""
    if isinstance(value, Mapping):
        return {str(name): _as_plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
