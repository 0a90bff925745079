"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.progress import say, visible

_CORPUS = (
    "Folder, URL or list ('{00000..00041}.tar::more/0.tar') of img2dataset or webdataset shards, clip-retrieval embeddings, "
    "DataComp or LAION parquet, or pictures."
)
CORPUS = Annotated[str, typer.Argument(help=_CORPUS)]
CORPUS_OPTION = Annotated[str, typer.Option("--corpus", help=_CORPUS)]
SUBSET = Annotated[
    Path | None,
    typer.Option(help="DataComp subset file: only these uids, each as often as it is repeated there."),
]
OUT = Annotated[Path, typer.Option(help="Folder to write.")]
WORKERS = Annotated[int, typer.Option(min=1, help="Processes; the results do not depend on it.")]
MODEL = Annotated[str, typer.Option(help="'reference', a model folder, or an open_clip architecture.")]
PRETRAINED = Annotated[
    str | None,
    typer.Option(
        help="Weights of an architecture: a .safetensors or .pt file, or a tag whose weights are on this machine."
    ),
]
EMBEDDINGS = Annotated[Path | None, typer.Option(help="Folder of the corpus's embeddings; made if missing.")]
MAX_BAD = Annotated[
    float, typer.Option(min=0, max=1, help="Share of rows that may be damaged; exit 3 if more are.")
]
VOCABULARY = Annotated[
    Path | None, typer.Option(help="Concept names, one a line, or a YAML list; default: mined words.")
]
VOCABULARIES = Annotated[
    list[str],
    typer.Option(
        "--vocabulary",
        help="File of concepts (one a line with further forms after tabs; or YAML or JSON), or a built-in list: "
        "imagenet, coco, voc. May be repeated. Default: mined words.",
    ),
]
TAGS = Annotated[
    Path | None,
    typer.Option(
        help="Image tags: what oddpair tag wrote, of which every tag counts, or parquet of uid, concept, score by "
        "another tagger, of which a tag counts if its score is above 0.7."
    ),
]
ENGINE = Annotated[
    str | None,
    typer.Option(
        help="dask:ADDRESS of a scheduler, such as dask:tcp://10.0.0.1:8786; without it, processes here."
    ),
]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print one line of JSON, and nothing else.")]
REFERENCE = "reference"


def leave_if_damaged(out: Path, *, damaged: int, lost: int, seen: int, max_bad: float) -> None:
    """End a verb that is done with exit 3 if more was set aside than the user bears, and say where it is listed.

    Args:
        out: Folder of ``quarantine.jsonl``.
        damaged: Rows set aside because something is wrong with them.
        lost: Files set aside without anybody knowing how many rows they had: one is too many.
        seen: Rows of the corpus.
        max_bad: Share of rows that may be damaged.
    """
    if lost or damaged > max_bad * seen:
        found = f"{damaged / max(seen, 1):.2%} of the rows are damaged, --max-bad is {max_bad:g}"
        files = f"{lost} files of unknown size are damaged" if lost else found
        say(f"oddpair: done, but {files}: see {out}/quarantine.jsonl")
        raise typer.Exit(3)


def tell(line: str) -> None:
    """Print a result on stdout; captions, labels and names of files are other people's and move no cursor."""
    print(visible(line))
