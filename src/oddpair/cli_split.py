"""``oddpair split`` and ``verify``: splits from recipes, and whether they, and audits, are what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from oddpair.cli_options import AS_JSON, EMBEDDINGS, OUT, PRETRAINED, SUBSET, TAGS, WORKERS, tell
from oddpair.errors import Refusal

_MOST_TOLD = 10
_CORPUS = Annotated[
    str | None,
    typer.Option(
        "--corpus", help="Folder, URL or list of shards, as for oddpair embed; or a folder of embeddings."
    ),
]
_TESTS = Annotated[
    list[str] | None, typer.Option("--tests", help="A test set, as NAME=PATH or PATH; may be repeated.")
]
_REFERENCE = Annotated[
    str | None, typer.Option(help="Set that the corpus may be as near to the test sets as: like --corpus.")
]
_POOLS = Annotated[
    list[str] | None,
    typer.Option("--pool", help="A split or corpus to mix, as NAME=PATH or PATH; may be repeated."),
]
_LABELS = Annotated[
    str | None, typer.Option(help="Hand labels, as oddpair label wrote them, or a table of uid and label.")
]
_COUNTS = Annotated[
    str | None, typer.Option(help="Folder that oddpair count --postings wrote for the corpus.")
]
_VOCABULARY = Annotated[
    list[str] | None, typer.Option(help="File of concepts, or imagenet, coco, voc; may be repeated.")
]
_MODEL = Annotated[
    str | None,
    typer.Option(help="'reference' (the default), a model folder, or an open_clip architecture."),
]


def split(
    recipe: Annotated[
        str, typer.Argument(help="A kind of recipe, a YAML file, or the folder of a split to make again.")
    ],
    out: OUT,
    corpus: _CORPUS = None,
    tests: _TESTS = None,
    reference: _REFERENCE = None,
    pool: _POOLS = None,
    labels: _LABELS = None,
    tags: TAGS = None,
    counts: _COUNTS = None,
    vocabulary: _VOCABULARY = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE for a key of the recipe; may be repeated."),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Print what the splits would hold, and write none.")] = False,
    model: _MODEL = None,
    pretrained: PRETRAINED = None,
    embeddings: EMBEDDINGS = None,
    subset: SUBSET = None,
    workers: WORKERS = 2,
    as_json: AS_JSON = False,
) -> None:
    """Make the splits of a recipe: manifests with what they guarantee, and a page that shows them."""
    from oddpair.commands.given import merge_given, read_sources
    from oddpair.commands.split import SPLITS, split_corpus, try_split
    from oddpair.commands.split_page import CARD_FILE
    from oddpair.splits.manifest import as_json_value
    from oddpair.splits.recipe_file import load_recipe

    loaded = load_recipe(recipe, _read_settings(settings or []))
    given = _given(
        corpus,
        tests,
        reference,
        pool,
        labels,
        tags,
        counts,
        vocabulary,
        model,
        pretrained,
        embeddings,
        subset,
    )
    given = merge_given(given, loaded.inputs)
    if loaded.made is not None:
        given = merge_given(given, read_sources(Path(recipe)))
    made = (try_split if dry_run else split_corpus)(loaded, given, out, workers=workers)
    if as_json:
        page = None if dry_run else str(out / SPLITS / CARD_FILE)
        tell(_as_json({"splits": [as_json_value(manifest) for manifest in made.splits], "page": page}))
        return
    for manifest in made.splits:
        tell(f"{manifest.name}: {len(manifest):,} rows")
        for claim in manifest.statement:
            tell(f"    {claim.text}")
        for label, value in (*manifest.rules, *manifest.card):
            tell(f"    {label}: {value:,}" if isinstance(value, int) else f"    {label}: {value}")
    for name, lines in made.lines.items():
        tell(f"{name}: {lines:,} lines")
    tell("nothing was written" if dry_run else f"page: {out / SPLITS / CARD_FILE}")


def verify(
    split: Annotated[Path, typer.Argument(help="Folder of a split's manifest, or of an audit.")],
    corpus: _CORPUS = None,
    tests: _TESTS = None,
    reference: _REFERENCE = None,
    pool: _POOLS = None,
    labels: _LABELS = None,
    tags: TAGS = None,
    counts: _COUNTS = None,
    vocabulary: _VOCABULARY = None,
    model: _MODEL = None,
    pretrained: PRETRAINED = None,
    embeddings: EMBEDDINGS = None,
    subset: SUBSET = None,
    accuracies: Annotated[
        str | None, typer.Option(help="Table of accuracies, of an audit that predicts from one.")
    ] = None,
    test_embeddings: Annotated[
        Path | None, typer.Option(help="Folder of the embeddings of an audit's test set.")
    ] = None,
    workers: WORKERS = 2,
    as_json: AS_JSON = False,
) -> None:
    """Compute what a split guarantees, or an audit says, again from its inputs; refuse what does not hold."""
    given = _given(
        corpus,
        tests,
        reference,
        pool,
        labels,
        tags,
        counts,
        vocabulary,
        model,
        pretrained,
        embeddings,
        subset,
    )
    if (split / "audit.json").is_file():
        more = {"accuracies": accuracies, "test_embeddings": test_embeddings and str(test_embeddings)}
        _verify_audit(split, replace(given, **more), workers=workers, as_json=as_json)
        return
    if accuracies is not None or test_embeddings is not None:
        raise Refusal(
            f"{split} is no audit, which --accuracies and --test-embeddings are for: leave them out"
        )
    from oddpair.commands.verify import verify_split

    found = verify_split(split, given, workers=workers)
    manifest, checks = found.manifest, found.checks
    if as_json:
        claims = [{"text": check.text, "holds": check.holds, "found": check.found} for check in checks]
        tell(
            _as_json(
                {
                    "name": manifest.name,
                    "uids_sha256": manifest.uids_sha256,
                    "claims": claims,
                    "differences": found.differences,
                }
            )
        )
    else:
        tell(
            f"{manifest.name}: {len(manifest):,} rows, uids sha256 {manifest.uids_sha256}: as its manifest says"
        )
        if not checks:
            tell("    it claims nothing else")
        for check in checks:
            tell(f"    {'holds' if check.holds else 'DOES NOT HOLD'}: {check.text} ({check.found})")
        for line in found.differences:
            tell(f"    computed from other inputs than the manifest names: {line}")
    broken = [check for check in checks if not check.holds]
    if broken:
        raise Refusal(
            f"{split}: {broken[0].text}: {broken[0].found}; make the split again, or give the inputs it was made from"
        )


def _verify_audit(folder: Path, given: Any, *, workers: int, as_json: bool) -> None:
    from oddpair.commands.audit_verify import verify_audit

    found = verify_audit(folder, given, workers=workers)
    parts = {
        "the files beside it are those that it names": [f"{name} was changed" for name in found.changed],
        "its inputs are those that it names": found.inputs,
        "everything that it says was found again": found.differences,
    }
    if as_json:
        tell(_as_json({"holds": found.holds, **{text: list(lines) for text, lines in parts.items()}}))
    else:
        tell(found.card["verdict"])
        for text, lines in parts.items():
            tell(f"    {'DOES NOT HOLD' if lines else 'holds'}: {text}")
            for line in lines[:_MOST_TOLD]:
                tell(f"        {line}")
            if len(lines) > _MOST_TOLD:
                tell(f"        and {len(lines) - _MOST_TOLD:,} more")
    if not found.holds:
        lines = next(lines for lines in parts.values() if lines)
        raise Refusal(
            f"{folder / 'audit.json'}: {lines[0]}; make the audit again, or give the inputs it was made from"
        )


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _given(
    corpus: str | None,
    tests: list[str] | None,
    reference: str | None,
    pool: list[str] | None,
    labels: str | None,
    tags: Path | None,
    counts: str | None,
    vocabulary: list[str] | None,
    model: str | None,
    pretrained: str | None,
    embeddings: Path | None,
    subset: Path | None,
) -> Any:
    from oddpair.commands.given import Given, read_named

    return Given(
        corpus=corpus,
        subset=None if subset is None else str(subset),
        embeddings=None if embeddings is None else str(embeddings),
        tests=read_named(tests or [], "--tests"),
        reference=reference,
        pools=read_named(pool or [], "--pool"),
        labels=labels,
        tags=None if tags is None else str(tags),
        counts=counts,
        vocabulary=tuple(vocabulary or ()),
        model=model,
        pretrained=pretrained,
    )


def _read_settings(values: list[str]) -> dict[str, Any]:
    import yaml

    found = {}
    for value in values:
        key, sign, text = value.partition("=")
        if not sign:
            raise Refusal(f"--set {value}: KEY=VALUE was expected")
        try:
            found[key.replace("-", "_")] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise Refusal(f"--set {value}: {str(error).splitlines()[0]}") from error
    return found
