"""Captions made of class names, for pictures that have none: "a photo of a great white shark"."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.retrieval.samples import Bad, Batch, Sample
from oddpair.retrieval.vocabulary_names import built_in_names
from oddpair.splits.exports.rows import Readable

_WORDNET = re.compile(r"n\d{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Captioned:
    """A corpus whose captions are made of the classes of its pictures; whatever reads a corpus reads it so.

    Attributes:
        corpus: The corpus.
        template: The caption, with ``{}`` for the class.
        column: Column of the classes; ``None`` for the folder that each picture lies in.
        names: Names of classes that folders or column give as ids, such as ``n01440764``.
    """

    corpus: Readable
    template: str
    column: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """Folder of the corpus."""
        return self.corpus.root

    @property
    def shards(self) -> tuple[str, ...]:
        """Its shards."""
        return self.corpus.shards

    @property
    def captioned(self) -> bool:
        """Every row has a caption."""
        return True

    @property
    def pictures(self) -> bool:
        """Whether there are pictures."""
        return self.corpus.pictures

    def scan(self, shard: str, columns: Sequence[str] | None = ()) -> Iterator[Batch]:
        """Read a shard's metadata, with the captions that are made."""
        asked = columns if columns is None or self.column is None else [*columns, self.column]
        for batch in self.corpus.scan(shard, asked):
            table = batch.table
            place = table.column_names.index("caption")
            table = table.set_column(place, "caption", pa.array(self._make(table), pa.string()))
            if columns is not None:
                kept = [name for name in table.column_names if name != self.column or name in columns]
                table = table.select(kept)
            yield replace(batch, table=table)

    def stream(self, shard: str) -> Iterator[Sample | Bad]:
        """Read a shard's samples, with the captions that are made."""
        captions: dict[str, str] = {}
        for batch in self.scan(shard):
            captions.update(
                zip(batch.table["key"].to_pylist(), batch.table["caption"].to_pylist(), strict=True)
            )
        for item in self.corpus.stream(shard):
            yield replace(item, caption=captions[item.key]) if isinstance(item, Sample) else item

    def _make(self, table: pa.Table) -> list[str]:
        keys: list[str] = table["key"].to_pylist()
        if self.column is None:
            classes = [key.rpartition("/")[0].rpartition("/")[2] for key in keys]
        else:
            classes = [_as_text(value) for value in table[self.column].to_pylist()]
        if not all(classes):
            wanting = keys[classes.index("")]
            where = "lies in no folder" if self.column is None else f"has nothing in column {self.column!r}"
            raise Refusal(
                f"{self.root}: {wanting} {where}, and its caption is made of its class: name a column with --class-column"
            )
        unknown = next((name for name in classes if self.names and name not in self.names), None)
        if unknown is not None:
            raise Refusal(
                f"{self.root}: class {unknown!r} is none of the {len(self.names):,} of ImageNet, whose ids others are: "
                "name a column of class names with --class-column"
            )
        named = {name: self.names.get(name, name).replace("_", " ") for name in set(classes)}
        return [self.template.format(named[name]) for name in classes]


def caption_by_class(corpus: Readable, template: str, column: str | None = None) -> Captioned:
    """Give the pictures of a corpus captions made of their classes, as reference sets are added to a corpus.

    Classes are the values of a column, or the folders that pictures lie in. ``_`` stands for a space; ids of
    WordNet such as ``n01440764``, as ImageNet's folders are named, are given ImageNet's class names.

    Args:
        corpus: The corpus; captions of its own go unused.
        template: The caption, with one ``{}`` for the class.
        column: Column of the classes; ``None`` for folders.

    Returns:
        The corpus with captions.

    Raises:
        Refusal: If the template has not one ``{}``.

    References:
        Mayilvahanan et al., "Does CLIP's Generalization Performance Mainly Stem from High Train-Test Similarity?",
        ICLR 2024, arXiv:2310.09562: ImageNet-Train with "a photo of a {class}".
    """
    if template.count("{}") != 1 or template.count("{") != 1 or template.count("}") != 1:
        raise Refusal(f"--caption-template {template!r} must hold one {{}} for the class, and no other brace")
    captioned = Captioned(corpus=corpus, template=template, column=column)
    return replace(captioned, names=_imagenet_names() if _has_wordnet(captioned) else {})


def _has_wordnet(corpus: Captioned) -> bool:
    """Say whether the first pictures have ids of WordNet for classes."""
    bare = replace(corpus, template="{}")
    for shard in corpus.shards:
        for batch in bare.scan(shard):
            if batch.table.num_rows:
                return _WORDNET.fullmatch(batch.table["caption"][0].as_py()) is not None
    return False


def _imagenet_names() -> dict[str, str]:
    """Read ImageNet's class names by their WordNet ids, as timm and open_clip hold them, in the order of classes."""
    package = importlib.util.find_spec("timm")
    place = Path(package.origin).parent if package and package.origin else Path()
    path = place / "data" / "_info" / "imagenet_synsets.txt"
    names = [name for name, *_ in built_in_names("imagenet")]
    ids = path.read_text("utf-8").split() if package and path.is_file() else []
    if len(ids) != len(names):
        raise Refusal(
            f"classes are ids of WordNet, and {path} does not name {len(names):,} of them: install timm, or name a "
            "column of class names with --class-column"
        )
    return dict(zip(ids, names, strict=True))


def _as_text(value: object) -> str:
    return "" if value is None else str(value)
