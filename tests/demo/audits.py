"""Audits of drawn sets, whose truth is known: planted copies, styles, pairs held out, and what the audits say of them.

``python -m tests.demo.audits --demo work/demo --out work/audits`` audits every test set of a demo against every corpus that a
model was trained on, and prints what was told beside what was planted.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import shutil
import tarfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from oddpair import files
from oddpair.commands.audit import audit_test
from oddpair.commands.given import Given
from oddpair.eval.auditing.asked import Asked
from oddpair.retrieval.corpus import Corpus, open_corpus
from oddpair.retrieval.formats.downloads import write_stats
from oddpair.splits.styles.labels import class_of
from oddpair.splits.styles.scorer import CLASSES

TESTS = ("natural", "rendition", "pairs")


@dataclass(frozen=True, slots=True)
class Copy:
    """A planted copy: uid of the corpus row, uid of the test image, and what was done to its picture."""

    uid: str
    test: str
    kind: str


def change_picture(data: bytes, kind: str) -> bytes:
    """Return a picture as a copy of it may be found on the web."""
    if kind == "same file":
        return data
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = picture.size
    buffer = io.BytesIO()
    if kind == "compressed":
        picture.save(buffer, "JPEG", quality=50)
    elif kind == "halved":
        picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS).save(buffer, "PNG")
    else:
        assert kind == "doubled"
        picture.resize((2 * width, 2 * height), Image.Resampling.LANCZOS).save(buffer, "PNG")
    return buffer.getvalue()


KINDS = ("same file", "compressed", "halved", "doubled")


def plant_copies(corpus: Path, test: Path, out: Path, n: int, seed: int) -> list[Copy]:
    """Copy an img2dataset corpus, with one more shard of ``n`` copies of test images, of each kind as many."""
    shutil.copytree(corpus, out)
    source, images = open_corpus(corpus), open_corpus(test)
    table = images.metadata(["style", "concepts"])
    chosen = np.random.default_rng(seed).permutation(table.num_rows)[:n]
    rows = table.take(pa.array(np.sort(chosen))).to_pylist()
    pictures = images.find_pictures([row["uid"] for row in rows])
    shard = f"{len(source.shards):05d}"
    lines, copies = [], []
    with tarfile.open(out / f"{shard}.tar", "w") as tar:
        for number, row in enumerate(rows):
            kind = KINDS[number % len(KINDS)]
            data = change_picture(pictures[row["uid"]], kind)
            name = hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:32]
            key = f"{shard}{number:04d}"
            for ending, content in (("jpg", data), ("txt", b"somebody's picture"), ("json", b"{}")):
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            lines.append(
                {
                    "uid": name,
                    "key": key,
                    "caption": "somebody's picture",
                    "status": "success",
                    "style": row["style"],
                    "concepts": row["concepts"],
                    "url": f"https://example.org/{number}",
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
            )
            copies.append(Copy(uid=name, test=row["uid"], kind=kind))
    schema = files.read_table(corpus / f"{source.shards[0]}.parquet").schema
    columns = [pa.array([line.get(field.name) for line in lines], field.type) for field in schema]
    files.write_table(out / f"{shard}.parquet", pa.table(columns, schema=schema))
    write_stats(out, shard, len(lines))
    return copies


def run_audit(
    test: Path,
    corpus: Path,
    out: Path,
    *,
    labelled: int,
    precision: float,
    reference: Path | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Audit a drawn test set against a drawn corpus, and return the card."""
    given = Given(
        corpus=str(corpus),
        tests={test.name: str(test)},
        reference=None if reference is None else str(reference),
    )
    return audit_test(given, Asked(labelled=labelled, precision=precision), out, workers=workers)


def count_styles(corpus: Corpus) -> Counter[str]:
    """Count the rows of each class and, beside them, of each style as it was drawn."""
    found: Counter[str] = Counter()
    for batch in corpus.batches(["style"]):
        found.update(batch.table["style"].to_pylist())
    asked = Asked()
    classes: Counter[str] = Counter()
    for style, rows in found.items():
        classes[CLASSES[class_of(style, asked.natural, asked.ambiguous)]] += rows
    return classes + Counter({f"={style}": rows for style, rows in found.items()})


