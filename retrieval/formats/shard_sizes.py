"""How many samples each tar of a corpus should hold, by the files beside it or by the tar itself."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.formats.downloads import read_successes
from oddpair.retrieval.formats.strict_json import parse_json
from oddpair.retrieval.formats.tars import open_tar
from oddpair.retrieval.places import Place
from oddpair.retrieval.stores import store_errors, unreadable


def find_sizes(place: Place, tars: Sequence[str]) -> tuple[tuple[int, ...], int]:
    """Find how many samples each tar should hold.

    Args:
        place: Where they are.
        tars: Their names, relative to the place, with an ending of four characters.

    Returns:
        The successes of ``SHARD_stats.json``, else the number in ``sizes.json`` of its folder, else what is
        counted in the tar: 0 if that is damaged. And how many tars were counted.

    Raises:
        Refusal: If ``sizes.json`` lists tars that are not there, or not all that are.
    """
    names, shards = set(place.names), [tar[:-4] for tar in tars]
    with ThreadPoolExecutor(16) as pool:
        with_stats = [shard for shard in shards if f"{shard}_stats.json" in names]
        if place.explicit:
            there = pool.map(lambda shard: (place.root / f"{shard}_stats.json").is_file(), shards)
            with_stats = [shard for shard, found in zip(shards, there, strict=True) if found]
        sizes = dict(
            zip(
                with_stats, pool.map(lambda shard: read_successes(place.root, shard), with_stats), strict=True
            )
        )
    for folder in sorted({shard.rpartition("/")[0] for shard in shards if shard not in sizes}):
        sizes = {**_read_sizes(place, folder, tars), **sizes}
    unknown = [tar for tar in tars if tar[:-4] not in sizes]
    if unknown:
        with track("counting the samples of tars", len(unknown), "tars") as progress:
            for tar in unknown:
                with open_tar(place.root / tar) as (index, _):
                    sizes[tar[:-4]] = len(index.entries) if index.ended else 0
                progress.advance()
    return tuple(sizes[shard] for shard in shards), len(unknown)


def _read_sizes(place: Place, folder: str, tars: Sequence[str]) -> dict[str, int]:
    name = f"{folder}/sizes.json" if folder else "sizes.json"
    path = place.root / name
    try:
        if not (name in place.names or (place.explicit and path.is_file())):
            return {}
        sizes = parse_json(path.read_bytes())
    except store_errors() as error:
        raise unreadable(str(path), error) from error
    except ValueError as error:
        raise Refusal(f"{path} is no valid JSON ({error}): write it anew") from error
    if not isinstance(sizes, dict) or not all(
        isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in sizes.values()
    ):
        raise Refusal(f"{path} is no list of tars and numbers of samples: write it anew")
    ours = {tar.rpartition("/")[2] for tar in tars if tar.rpartition("/")[0] == folder}
    missing, unlisted = sorted(sizes.keys() - ours), sorted(ours - sizes.keys())
    if missing and not place.explicit:
        raise Refusal(
            f"{path} lists {', '.join(missing[:5])} ({len(missing)} in all), not there: fetch what is missing"
        )
    if unlisted:
        raise Refusal(
            f"{path} does not list {', '.join(unlisted[:5])} ({len(unlisted)} in all): take them away, or list them"
        )
    prefix = f"{folder}/" if folder else ""
    return {prefix + tar[:-4]: size for tar, size in sizes.items() if tar in ours}
