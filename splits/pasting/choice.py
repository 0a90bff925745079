"""Which accessories may be pasted into which pictures: those that make a pair of a band, drawn by seed and uid alone."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.words import normalise
from oddpair.splits.pasting.accessories import Accessory
from oddpair.splits.pmi.bands import UNMATCHED, name_band

NOT_ONE = "shows no single concept"
NO_PAIR = "no accessory makes a pair of a band with its concept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is to be pasted into one picture for one band.

    Attributes:
        band: The band of the pair.
        tail: Its tail, or ``""``.
        accessory: What is pasted.
    """

    band: str
    tail: str
    accessory: Accessory


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """All that may be pasted.

    Attributes:
        partners: Of each concept, by band, the concepts that may be pasted beside it, sorted, each with its tail.
        accessories: Of each concept its accessories, in the order of their files' SHA-256.
    """

    partners: dict[str, dict[str, list[tuple[str, str]]]]
    accessories: dict[str, list[Accessory]]

    def choose(self, names: Sequence[str], uid: str, seed: int) -> list[Choice] | str:
        """Choose an accessory for a picture and every band that has one, or say why there is none.

        Args:
            names: What the picture is labelled with.
            uid: Of the picture.
            seed: Of the run.
        """
        if len(names) != 1:
            return NOT_ONE
        chosen = []
        for band, partners in sorted(self.partners.get(normalise(names[0]), {}).items()):
            rng = rng_of(seed, uid, band, "choice")
            concept, tail = partners[int(rng.integers(len(partners)))]
            among = self.accessories[concept]
            chosen.append(Choice(band=band, tail=tail, accessory=among[int(rng.integers(len(among)))]))
        return chosen or NO_PAIR


def rng_of(seed: int, *names: str) -> np.random.Generator:
    """Return a generator that depends on a seed and some names alone, in any order and any process."""
    text = "\0".join((str(seed), *names))
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest()))


def limit_bands(path: Path, concepts: Collection[str]) -> pa.Table:
    """Read the pairs of a table of bands that have an accessory.

    Args:
        path: ``bands.parquet`` of a split by the recipe ``pmi-bands``, or any table of ``a``, ``b`` and ``band``.
        concepts: Concepts that have accessories.

    Returns:
        ``base``, ``accessory``, ``band`` and ``tail``, sorted; a pair of two accessories comes in both directions.

    Raises:
        Refusal: If the file is no such table, or no pair of a band has an accessory.
    """
    table = files.read_table(path)
    missing = next((name for name in ("a", "b", "band") if name not in table.column_names), None)
    if missing is not None:
        raise Refusal(f"{path} has no column '{missing}': give the bands.parquet of oddpair split pmi-bands")
    if "tail" not in table.column_names:
        table = table.append_column("tail", pa.repeat(pa.scalar("", pa.string()), table.num_rows))
    table = table.select(["a", "b", "band", "tail"])
    try:
        text = pa.schema([(name, pa.string()) for name in table.column_names])
        table = table.cast(text)
    except pa.ArrowException as error:
        raise Refusal(
            f"{path} holds other than text in a, b, band or tail: give names of concepts"
        ) from error
    table = table.filter(pc.not_equal(table["band"], name_band(UNMATCHED, 0)))
    wanted = pa.array(sorted(concepts), pa.string())
    both = []
    for base, accessory in (("b", "a"), ("a", "b")):
        part = table.filter(pc.is_in(table[accessory], value_set=wanted))
        both.append(
            part.select([base, accessory, "band", "tail"]).rename_columns(
                ["base", "accessory", "band", "tail"]
            )
        )
    found = pa.concat_tables(both)
    if not found.num_rows:
        raise Refusal(
            f"{path} has no pair in a band with one of the {len(concepts):,} concepts that there are accessories of: name "
            "their folders as the concepts are named there"
        )
    return found.sort_by([(name, "ascending") for name in found.column_names])


def read_menu(table: pa.Table, accessories: Sequence[Accessory], bases: Collection[str]) -> Menu:
    """Arrange what may be pasted into pictures of some concepts.

    Args:
        table: What ``limit_bands`` returns.
        accessories: The accessories.
        bases: Names that the pictures are labelled with.

    Returns:
        The menu.
    """
    here = pa.array(sorted({normalise(name) for name in bases}), pa.string())
    partners: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for row in table.filter(pc.is_in(table["base"], value_set=here)).to_pylist():
        partners.setdefault(row["base"], {}).setdefault(row["band"], []).append(
            (row["accessory"], row["tail"])
        )
    by_concept: dict[str, list[Accessory]] = {}
    for accessory in sorted(accessories, key=lambda one: (one.concept, one.sha256)):
        by_concept.setdefault(accessory.concept, []).append(accessory)
    return Menu(partners=partners, accessories=by_concept)
