"""``oddpair samples``: how many samples of a corpus hold a set of concepts, and which."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import SUBSET, tell
from oddpair.errors import Refusal


class Where(StrEnum):
    """Where a sample has to hold the concepts."""

    text = "text"
    image = "image"
    joint = "joint"


def samples(
    counts: Annotated[Path, typer.Argument(help="Folder of oddpair count --postings.")],
    concept: Annotated[
        list[str], typer.Argument(help="Concepts of its vocabulary, in any of their spellings.")
    ],
    corpus: Annotated[
        str | None,
        typer.Option(help="The corpus that was counted; without it, the numbers but no samples."),
    ] = None,
    where: Annotated[
        Where, typer.Option("--in", help="In the caption, in the image's tags, or each concept in both.")
    ] = Where.text,
    limit: Annotated[int, typer.Option(min=0, help="Samples to show, the first in the corpus.")] = 20,
    out: Annotated[Path | None, typer.Option(help="HTML page of these samples to write.")] = None,
    uids: Annotated[
        Path | None, typer.Option(help="File to write: the uids of all such samples, sorted, one a line.")
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(help="Folder of a split to write: all such samples, for oddpair export and verify."),
    ] = None,
    subset: SUBSET = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say in how many rows a set of concepts occurs together, exactly, and show them; each row counts once."""
    import json

    from oddpair import files
    from oddpair.commands.paths import need_apart
    from oddpair.commands.samples import ask, describe
    from oddpair.commands.samples_found import find_samples, make_split, need_places, require_counted
    from oddpair.commands.samples_page import write_page
    from oddpair.splits.manifest import write_manifest

    for path in (out, uids):
        if path is not None and path.is_dir():
            raise Refusal(f"{path} is a folder: give the file to write")
    for option, value in {"--out": out, "--uids": uids, "--split": split, "--subset": subset}.items():
        if corpus is None and value is not None:
            raise Refusal(f"{option} needs --corpus, the corpus that was counted")
    answer = ask(counts, concept, where.value)
    found = None
    if corpus is not None:
        opened = require_counted(answer, corpus, subset)
        if split is not None:
            need_apart(opened, split)
        outputs = [path for path in (split, uids, out) if path is not None]
        need_places(counts, opened, [] if subset is None else [subset], outputs)
        found = find_samples(answer, opened, limit=limit, whole=uids is not None or split is not None)
        manifest = None if split is None else make_split(split, answer, found.uids)
    if as_json:
        print(json.dumps(describe(answer) | ({} if found is None else {"samples": found.rows()})))
    else:
        for line in answer.lines():
            tell(line)
        for sample in found.shown if found else ():
            tell(f"{sample.uid}  {sample.caption}")
    if found is None:
        return
    if uids is not None:
        files.write_text(uids, "".join(f"{uid}\n" for uid in found.uids))
    if split is not None and manifest is not None:
        with files.locked(split):
            write_manifest(split, manifest)
    if out is not None:
        write_page(out, opened, answer, found)
    if not as_json:
        for name, path in (("uids", uids), ("split", split), ("page", out)):
            if path is not None:
                tell(f"{name}: {path}")