def judge_styles(card: Mapping[str, Any], truth: Mapping[str, int]) -> tuple[int, int, list[str]]:
    """Count the intervals of the corpus' style shares that hold the true share, all of them, and name the others."""
    total = sum(rows for name, rows in truth.items() if not name.startswith("="))
    hits, misses = 0, []
    for key, mark in (("classes", ""), ("finer", "=")):
        for share in card["styles"][key]:
            true, told = truth.get(mark + share["style"], 0) / total, share["corpus"]
            if told["low"] <= true <= told["high"]:
                hits += 1
            else:
                misses.append(
                    f"{share['style']}: {true:.4f} is not in [{told['low']:.4f}, {told['high']:.4f}]"
                )
    return hits, hits + len(misses), misses


def judge_pairs(folder: Path, test: Path, corpus: Path) -> dict[str, int]:
    """Compare the status of every image of a test with what captions name and pictures show, by the drawn columns.

    Returns:
        Images by what was told and what is true, as ``told / true``.
    """
    captions: set[tuple[str, ...]] = set()
    pictures: set[tuple[str, ...]] = set()
    for batch in open_corpus(corpus).batches(["named", "concepts"]):
        for column, found in (("named", captions), ("concepts", pictures)):
            for names in batch.table[column].to_pylist():
                # Who names a pine tree has named a tree: a caption holds more than the two that it was written of.
                found.update(itertools.combinations(sorted(names or ()), 2))
    told = dict(
        zip(
            *(files.read_table(folder / "images.parquet")[name].to_pylist() for name in ("uid", "status")),
            strict=True,
        )
    )
    counted: Counter[str] = Counter()
    for batch in open_corpus(test).batches(["concepts"]):
        for uid, names in zip(
            batch.table["uid"].to_pylist(), batch.table["concepts"].to_pylist(), strict=True
        ):
            key = tuple(sorted(names))
            true = "seen" if key in captions else "text-unseen" if key in pictures else "unseen"
            counted[f"{told[uid]} / {true}"] += 1
    return dict(counted)


def judge_copies(folder: Path, copies: list[Copy]) -> dict[str, list[str]]:
    """Return the reason by which each planted copy's test image was found, ``missed`` if by none, by kind of copy."""
    images = files.read_table(folder / "images.parquet", ["uid", "duplicate"])
    told = dict(zip(images["uid"].to_pylist(), images["duplicate"].to_pylist(), strict=True))
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for copy in copies:
        found[copy.kind].append(told[copy.test] or "missed")
    return found


def main() -> None:
    """Audit every test set of a finished demo against every corpus of it, and print told beside true."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--labelled", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    world, out = options.demo / "world", options.out
    planted = {}
    for test in TESTS:
        place = out / f"corpus-with-{test}"
        shutil.rmtree(place, ignore_errors=True)
        planted[place] = (test, plant_copies(world / "corpus", world / test, place, 60, seed=1))
    hits = total = 0
    for corpus in (world / "corpus", *sorted((options.demo / "shards").iterdir()), *planted):
        truth = count_styles(open_corpus(corpus))
        for test in TESTS:
            folder = out / f"{test}-against-{corpus.name}"
            card = run_audit(
                world / test,
                corpus,
                folder,
                labelled=options.labelled,
                precision=0.9,
                reference=world / "natural",
                workers=options.workers,
            )
            print(
                f"{test} against {corpus.name}: {[(one['aspect'], one['answer']) for one in card['judgements']]}"
            )
            if card["styles"] is None:
                print(f"    styles: {card['left_out']['styles']}")
            else:
                mine, all_of_them, misses = judge_styles(card, truth)
                hits, total = hits + mine, total + all_of_them
                print(f"    styles: {mine} of {all_of_them} intervals hold the true share {misses or ''}")
            if test == "pairs":
                print(f"    pairs, told / true: {judge_pairs(folder, world / test, corpus)}")
            if corpus in planted and planted[corpus][0] == test:
                for kind, reasons in judge_copies(folder, planted[corpus][1]).items():
                    print(f"    copies, {kind}: {dict(Counter(reasons))}")
            else:
                print(f"    copies: {card['duplicates']['found']['part']} told, none planted")
    print(f"{hits} of {total} intervals of style shares hold the truth, {hits / total:.1%}; 95 % asked")


if __name__ == "__main__":
    main()
