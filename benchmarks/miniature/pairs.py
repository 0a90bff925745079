"""Pictures of pairs that somebody chose, such as those of a PMI band: the miniature's answer to GenPairs."""

from collections.abc import Iterable
from pathlib import Path

from oddpair.benchmarks.miniature.concepts import require
from oddpair.benchmarks.miniature.rows import ChosenPair, draw_picture, pair_indices, plan_test_row
from oddpair.benchmarks.miniature.world import make_world
from oddpair.files import write_bytes, write_text


def draw_pairs(pairs: Iterable[tuple[str, str]], per_pair: int, seed: int, folder: Path) -> int:
    """Draw pictures of pairs, ``folder/A__B/000.jpg``, each with its caption ``000.txt``; those there are kept.

    They are the pictures that the world of the seed would test these pairs with. A pair that is given again, in
    either order, is one pair.

    Args:
        pairs: Names of two concepts each.
        per_pair: Pictures of each.
        seed: Of the world.
        folder: Where the folders of the pairs are made.

    Returns:
        Pictures in all.

    Raises:
        ValueError: If there is no such concept, or a concept is paired with itself.
    """
    chosen = set()
    for first, second in pairs:
        for name in (first, second):
            require(name)
        if first == second:
            raise ValueError(f"{first!r} is paired with itself, needed two concepts")
        a, b = sorted((first, second))
        chosen.add(ChosenPair(a, b, ""))
    world = make_world(seed)
    copies: dict[tuple[str, ...], int] = {}
    for index in pair_indices(world, sorted(chosen), per_pair):
        row = plan_test_row(world, "pairs", index)
        copy = copies.setdefault(row.concepts, 0)
        copies[row.concepts] += 1
        path = folder / "__".join(row.concepts) / f"{copy:03d}.jpg"
        if not path.is_file():
            write_text(path.with_suffix(".txt"), row.caption)
            write_bytes(path, draw_picture(row))
    return sum(copies.values())
