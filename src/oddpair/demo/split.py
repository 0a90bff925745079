"""The stage that decides which rows train a model and which pairs are unseen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from oddpair import files, stages
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.demo.plan import Plan
from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.counts_file import read_counts
from oddpair.retrieval.counting.tags import load_tags
from oddpair.retrieval.embeddings import load_embeddings
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.splits.controls import count_distance, match_concepts, match_size, signatures
from oddpair.splits.manifest import Manifest, write_manifest
from oddpair.splits.pairs_build import PairPictures, find_unseen_pairs, pair_card
from oddpair.splits.recipes import StyleStrictRecipe, UnseenPairsRecipe
from oddpair.splits.style import NATURAL, RENDITION
from oddpair.splits.style_build import TestPictures, build_style_splits
from oddpair.splits.unseen_pairs import SEEN, UNSEEN, PairTable

PAIRS_FILE = "pairs.parquet"
CLASSES_FILE = "classes.parquet"
_SIZE_STREAM, _MATCH_STREAM = 21, 22


def split_world(plan: Plan, out: Path) -> None:
    """Make the style-strict splits, their controls and the pair lists of a drawn and embedded world.

    Args:
        plan: The run's plan.
        out: The run's folder.
    """
    folder = out / "splits"
    made_from = {
        name: stages.digest(out / name)
        for name in (
            "world",
            "counts",
            *(f"embeddings/{part}" for part in ("corpus", "natural", "rendition", "pairs")),
        )
    }
    if not stages.begin(folder, {**plan.as_inputs(), "made_from": made_from}):
        return
    for manifest in [
        *_style_splits(plan, out, folder, made_from),
        *_pair_splits(plan, out, folder, made_from),
    ]:
        write_manifest(folder / manifest.name, manifest)
    stages.finish(folder)


def _style_splits(plan: Plan, out: Path, folder: Path, made_from: dict[str, str]) -> list[Manifest]:
    import pyarrow as pa

    corpus = load_embeddings(out / "embeddings" / "corpus")
    metadata = open_corpus(out / "world" / "corpus").metadata(["style"])
    recipe = StyleStrictRecipe(labelled=plan.labelled, precision=plan.precision, seed=plan.seed)
    found = build_style_splits(
        corpus,
        metadata["style"].to_pylist(),
        recipe,
        tests={
            style: _test_pictures(out, name)
            for style, name in ((NATURAL, "natural"), (RENDITION, "rendition"))
        },
        provenance=made_from,
    )
    files.write_table(
        folder / CLASSES_FILE,
        pa.table(
            {
                "uid": list(corpus.uids),
                "class": found.sort.classes.tolist(),
                "labelled": np.isin(
                    np.arange(len(corpus.uids)),
                    np.concatenate([found.sort.fit, found.sort.threshold, found.sort.report]),
                ),
                "sorted_natural": found.splits[0].sorted_in,
                "natural_strict": found.splits[0].keep,
                "sorted_rendition": found.splits[1].sorted_in,
                "rendition_strict": found.splits[1].keep,
            }
        ),
    )
    natural = found.manifests[0]
    mentions = find_mentions(build_vocabulary(CONCEPTS), list(corpus.captions))
    return [*found.manifests, *_controls(plan, natural, corpus.uids, mentions, made_from)]


def _controls(
    plan: Plan, split: Manifest, uids: Sequence[str], mentions: csr_array, made_from: dict[str, str]
) -> list[Manifest]:
    members = set(split.uids)
    rows = np.flatnonzero([uid in members for uid in uids])
    keys = signatures(mentions)
    drawn = {
        "control": match_concepts(keys[rows], keys, uids, np.random.default_rng((plan.seed, _MATCH_STREAM))),
        "control-size": match_size(len(rows), uids, np.random.default_rng((plan.seed, _SIZE_STREAM))),
    }
    matched_by = {"control": "size and concepts", "control-size": "size"}
    manifests = []
    for name, control in drawn.items():
        distance = count_distance(mentions[rows], mentions[control])
        manifests.append(
            Manifest(
                name=name,
                recipe="control",
                uids=tuple(sorted(uids[row] for row in control)),
                parameters={"matched_by": matched_by[name], "control_of": split.name},
                provenance={**made_from, "control_of": split.uids_sha256, "seed": plan.seed},
                card=(
                    (f"control of {split.name}, matched by", matched_by[name]),
                    ("rows", f"{len(control):,}"),
                    ("rows shared with the split", f"{len(np.intersect1d(rows, control)):,}"),
                    ("captions that name a concept, summed differences", f"{distance.concepts:,}"),
                    ("captions that name a pair, summed differences", f"{distance.pairs:,}"),
                ),
            )
        )
    return manifests


def _pair_splits(plan: Plan, out: Path, folder: Path, made_from: dict[str, str]) -> list[Manifest]:
    vocabulary = build_vocabulary(CONCEPTS)
    corpus = load_embeddings(out / "embeddings" / "corpus")
    tests = load_embeddings(out / "embeddings" / "pairs")
    concepts = open_corpus(out / "world" / "pairs").metadata(["concepts"])["concepts"].to_pylist()
    recipe = UnseenPairsRecipe()
    table = find_unseen_pairs(
        read_counts(out / "counts", vocabulary),
        nested_pairs(vocabulary),
        recipe,
        tests=PairPictures(image=tests.image, concepts=np.asarray(concepts)),
        embeddings=corpus,
        tags=load_tags(out / "world" / "truth" / "tags.parquet", vocabulary, corpus.uids, threshold=0.5),
    )
    files.write_table(folder / PAIRS_FILE, table.to_table())
    return [
        Manifest(
            name=f"pairs-{status}",
            recipe="unseen-pairs",
            uids=_pictures_of(table, status, tests.uids, concepts),
            parameters={"neighbours": recipe.neighbours, "minimum_count": recipe.minimum_count},
            provenance={**made_from, "encoder": corpus.encoder},
            card=(("test pictures of pairs that are", status), *pair_card(table)),
        )
        for status in (UNSEEN, SEEN)
    ]


def _pictures_of(
    table: PairTable, status: str, uids: Sequence[str], concepts: Sequence[Sequence[str]]
) -> tuple[str, ...]:
    wanted = {(a, b) for a, b, found in zip(table.a, table.b, table.status, strict=True) if found == status}
    return tuple(
        sorted(uid for uid, pair in zip(uids, concepts, strict=True) if tuple(sorted(pair)) in wanted)
    )


def _test_pictures(out: Path, name: str) -> TestPictures:
    found = load_embeddings(out / "embeddings" / name)
    styles = open_corpus(out / "world" / name).metadata(["style"])["style"].to_pylist()
    return TestPictures(uids=found.uids, image=found.image, styles=tuple(styles))
