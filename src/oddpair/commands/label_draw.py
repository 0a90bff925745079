"""Which rows of a corpus are labelled, and in which order: drawn once into the folder of the labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair import files
from oddpair.errors import Refusal
from oddpair.progress import say, track
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.embed_layout import write_quarantine
from oddpair.retrieval.samples import Bad
from oddpair.splits.labelling.labels import ROWS_FILE, Drawn
from oddpair.splits.labelling.origin import PLAN_FILE, describe_corpus

FORMAT_VERSION = 1

Queue = Literal["random", "by-class"]

# Rows of one group that follow each other: a page of five by five.
_TOGETHER = 25
_MOST_GROUPS = 50
_CAPTION = 500
# Rows that wait to be sorted.
_AT_ONCE = 1 << 16
_COLUMNS = ("uid", "shard", "caption")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One draw of rows.

    Attributes:
        queue: At random, or in equal numbers from groups of which somebody has a guess.
        sample: Rows.
        seed: Another seed draws other rows.
        overlap: How many of them everybody labels.
        recheck: How many everybody is shown twice.
        groups: Hash, or column, that tells the groups; ``""`` at random.
        uids: Hash of the list that rows are drawn from; ``""`` for the whole corpus.
    """

    queue: Queue = "random"
    sample: int = 3000
    seed: int = 0
    overlap: int = 200
    recheck: int = 50
    groups: str = ""
    uids: str = ""

    @property
    def drawn(self) -> Drawn:
        """How its rows are marked: only a random draw of the whole corpus tells how common something is in it."""
        if self.queue == "by-class":
            return "enriched"
        return "given" if self.uids else "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is labelled in a folder, by everybody.

    Attributes:
        classes: The labels to choose from.
        draws: How rows were drawn, in order.
        rows: ``uid``, ``shard``, ``caption``, ``drawn``, ``shared`` (whether everybody labels it) and ``again`` (whether it
            is shown twice), in order.
    """

    classes: tuple[str, ...]
    draws: tuple[Draw, ...]
    rows: pa.Table


def read_plan(out: Path, corpus: Corpus | None = None) -> Plan | None:
    """Read what is labelled in a folder; ``None`` if nothing has been drawn.

    Args:
        out: The folder.
        corpus: Corpus that its rows must be of, as far as their number tells.

    Raises:
        Refusal: If the plan is damaged, or of another corpus.
    """
    path = out / PLAN_FILE
    if not path.is_file():
        return None
    value = files.read_json(path)
    try:
        if value["format_version"] != FORMAT_VERSION:
            raise Refusal(
                f"{path} has format version {value['format_version']}, this oddpair reads {FORMAT_VERSION}: label into "
                "another folder"
            )
        draws = tuple(Draw(**draw) for draw in value["draws"])
        classes, known = tuple(map(str, value["classes"])), value["corpus"]
    except (KeyError, TypeError) as error:
        raise Refusal(f"{path} is no plan of oddpair label ({error}): label into another folder") from error
    if corpus is not None and known != describe_corpus(corpus):
        raise Refusal(
            f"{out} has labels of a corpus of {known}, {corpus.root} has {describe_corpus(corpus)}: give the corpus that was "
            "labelled, or another --out"
        )
    rows = files.read_table(out / ROWS_FILE, [*_COLUMNS, "drawn", "shared", "again"])
    return Plan(classes=classes, draws=draws, rows=rows)


def extend_plan(
    out: Path,
    corpus: Corpus,
    plan: Plan | None,
    draw: Draw,
    classes: Sequence[str],
    *,
    pool: pa.Array | None = None,
    groups: str | Mapping[str, str] | None = None,
) -> Plan:
    """Draw rows, and add those that are new to the plan of a folder.

    Random draws come first: of rows that a draw by class has found already more are labelled than of the others, and
    the labelled ones among those drawn at random would be no random sample any more.

    Args:
        out: The folder, held by this process.
        corpus: The corpus.
        plan: What was drawn before.
        draw: What to draw.
        classes: Labels to choose from.
        pool: uids to draw from; ``None`` for all.
        groups: Column of the corpus, or group by uid, of a draw by class.

    Returns:
        The plan, on disk.

    Raises:
        Refusal: If there is nothing to draw, or rows are drawn at random after others were drawn otherwise.
    """
    if (
        plan is not None
        and draw.drawn == "random"
        and pc.any(pc.not_equal(plan.rows["drawn"], "random")).as_py()
    ):
        raise Refusal(
            f"{out} holds rows that were not drawn at random, and random ones must come first: label these in a folder of "
            "their own"
        )
    known = None if plan is None or draw.drawn == "random" else plan.rows["uid"].combine_chunks()
    found, bad = draw_rows(corpus, draw, pool=pool, groups=groups, known=known)
    number = found.num_rows
    found = found.append_column("drawn", pa.repeat(pa.scalar(draw.drawn, pa.string()), number))
    found = found.append_column("shared", pa.array(np.arange(number) < draw.overlap))
    found = found.append_column("again", pa.array(np.arange(number) < draw.recheck))
    rows = found if plan is None else _join(plan.rows, found)
    made = Plan(classes=tuple(classes), draws=(*(plan.draws if plan else ()), draw), rows=rows)
    if bad:
        write_quarantine(out, bad)
        say(
            f"{corpus.root}: {sum(line.rows for line in bad):,} rows were set aside, see {out}/quarantine.jsonl"
        )
    # A plan that names a draw is written when its rows are there.
    files.write_table(out / ROWS_FILE, rows)
    files.write_json(
        out / PLAN_FILE,
        {
            "format_version": FORMAT_VERSION,
            "classes": list(made.classes),
            "corpus": describe_corpus(corpus),
            "draws": [asdict(one) for one in made.draws],
        },
    )
    return made


def draw_rows(
    corpus: Corpus,
    draw: Draw,
    *,
    pool: pa.Array | None = None,
    groups: str | Mapping[str, str] | None = None,
    known: pa.Array | None = None,
) -> tuple[pa.Table, list[Bad]]:
    """Draw rows: those whose uid hashes lowest, so that a larger sample holds a smaller one, in any order of shards.

    Args:
        corpus: The corpus; memory does not grow with it.
        draw: How many, and how.
        pool: uids to draw from; ``None`` for all.
        groups: Column of the corpus, or group by uid, of a draw by class.
        known: uids not to draw again.

    Returns:
        ``uid``, ``shard`` and ``caption``, cut to 500 letters, of each uid once, in the order to show; and what was set
        aside.

    Raises:
        Refusal: If there is no such row, or there are over 50 groups.
    """
    kept: dict[str, _Lowest] = {}
    bad: list[Bad] = []
    column = [groups] if isinstance(groups, str) else []
    with track(f"draw from {corpus.name}", len(corpus)) as progress:
        for batch in corpus.batches(column):
            bad.extend(batch.bad)
            table = batch.table
            if pool is not None:
                table = table.filter(pc.is_in(table["uid"], pool))
            if known is not None:
                table = table.filter(pc.invert(pc.is_in(table["uid"], known)))
            for name, part in _by_group(table, groups):
                if name not in kept and len(kept) == _MOST_GROUPS:
                    raise Refusal(
                        f"--groups tells more than {_MOST_GROUPS} groups apart, such as {name!r}: give some few"
                    )
                kept.setdefault(name, _Lowest(draw.seed, draw.sample)).add(part.select(_COLUMNS))
            progress.advance(batch.table.num_rows)
    if not kept:
        what = "row of a group" if groups is not None else "row asked for"
        raise Refusal(f"{corpus.root} has no {what} that is not drawn yet: check --uids and --groups")
    return _in_turn([kept[name] for name in sorted(kept)], draw.sample), bad


class _Lowest:
    """The rows of lowest hash among those seen, each uid once."""

    def __init__(self, seed: int, most: int) -> None:
        self._key = str(seed).encode()
        self._most = most
        self._parts: list[pa.Table] = []
        self._waiting = 0
        self._limit = np.uint64(2**64 - 1)

    def add(self, rows: pa.Table) -> None:
        hashes = np.frombuffer(
            b"".join(
                hashlib.blake2b(uid.encode(), key=self._key, digest_size=8).digest()
                for uid in rows["uid"].to_pylist()
            ),
            dtype=">u8",
        ).astype(np.uint64)
        low = hashes <= self._limit
        part = rows.filter(pa.array(low)).append_column("hash", pa.array(hashes[low]))
        caption = pc.utf8_slice_codeunits(part["caption"], 0, _CAPTION)
        self._parts.append(part.set_column(part.column_names.index("caption"), "caption", caption))
        self._waiting += part.num_rows
        if self._waiting > max(self._most, _AT_ONCE):
            self.take()

    def take(self) -> pa.Table:
        keys = [(name, "ascending") for name in ("hash", "uid", "shard", "caption")]
        table = pa.concat_tables(self._parts).combine_chunks().sort_by(keys)
        uids = table["uid"].combine_chunks()
        first = np.ones(len(uids), dtype=np.bool_)
        first[1:] = pc.not_equal(uids[1:], uids[:-1]).to_numpy(zero_copy_only=False)
        table = table.filter(pa.array(first)).slice(0, self._most)
        self._parts, self._waiting = [table], 0
        if table.num_rows == self._most:
            self._limit = np.uint64(table["hash"][-1].as_py())
        return table


def _by_group(table: pa.Table, groups: str | Mapping[str, str] | None) -> Iterator[tuple[str, pa.Table]]:
    if groups is None:
        if table.num_rows:
            yield "", table
        return
    if isinstance(groups, str):
        names = table[groups].combine_chunks().cast(pa.string())
    else:
        names = pa.array([groups.get(uid) for uid in table["uid"].to_pylist()], pa.string())
    for name in pc.unique(names).drop_null().to_pylist():
        # A csv has no null: an empty cell is no group either.
        if name:
            yield name, table.filter(pc.fill_null(pc.equal(names, name), False))


def _in_turn(kept: Sequence[_Lowest], sample: int) -> pa.Table:
    """Take as many rows of each group, a page of one group after a page of the next."""
    share, more = divmod(sample, len(kept))
    tables = [lowest.take().slice(0, share + (place < more)) for place, lowest in enumerate(kept)]
    pages = [
        table.slice(start, _TOGETHER)
        for start in range(0, max(table.num_rows for table in tables), _TOGETHER)
        for table in tables
    ]
    return pa.concat_tables(pages).select(_COLUMNS).combine_chunks()


def _join(before: pa.Table, found: pa.Table) -> pa.Table:
    """Add the rows that are new; of the others, more may be for everybody, or to be shown twice, than before."""
    for name in ("shared", "again"):
        now = pc.is_in(before["uid"], found.filter(found[name])["uid"].combine_chunks())
        before = before.set_column(before.column_names.index(name), name, pc.or_(before[name], now))
    new = pc.invert(pc.is_in(found["uid"], before["uid"].combine_chunks()))
    return pa.concat_tables([before, found.filter(new)]).combine_chunks()
