"""``oddpair label``: a sample of a corpus is drawn once, and people label it on a page of their own machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from oddpair import files
from oddpair.cli_options import tell
from oddpair.commands.label_draw import Draw, Plan, extend_plan, read_plan
from oddpair.commands.label_page import make_report, merge_table, tell_report
from oddpair.commands.label_pictures import Pictures
from oddpair.commands.label_server import Server
from oddpair.commands.label_session import Session, need_name
from oddpair.commands.paths import need_apart
from oddpair.commands.read import read_corpus
from oddpair.errors import Refusal
from oddpair.progress import say
from oddpair.retrieval.corpus import Corpus
from oddpair.splits.labelling.journal import open_journal
from oddpair.splits.labelling.labels import ANNOTATORS, LABELS_FILE, read_folder, read_labels
from oddpair.splits.manifest import MANIFEST_FILE, as_uids, read_manifest, uids_digest

CLASSES = ("natural", "rendition", "ambiguous")
LABELS_TABLE, REPORT_FILE = "labels.parquet", "report.html"
_MOST_CLASSES = 9
_ONE_AGAIN_IN = 20


def serve_labels(
    corpus: Corpus, out: Path, annotator: str, plan: Plan, *, review: bool = False, port: int = 0
) -> None:
    """Serve the page of one person until the process is stopped.

    Args:
        corpus: The corpus.
        out: Folder of the labels.
        annotator: The person.
        plan: What is labelled.
        review: Whether disputes are settled.
        port: Where to listen; 0 for any free port.

    Raises:
        Refusal: If the person labels in another process, or nothing is in dispute.
    """
    folder = out / ANNOTATORS / need_name(annotator)
    with files.locked(folder), open_journal(folder / LABELS_FILE, annotator) as journal:
        session = Session(out, plan, journal, review=review)
        if review and not session.count()[1]:
            raise Refusal(
                f"{out}: nothing is in dispute: --review is for pictures that people labelled differently"
            )
        uids, shards = session.uids, plan.rows["shard"].to_pylist()
        pictures = Pictures(corpus, uids, shards, session.set_aside)
        server = Server(session, pictures, lambda: make_report(read_folder(out), plan), port)
        try:
            tell(f"label at {server.address}")
            tell("Ctrl-C ends it; every label is saved, and the same command goes on from there")
            sys.stdout.flush()
            server.serve_forever(poll_interval=0.2)
        finally:
            server.server_close()
            pictures.close()
            session.end()
            if session.unseen:
                first = min(session.unseen)
                say(
                    f"{len(session.unseen):,} pictures could not be shown, the first: uid {uids[first]}: {session.unseen[first]}"
                )
            for line in tell_report(read_folder(out), plan):
                tell(line)


def prepare_labels(
    path: str,
    out: Path,
    asked: Mapping[str, Any],
    *,
    subset: Path | None = None,
    classes: Sequence[str] | None = None,
    uids: Path | None = None,
    groups: Sequence[str] = (),
    review: bool = False,
) -> tuple[Corpus, Plan]:
    """Open the corpus and draw what is labelled, unless that has been done.

    Args:
        path: The corpus.
        out: Folder of the labels.
        asked: Fields of ``Draw`` that the user gave.
        subset: DataComp subset that limits the corpus.
        classes: Labels to choose from; ``None`` for those of the folder, or the usual three.
        uids: List of uids, or a split, to draw from.
        groups: Column of the corpus; or splits, or tables of uid and label.
        review: Whether disputes are settled, for which nothing is drawn.

    Returns:
        The corpus, and the plan of the folder.

    Raises:
        Refusal: If the corpus has no pictures, or what is asked for does not fit what the folder holds.
    """
    corpus = read_corpus(path, subset)
    need_apart(corpus, out)
    if not corpus.pictures:
        raise Refusal(f"{path} has no pictures to label: give the corpus with its pictures")
    if classes is not None:
        _check_classes(classes)
    with files.locked(out):
        plan = read_plan(out, corpus)
        if plan is None and review:
            raise Refusal(f"{out} holds no labels yet: label first, --review settles what people disagree on")
        if plan is not None and classes is not None and plan.classes != tuple(classes):
            raise Refusal(
                f"--classes {','.join(classes)}: {out} has {','.join(plan.classes)}: leave the option out, or choose "
                "another --out"
            )
        if review or (plan is not None and not asked and uids is None and not groups):
            assert plan is not None
            return corpus, plan
        pool = None if uids is None else _read_pool(uids)
        grouping = _read_groups(groups) if groups else None
        draw = _complete(asked, plan, pool, grouping)
        if plan is None or draw not in plan.draws:
            before = plan.rows.num_rows if plan else 0
            plan = extend_plan(
                out,
                corpus,
                plan,
                draw,
                classes or (plan.classes if plan else CLASSES),
                pool=pool,
                groups=grouping,
            )
            tell(f"{plan.rows.num_rows - before:,} pictures were drawn, {plan.rows.num_rows:,} in all")
    return corpus, plan


def report_labels(folder: Path) -> list[str]:
    """Write the report and the merged labels into a folder of labels, and return what to tell.

    Raises:
        Refusal: If it is no such folder.
    """
    plan = read_plan(folder)
    if plan is None:
        raise Refusal(f"{folder} holds no labels: give the folder that oddpair label wrote")
    labels = read_folder(folder)
    files.write_table(folder / LABELS_TABLE, merge_table(labels, plan))
    files.write_text(folder / REPORT_FILE, make_report(labels, plan))
    return [
        *tell_report(labels, plan),
        f"labels: {folder / LABELS_TABLE}",
        f"page: {folder / REPORT_FILE}",
    ]


def _complete(
    asked: Mapping[str, Any], plan: Plan | None, pool: pa.Array | None, groups: str | Mapping[str, str] | None
) -> Draw:
    """Fill in what the user did not say: as in an earlier draw of the kind, so that a larger sample holds it."""
    queue = asked.get("queue", "random")
    if (queue == "by-class") != (groups is not None):
        raise Refusal(
            "--queue by-class needs --groups, and --groups is for --queue by-class: give both or none"
        )
    marks = {"uids": "" if pool is None else uids_digest(pool), "groups": _mark(groups)}
    same = [
        one
        for one in (plan.draws if plan else ())
        if (one.queue, one.uids, one.groups) == (queue, *marks.values())
    ]
    draw = replace(same[-1], **asked) if same else Draw(**{**asked, **marks, "queue": queue})
    if not same and pool is not None and "sample" not in asked:
        draw = replace(draw, sample=len(pool))
    if not same and "recheck" not in asked:
        draw = replace(draw, recheck=min(draw.recheck, draw.sample // _ONE_AGAIN_IN))
    return draw


def _check_classes(classes: Sequence[str]) -> None:
    if not 2 <= len(classes) <= _MOST_CLASSES or len(set(classes)) < len(classes):
        raise Refusal(
            f"--classes {','.join(classes)}: give two to {_MOST_CLASSES} different labels, a comma between"
        )
    for name in classes:
        if not name or not name.isprintable() or name != name.strip():
            raise Refusal(f"--classes: {name!r} is no label: give plain words")


def _read_pool(path: Path) -> pa.Array:
    if (path / MANIFEST_FILE).is_file():
        return read_manifest(path).uids
    if not path.is_file():
        raise Refusal(f"--uids {path} is neither a file of uids, one a line, nor a split: check the path")
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise Refusal(f"--uids {path} is not UTF-8: give a text file of uids, one a line") from error
    found = sorted({line.strip() for line in lines} - {""})
    if not found:
        raise Refusal(f"--uids {path} holds no uid: give one a line")
    return as_uids(found)


def _read_groups(sources: Sequence[str]) -> str | dict[str, str]:
    """Read the group of each uid from splits and tables, the first named deciding; or return the column to read."""
    if len(sources) == 1 and not Path(sources[0]).exists():
        return sources[0]
    found: dict[str, str] = {}
    for source in map(Path, sources):
        if (source / MANIFEST_FILE).is_file():
            split = read_manifest(source)
            for uid in split.uids.to_pylist():
                found.setdefault(uid, split.name)
        elif source.exists():
            for uid, label in read_labels(source).items():
                found.setdefault(uid, label)
        else:
            raise Refusal(
                f"--groups {source} does not exist: give one column of the corpus, or splits and tables"
            )
    return found


def _mark(groups: str | Mapping[str, str] | None) -> str:
    if groups is None:
        return ""
    if isinstance(groups, str):
        return f"column {groups}"
    members: dict[str, list[str]] = {}
    for uid, group in sorted(groups.items()):
        members.setdefault(group, []).append(uid)
    return files.digest({group: uids_digest(uids) for group, uids in members.items()})
