"""The stage that decides which rows train a model and which pairs are unseen."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
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
from oddpair.retrieval.stored import open_stored
from oddpair.splits.curation.controls import count_distance, match_concepts, match_size, signatures
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.manifest import Manifest, write_manifest
from oddpair.splits.pairs.unseen_pairs import SEEN, UNSEEN, PairTable
from oddpair.splits.recipe_file import as_parameters
from oddpair.splits.recipes.style_strict import StyleStrictRecipe
from oddpair.splits.recipes.unseen_pairs import PairPictures, UnseenPairsRecipe, find_unseen_pairs, pair_card
from oddpair.splits.styles.manifests import class_list, describe_strict
from oddpair.splits.styles.scorer import NATURAL, RENDITION
from oddpair.splits.styles.splits import split_styles

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
    recipe = StyleStrictRecipe(
        labelled=plan.labelled,
        precision=plan.precision,
        seed=plan.seed,
        natural_tests=(NATURAL,),
        rendition_tests=(RENDITION,),
    )
    inputs = Inputs(
        corpus=_pictures(out, "corpus"), tests={name: _pictures(out, name) for name in (NATURAL, RENDITION)}
    )
    with tempfile.TemporaryDirectory() as work:
        found = split_styles(recipe, inputs, Path(work))
    corpus = load_embeddings(out / "embeddings" / "corpus")
    rows = found.sorted.pool.places(corpus.uids)
    files.write_table(folder / CLASSES_FILE, class_list(found).take(rows))
    parameters = as_parameters(recipe)
    manifests = [
        replace(manifest, parameters=parameters)
        for manifest in describe_strict(found, {**made_from, **inputs.identify()}, quantile=recipe.quantile)
    ]
    mentions = find_mentions(build_vocabulary(CONCEPTS), list(corpus.captions))
    return [*manifests, *_controls(plan, manifests[0], corpus.uids, mentions, made_from)]


def _controls(
    plan: Plan, split: Manifest, uids: Sequence[str], mentions: csr_array, made_from: dict[str, str]
) -> list[Manifest]:
    members = set(split.uids.to_pylist())
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
    recipe = UnseenPairsRecipe(minimum_count=1)
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


def _pictures(out: Path, name: str) -> Pictures:
    return Pictures(
        name=name,
        corpus=open_corpus(out / "world" / name),
        stored=open_stored(out / "embeddings" / name),
    )
