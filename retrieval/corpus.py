"""One corpus over every format: shards of samples, each with a uid that stays the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.formats.clip_retrieval import open_clip_retrieval
from oddpair.retrieval.formats.datacomp import open_datacomp
from oddpair.retrieval.formats.downloads import read_first_columns
from oddpair.retrieval.formats.folder import open_folder
from oddpair.retrieval.formats.image_parquet import PICTURE_COLUMNS, open_image_parquet
from oddpair.retrieval.formats.img2dataset import open_img2dataset
from oddpair.retrieval.formats.laion import open_laion
from oddpair.retrieval.formats.metadata import MetadataSource
from oddpair.retrieval.formats.webdataset import open_webdataset
from oddpair.retrieval.pictures import BadPicture, decode_picture
from oddpair.retrieval.places import Place, locate
from oddpair.retrieval.samples import Bad, Batch, Rows, Sample, Source
from oddpair.retrieval.stores import list_folder
from oddpair.retrieval.subset import Subset

_NEEDED = (
    "a corpus is a folder, list or URL of img2dataset or webdataset shards, clip-retrieval embeddings, DataComp or LAION "
    "parquet, or pictures with their captions"
)
_SHARD = re.compile(r"(?:.*/)?\d{5,8}")
_STATS = re.compile(r"(?:.*/)?\d{5,8}_stats\.json")
_DATACOMP = re.compile(r"(?:.*/)?[0-9a-f]{32}\.(parquet|npz)")
_FIRST = ("uid", "key", "caption", "shard")
# Asked for like other columns, and answered here.
_MADE_HERE = (*_FIRST, "copies")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A corpus that was opened; give workers this object rather than its path, which is checked at opening.

    Attributes:
        source: The layout that it has on disk.
        subset: The uids that the corpus is limited to, and how often each is repeated; ``None`` for all, once.
    """

    source: Source
    subset: Subset | None = None

    @property
    def root(self) -> Path:
        """Folder, or file, of the corpus."""
        return self.source.root

    @property
    def name(self) -> str:
        """What to call the corpus: the last part of its path."""
        root = self.root.resolve() if isinstance(self.root, Path) else self.root
        return root.name or str(self.root)

    @property
    def layout(self) -> str:
        """Name of the layout."""
        return self.source.layout

    @property
    def shards(self) -> tuple[str, ...]:
        """Names of the shards, sorted."""
        return self.source.shards

    @property
    def sizes(self) -> tuple[int, ...]:
        """Samples that each shard is said to hold, good and bad, in the subset and outside it."""
        return self.source.sizes

    @property
    def captioned(self) -> bool:
        """Whether there are captions."""
        return self.source.captioned

    @property
    def pictures(self) -> bool:
        """Whether there are pictures, and not their metadata alone."""
        return self.source.pictures

    def __len__(self) -> int:
        return sum(self.sizes)

    def batches(self, columns: Sequence[str] = ()) -> Iterator[Batch]:
        """Read everything but the pictures, some rows at a time; memory does not grow with the corpus.

        A uid comes as often as the corpus holds it. With a subset only its uids come, and the column
        ``copies``, if it is asked for, says how often the subset repeats each.

        Args:
            columns: Columns to read beside ``uid``, ``key``, ``caption`` and ``shard``.

        Yields:
            Rows in the order of the shards: ``uid``, ``key``, ``caption``, ``shard`` and then ``columns``;
            and what was set aside between them.

        Raises:
            Refusal: If a shard lacks a column or has another type in it than the others.
        """
        for shard in self.shards:
            yield from self.scan(shard, columns)

    def collect(self, columns: Sequence[str] = ()) -> tuple[pa.Table, tuple[Bad, ...]]:
        """Read everything but the pictures into memory, each uid once.

        Args:
            columns: Columns to read beside ``uid``, ``caption`` and ``shard``; ``copies`` is how often the subset
                repeats a uid or, without a subset, how often the corpus holds it.

        Returns:
            ``uid``, ``caption``, ``shard`` and then ``columns``, of the first row of each uid, in the order of
            the shards; and what was set aside.

        Raises:
            Refusal: As ``batches``, or if two rows with the same uid have different captions.
        """
        asked = list(dict.fromkeys(name for name in columns if name not in ("uid", "caption", "shard")))
        parts: list[pa.Table] = []
        bad: list[Bad] = []
        for batch in self.batches([name for name in asked if name != "copies" or self.subset]):
            parts.append(batch.table)
            bad.extend(batch.bad)
        if not sum(part.num_rows for part in parts):
            if bad:
                raise Refusal(
                    f"{self.root} gives not one sample (the first of {len(bad):,} that were set aside: {bad[0].file}: "
                    f"{bad[0].reason}): check its files"
                )
            raise Refusal(
                f"none of the {len(self):,} rows of {self.root} is in the subset: check that it is a subset of this corpus"
            )
        # A column without any value has no type in some shards and one in others.
        table = pa.concat_tables(parts, promote_options="permissive")
        if "copies" in asked and not self.subset:
            table = table.append_column("copies", pa.array([1] * table.num_rows, pa.int64()))
        return self._once(table).select(["uid", "caption", "shard", *asked]), tuple(bad)

    def metadata(self, columns: Sequence[str] = ()) -> pa.Table:
        """Read everything but the pictures into memory, as ``collect`` does, without what was set aside."""
        return self.collect(columns)[0]

    def scan(self, shard: str, columns: Sequence[str] | None = (), *, named: bool = True) -> Iterator[Batch]:
        """Read the metadata of one shard some rows at a time, as ``batches`` does.

        Args:
            shard: One of ``shards``.
            named: Whether ``uid`` and ``key`` are needed; without, they may be null, which is faster.
            columns: Columns to read beside ``uid``, ``key``, ``caption`` and ``shard``; ``None`` for all that
                the shard itself has.

        Yields:
            Its rows, in order, and what was set aside between them.

        Raises:
            ValueError: If there is no such shard.
            Refusal: As ``batches``.
        """
        self._require(shard)
        asked = (
            None if columns is None else [name for name in dict.fromkeys(columns) if name not in _MADE_HERE]
        )
        if isinstance(self.source, MetadataSource) and self.subset is None and not named:
            batches = self.source.scan(shard, asked, named=False)
        else:
            # Other layouts make ids where they read, and gain nothing.
            batches = self.source.scan(shard, asked)
        for batch in batches:
            table = batch.table
            copies = None if self.subset is None else self.subset.find(table["uid"])
            if columns is not None:
                table = table.append_column("shard", pa.repeat(pa.scalar(shard, pa.string()), table.num_rows))
                if copies is not None:
                    table = table.append_column("copies", pa.array(copies, pa.int64()))
                rest = (name for name in dict.fromkeys(columns) if name not in _FIRST)
                table = table.select([*_FIRST, *rest])
            if copies is not None:
                table = table.filter(pa.array(copies > 0))
            yield Batch(table=table, bad=tuple(line for line in batch.bad if self.holds(line.uid)))

    def stream(self, shard: str) -> Iterator[Sample | Bad]:
        """Read the samples of one shard one by one, pictures included, and what was set aside.

        Args:
            shard: One of ``shards``.

        Yields:
            Samples, in the order of ``batches``, and bad rows.

        Raises:
            ValueError: If there is no such shard.
            Refusal: If the shard is of a kind that is never right, or the layout has no pictures.
        """
        self._require(shard)
        for found in self.source.stream(shard):
            if self.holds(found.uid):
                yield found

    def read(self, shard: str) -> Rows:
        """Read one shard whole into memory, pictures and all columns included.

        Args:
            shard: One of ``shards``.

        Returns:
            Its samples in the order of the shard, and what was set aside.

        Raises:
            ValueError: If there is no such shard.
            Refusal: As ``stream``.
        """
        samples: list[Sample] = []
        bad: list[Bad] = []
        for found in self.stream(shard):
            if isinstance(found, Bad):
                bad.append(found)
            else:
                samples.append(found)
        tables = [batch.table for batch in self.source.scan(shard, None)]
        table = pa.concat_tables(tables) if tables else pa.table({"key": pa.array([], pa.string())})
        row_of = {key: row for row, key in enumerate(table["key"].to_pylist())}
        rest = [name for name in table.column_names if name not in ("uid", "key", "caption")]
        chosen = pa.array([row_of[sample.key] for sample in samples], pa.int64())
        return Rows(
            shard=shard,
            uids=tuple(sample.uid for sample in samples),
            keys=tuple(sample.key for sample in samples),
            captions=tuple(sample.caption for sample in samples),
            images=tuple(sample.image for sample in samples),
            columns=table.select(rest).take(chosen),
            bad=tuple(bad),
        )

    def find_pictures(self, uids: Collection[str]) -> dict[str, bytes]:
        """Read the encoded pictures of some uids; shards that hold none of them are not opened.

        Args:
            uids: Ids; one that the corpus does not hold is passed over.

        Returns:
            Picture files by uid; one that cannot be decoded is passed over too.
        """
        left = set(uids)
        found: dict[str, bytes] = {}
        for shard in self.shards:
            if not left:
                break
            here = {
                uid for batch in self.scan(shard) for uid in batch.table["uid"].to_pylist() if uid in left
            }
            if not here:
                continue
            for sample in self.stream(shard):
                # Where a uid comes twice, its first picture may be the bad one.
                if isinstance(sample, Sample) and sample.uid in here and _is_picture(sample.image):
                    found[sample.uid] = sample.image
                    here.remove(sample.uid)
                    left.remove(sample.uid)
                    if not here:
                        break
        return found

    def holds(self, uid: str | None) -> bool:
        """Say whether a uid is in the subset; what has none may be."""
        return self.subset is None or uid is None or bool(self.subset.find([uid])[0])

    def only(self, shard: str) -> Corpus:
        """Return the corpus with one shard: workers are each sent one, and there may be ten thousands.

        Raises:
            ValueError: If there is no such shard.
        """
        self._require(shard)
        return replace(self, source=self.source.only(shard))

    def identify(self) -> dict[str, str]:
        """Name every file of the corpus, and its subset, with what changes when its content does."""
        found = {name: mark for shard in self.shards for name, mark in self.source.identify(shard).items()}
        return found if self.subset is None else {**found, "subset": self.subset.sha256}

    def _require(self, shard: str) -> None:
        if shard not in self.shards:
            raise ValueError(f"no shard {shard!r} in {self.root}, which has {len(self.shards)} shards")

    def _once(self, table: pa.Table) -> pa.Table:
        if pc.count_distinct(table["uid"]).as_py() == table.num_rows:
            return table
        captions = table["caption"].to_pylist()
        first: dict[str, int] = {}
        copies: list[int] = []
        kept: list[int] = []
        counts = table["copies"].to_pylist() if "copies" in table.column_names else None
        for row, uid in enumerate(table["uid"].to_pylist()):
            place = first.setdefault(uid, len(kept))
            if place == len(kept):
                kept.append(row)
                copies.append(counts[row] if counts else 1)
                continue
            # Of a corpus named by bytes, the same picture may have been captioned twice.
            if captions[kept[place]] != captions[row] and self.source.identity != "bytes":
                one, two = (f"shard {table['shard'][at]} key {table['key'][at]}" for at in (kept[place], row))
                raise Refusal(
                    f"{self.root} has uid {uid} twice, in {one} and in {two}, with different captions: remove one "
                    "of the rows"
                )
            if self.subset is None:
                copies[place] += 1
        # A mask: taking rows one by one joins all captions in one buffer, which holds no more than 2 GiB.
        mask = np.zeros(table.num_rows, dtype=np.bool_)
        mask[kept] = True
        table = table.filter(pa.array(mask))
        if counts is None:
            return table
        return table.set_column(table.column_names.index("copies"), "copies", pa.array(copies, pa.int64()))


