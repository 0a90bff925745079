"""``oddpair embed``: choose the model, embed or take over, say what became of the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from oddpair import files
from oddpair.commands.read import choose_width
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora, read_records
from oddpair.retrieval.embed_shard import Tower, encoder_of
from oddpair.retrieval.towers import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What became of the rows of a corpus: kept, outside the subset and quarantined add up to seen.

    Attributes:
        seen: Samples that the corpus was said to hold.
        kept: Rows embedded.
        outside: Rows that are not in the subset.
        without_caption: Rows set aside for want of a caption.
        repeated: Rows set aside because an earlier one has the same file.
        damaged: Rows set aside for any other reason.
        lost: Files set aside without anybody knowing how many rows they had.
        dimension: Length of an embedding.
    """

    seen: int
    kept: int
    outside: int
    without_caption: int
    repeated: int
    damaged: int
    lost: int
    dimension: int

    @property
    def quarantined(self) -> int:
        """Rows set aside for any reason."""
        return self.without_caption + self.repeated + self.damaged


def choose_tower(
    corpus: Corpus,
    *,
    model: str | None,
    pretrained: str | None,
    precision: Precision,
    exact: bool,
    device: str,
    engine: str | None = None,
) -> Tower | None:
    """Choose the model, and where it runs.

    Args:
        corpus: The corpus.
        model: What the user named, if anything.
        pretrained: Its weights, for an architecture.
        precision: Arithmetic.
        exact: Whether pictures keep the pixels of open_clip's transform.
        device: ``auto``, ``cpu`` or ``cuda``; on a cluster ``auto`` is the processor.
        engine: The cluster, if there is one.

    Returns:
        The model; ``None`` to take over the embeddings of a corpus that holds some, from whatever made them.

    Raises:
        Refusal: If the corpus has neither pictures nor embeddings, or there is no GPU where one is asked for.
    """
    if not corpus.source.pictures and not corpus.source.embedded:
        raise Refusal(
            f"{corpus.root} is metadata without pictures: add --fetch to fetch them by their URLs, or give the shards "
            "that img2dataset made of it"
        )
    if corpus.source.embedded and model is None:
        if pretrained is not None:
            raise Refusal(
                f"--pretrained {pretrained}: {corpus.root} holds embeddings, which are taken over: leave the option "
                "out, or add --model to check that this model made them"
            )
        unused = {
            "--precision bf16": precision != "fp32",
            "--preprocess exact": exact,
            "--device cuda": device == "cuda",
        }
        for option, is_given in unused.items():
            if is_given:
                raise Refusal(
                    f"{option}: {corpus.root} holds embeddings, and nothing is computed: leave the option out"
                )
        return None
    if engine is None:
        device = choose_device(device)
    elif device == "auto":
        # The machines of a cluster may have what this one has not; a worker without it refuses.
        device = "cpu"
    return Tower(
        model=model or "reference", pretrained=pretrained, precision=precision, exact=exact, device=device
    )


def choose_device(device: str) -> str:
    """Return ``cpu`` or ``cuda`` for what the user asked for; ``auto`` is a GPU where there is one.

    Raises:
        Refusal: If there is no GPU where one is asked for.
    """
    if device == "cpu":
        return device
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise Refusal("--device cuda: torch finds no GPU here: leave the option out")
    return "cuda" if torch.cuda.is_available() else "cpu"


def fetched(corpus: Corpus) -> Corpus:
    """Give a corpus of metadata the pictures behind its URLs.

    Raises:
        Refusal: If it has pictures of its own.
    """
    from oddpair.retrieval.fetched import open_fetched

    if corpus.source.pictures:
        raise Refusal(f"{corpus.root} has pictures of its own: leave --fetch out")
    return replace(corpus, source=open_fetched(corpus.source, subset=corpus.subset))


def embed_corpus(
    corpus: Corpus, out: Path, tower: Tower | None, *, width: int | None, workers: int, engine: str | None
) -> Embedded:
    """Embed a corpus into a folder, or take its embeddings over, and count what became of its rows.

    Args:
        corpus: The corpus.
        out: Folder to write.
        tower: The model; ``None`` for embeddings that are there.
        width: Which of several models' embeddings to take over, by their dimension.
        workers: Processes.
        engine: ``dask:ADDRESS``, or ``None`` for processes here.

    Returns:
        The counts.

    Raises:
        Refusal: As ``embed_corpora``, or if there is nothing that a width could choose among.
    """
    if width is not None and not corpus.source.embedded:
        raise Refusal(
            f"--dimension {width} chooses among the embeddings that a corpus holds, and {corpus.root} holds none: leave "
            "the option out"
        )
    if width is None and tower is not None and corpus.source.embedded:
        width = choose_width(corpus, encoder_of(tower))
    task = EmbedTask(corpus=corpus, out=out, tower=tower, width=width)
    embed_corpora([task], workers=workers, title=f"embed {corpus.name}", engine=engine)
    records = read_records(out)
    dimensions = files.read_json(out / "manifest.json")["dimensions"]
    return Embedded(
        seen=sum(record.seen for record in records),
        kept=sum(record.kept for record in records),
        outside=sum(record.outside for record in records),
        without_caption=sum(record.without_caption for record in records),
        repeated=sum(record.repeated for record in records),
        damaged=sum(record.damaged for record in records),
        lost=sum(record.lost for record in records),
        dimension=int(dimensions.get("img_emb") or dimensions["text_emb"]),
    )
