"""A set in CLIP_benchmark's layout, and a benchmark of six tasks over it: class lists, templates and limits."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NAMES = (
    *("dog", "kettle", "harbour", "violin", "bicycle", "lemon", "castle", "spoon", "owl", "bridge"),
    *("tractor", "umbrella", "piano", "cactus", "lantern", "rabbit", "canoe", "pillow", "windmill", "helmet"),
)
TEMPLATES = (
    *("a photo of a {}.", "a bad photo of a {}.", "a photo of the large {}.", "a photo of the small {}."),
    *("art of the {}.", "itap of a {}.", "a {} in a video game."),
)
KEPT = 16
SHARDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One task of the six.

    Attributes:
        name: Its name.
        names: Of the classes.
        templates: With one ``{}`` each.
        kept: Classes that it is limited to, the first so many.
    """

    name: str
    names: Sequence[str]
    templates: Sequence[str]
    kept: int = len(NAMES)


_OTHERS = tuple(f"{name}, an object" for name in NAMES)
VARIANTS = (
    Variant(name="plain", names=NAMES, templates=TEMPLATES[:1]),
    Variant(name="ensemble", names=NAMES, templates=TEMPLATES),
    Variant(name="renamed", names=_OTHERS, templates=TEMPLATES[:1]),
    Variant(name="renamed-ensemble", names=_OTHERS, templates=TEMPLATES),
    Variant(name="kept", names=NAMES, templates=TEMPLATES[:1], kept=KEPT),
    Variant(name="kept-ensemble", names=NAMES, templates=TEMPLATES, kept=KEPT),
)


def write_set(folder: Path, pictures: Sequence[bytes], *, kept: int = len(NAMES)) -> Path:
    """Write pictures, labelled in turn, without those of classes that are not kept."""
    (folder / "test").mkdir(parents=True)
    rows = [row for row in range(len(pictures)) if row % len(NAMES) < kept]
    for shard in range(SHARDS):
        with tarfile.open(folder / "test" / f"{shard}.tar", "w") as tar:
            for row in rows[shard::SHARDS]:
                for ending, data in (("jpg", pictures[row]), ("cls", str(row % len(NAMES)).encode())):
                    member = tarfile.TarInfo(f"s{row:07}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    (folder / "test" / "nshards.txt").write_text(str(SHARDS))
    (folder / "classnames.txt").write_text("\n".join(NAMES))
    (folder / "zeroshot_classification_templates.txt").write_text(
        "\n".join(template.replace("{}", "{c}") for template in TEMPLATES[:1])
    )
    return folder


def write_benchmark(path: Path, variants: Sequence[Variant]) -> Path:
    """Write the tasks over a set that lies beside it as ``all``; JSON is YAML."""
    keys = [str(number) for number in range(len(NAMES))]
    benchmark = {
        "benchmark": path.stem,
        "version": 1,
        "about": "Variants over one set.",
        "sets": {"all": {"layout": "clip_benchmark", "path": "all"}},
        "classes": {each.name: {"keys": keys, "names": list(each.names)} for each in variants},
        "templates": {each.name: list(each.templates) for each in variants},
        "tasks": {
            each.name: {
                "set": "all",
                "kind": "classification",
                "family": "natural",
                "classes": each.name,
                "templates": each.name,
                **({"only": keys[: each.kept]} if each.kept < len(keys) else {}),
            }
            for each in variants
        },
    }
    path.write_text(json.dumps(benchmark))
    return path


def write_prompts(path: Path, variant: Variant) -> Path:
    """Write what the peer's loop asks."""
    names = list(variant.names[: variant.kept])
    path.write_text(json.dumps({"names": names, "templates": list(variant.templates)}))
    return path