def open_corpus(path: Path | str, subset: Path | None = None) -> Corpus:
    """Open a corpus in any of the layouts that LAION-style data comes in.

    img2dataset shards (webdataset or parquet output), bare webdataset tars, clip-retrieval embeddings, DataComp or
    LAION metadata, or pictures with a list, with captions beside them or alone. The uid of a sample is its
    DataComp ``uid``; else LAION's ``hash`` as 16 hex digits; else the 128-bit BLAKE2b of url, a zero byte and the
    caption; else the first 32 hex digits of the SHA-256 of the picture's file.

    Args:
        path: A folder, a file, a list of shards with braces (``{00000..00041}.tar``) joined by ``::``, or the URL
            of one of these in a store that fsspec reads.
        subset: DataComp subset file: only these uids, each as often as the file repeats it.

    Returns:
        The corpus, with at least one row; of its pictures nothing has been looked at.

    Raises:
        Refusal: If there is no such corpus, or parts of it are missing.
    """
    source = _open(locate(path))
    if not sum(source.sizes):
        raise Refusal(f"{source.root} holds {len(source.shards)} shards and not one sample: fetch it again")
    if subset is None:
        return Corpus(source=source)
    from oddpair.retrieval.subset import load_subset

    return Corpus(source=source, subset=load_subset(subset))


