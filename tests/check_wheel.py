"""Exit 1 with one line unless a wheel adds only oddpair to site-packages and holds what the suite needs to run."""

import re
import sys
import zipfile
from pathlib import Path

NEEDED = (
    "oddpair/cli.py",
    "oddpair/demo/run.py",
    "oddpair/commands/split.py",
    "oddpair/commands/label.html",
    "oddpair/commands/label.css",
    "oddpair/commands/label.js",
    "oddpair/commands/board.html",
    "oddpair/commands/board.css",
    "oddpair/commands/board.js",
    "oddpair/commands/audit.html",
    "oddpair/commands/audit.css",
    "oddpair/commands/audit.js",
    "oddpair/commands/board_entry.html",
    "oddpair/commands/board_entry.css",
    "oddpair/commands/board_plot.html",
    "oddpair/retrieval/encoder.py",
    "oddpair/splits/recipes/style_strict.yaml",
    "oddpair/splits/recipes/unseen_pairs.yaml",
    "oddpair/benchmarks/keys/miniature-v1/natural.parquet",
    "oddpair/benchmarks/corpora/miniature-corpus/corpus.json",
    "oddpair/benchmarks/miniature/reference/bpe.txt.gz",
    "oddpair/benchmarks/miniature/reference/open_clip_config.json",
    "oddpair/benchmarks/miniature/reference/open_clip_model.safetensors",
    "oddpair/eval/intervals.py",
)


def find_fault(wheel: Path) -> str:
    """Say what is wrong with a wheel; nothing if nothing is."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            broken = archive.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        return f"cannot be read: {error}"
    if broken:
        return f"{broken} is damaged"
    top = {name.split("/")[0] for name in names}
    others = sorted(
        name for name in top if name != "oddpair" and not re.fullmatch(r"oddpair-.*\.dist-info", name)
    )
    if others:
        return f"adds {others[0]} to site-packages, only oddpair may be added"
    missing = [name for name in NEEDED if name not in names]
    if missing:
        return f"lacks {missing[0]}: name it in pyproject.toml, under packages or package-data"
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"holds {twice[0]} twice" if twice else ""


def main(arguments: list[str]) -> int:
    """Check the wheels given as arguments."""
    if not arguments:
        print("check_wheel: give the path of a wheel", file=sys.stderr)
        return 1
    for wheel in arguments:
        fault = find_fault(Path(wheel))
        if fault:
            print(f"{wheel}: {fault}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
