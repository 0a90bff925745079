"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.progress import visible

_CORPUS = "Folder, list or URL of shards, of embeddings, of LAION or DataComp parquet, or of pictures."
CORPUS = Annotated[str, typer.Argument(help=_CORPUS)]
CORPUS_OPTION = Annotated[str, typer.Option("--corpus", help=_CORPUS)]
SUBSET = Annotated[
    Path | None,
    typer.Option(help="DataComp subset file: only these uids, each as often as it is repeated there."),
]
OUT = Annotated[Path, typer.Option(help="Folder to write.")]
WORKERS = Annotated[int, typer.Option(min=1, help="Processes; the results do not depend on it.")]
MODEL = Annotated[
    str, typer.Option(help="'reference', a folder for local-dir:, or an open_clip architecture.")
]
PRETRAINED = Annotated[
    str | None, typer.Option(help="Weights of an architecture: .safetensors or .pt file, or tag.")
]
EMBEDDINGS = Annotated[Path | None, typer.Option(help="Folder of the corpus's embeddings; made if missing.")]
MAX_BAD = Annotated[
    float, typer.Option(min=0, max=1, help="Share of rows that may be damaged; exit 3 if more are.")
]
VOCABULARY = Annotated[
    Path | None, typer.Option(help="Concept names, one a line, or a YAML list; default: mined words.")
]
TAGS = Annotated[
    Path | None,
    typer.Option(help="Image tags: parquet of uid, concept, score; a tag counts if its score is above 0.7."),
]
REFERENCE = "reference"


def tell(line: str) -> None:
    """Print a result on stdout; captions, labels and names of files are other people's and move no cursor."""
    print(visible(line))
