"""Worlds of models whose accuracies rise with their skill and with what their corpora hold."""

from collections.abc import Sequence

import numpy as np

from oddpair.eval.prediction.cells import Cells, find_cells
from oddpair.eval.prediction.table import AccuracyTable
from oddpair.eval.prediction.transfer_features import Shared, find_shared

DATASETS = ("anchor", "birds", "cars")
WORDS = ("red", "blue", "small", "large", "old", "wild", "great", "common")
SAMPLES = 50


def plant_table(
    corpora: Sequence[str], *, classes: int = 40, slope: float = 0.8, noise: float = 0.2, seed: int = 0
) -> AccuracyTable:
    """Plant a model for each corpus named: ``a`` twice are two models of one corpus.

    The logit of an accuracy is the concept's level, plus the model's skill, plus ``slope`` for each tenfold of the
    concept's count in the model's own corpus.
    """
    rng = np.random.default_rng(seed)
    n = classes * len(DATASETS)
    level = rng.normal(-2, 0.7, n)
    tenfold = {name: rng.uniform(0, 4, n) for name in sorted(set(corpora))}
    skill = rng.permutation(np.linspace(-0.8, 0.8, len(corpora)))
    logits = np.stack(
        [level + skill[k] + slope * tenfold[name] + rng.normal(0, noise, n) for k, name in enumerate(corpora)]
    )
    count = np.floor(10 ** np.stack([tenfold[name] for name in corpora]))
    dataset = np.repeat(DATASETS, classes)
    concept = [f"{WORDS[row % len(WORDS)]} {name} {row}" for row, name in enumerate(dataset.tolist())]
    return AccuracyTable(
        model=np.repeat([f"m{k:02}" for k in range(len(corpora))], n),
        corpus=np.repeat(list(corpora), n),
        dataset=np.tile(dataset, len(corpora)),
        concept=np.tile(concept, len(corpora)),
        accuracy=(rng.binomial(SAMPLES, 1 / (1 + np.exp(-logits))) / SAMPLES).reshape(-1),
        n=np.full(n * len(corpora), float(SAMPLES)),
        count_text=count.reshape(-1),
        count_image=np.floor(2 * count).reshape(-1),
        count_joint=np.floor(count / 2).reshape(-1),
        pmi=np.full(n * len(corpora), np.nan),
    )


def lay(table: AccuracyTable, top1: dict[str, float] | None = None) -> tuple[Cells, Shared]:
    """Lay the models of a planted table side by side."""
    cells = find_cells(table, table.n, "anchor", top1)
    return cells, find_shared(cells)


def others(cells: Cells, model: int) -> np.ndarray:
    """Every model but one."""
    return np.delete(np.arange(len(cells.models)), model)