def _is_picture(data: bytes) -> bool:
    try:
        decode_picture(data)
    except BadPicture:
        return False
    return True


def fingerprint(corpus: Corpus) -> str:
    """Return a hash of everything that results made from the corpus depend on, without opening a picture."""
    return tell_apart(corpus.layout, corpus.identify())


def tell_apart(layout: str, marks: Mapping[str, str]) -> str:
    """Return the fingerprint of a corpus whose files have been identified already."""
    return files.digest([layout, dict(marks)])


def _open(place: Place) -> Source:
    stems: dict[str, set[str]] = {}
    for name in place.names:
        stem, _, ending = name.rpartition(".")
        stems.setdefault(ending.lower(), set()).add(stem)
    tars, tables = stems.get("tar", set()), stems.get("parquet", set())
    if any(folder in ("img_emb", "text_emb") for folder in place.folders):
        return open_clip_retrieval(place)
    if tars:
        paired = any(_SHARD.fullmatch(stem) and f"{stem}.tar" in place.names for stem in tars & tables)
        return open_img2dataset(place) if paired else open_webdataset(place)
    if any(_DATACOMP.fullmatch(name) for name in place.names):
        return open_datacomp(place)
    if tables:
        return _open_tables(place, tables)
    if _has_parts(place):
        return open_datacomp(place)
    if not place.names and not place.folders:
        raise Refusal(f"{place.root} is empty: {_NEEDED}")
    return open_folder(place)


def _open_tables(place: Place, tables: set[str]) -> Source:
    shouted = next((name for name in place.names if name[-8:] != ".parquet" == name[-8:].lower()), None)
    if shouted is not None:
        raise Refusal(f"{place.root} holds {shouted}: name it with the ending .parquet in small letters")
    shards = sorted(stem for stem in tables if _SHARD.fullmatch(stem))
    if shards and place.explicit and (place.root / f"{shards[0]}.tar").is_file():
        return open_img2dataset(place)
    if shards and place.explicit:
        counted = (place.root / f"{shards[0]}_stats.json").is_file()
    else:
        counted = any(_STATS.fullmatch(name) for name in place.names)
    if not counted:
        return open_laion(place)
    # img2dataset's third output has tables too, and the pictures in folders of the same names.
    if tables & set(place.folders):
        return open_folder(place)
    columns = set(read_first_columns(place.root, shards or sorted(tables))[1].names)
    alone = {"key", "status"} <= columns and not columns & set(PICTURE_COLUMNS)
    return open_laion(place) if alone else open_image_parquet(place)


def _has_parts(place: Place) -> bool:
    """Say whether there are DataComp's ``part_*`` folders, be it beside a README."""
    parts = (folder for folder in place.folders if folder.startswith("part_"))
    return any(name.endswith(".parquet") for part in parts for name in list_folder(place.root / part)[0])
