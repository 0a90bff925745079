"""What a run of an evaluation ran on: the model, the package, the libraries and the machine; never the time."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import oddpair
from oddpair.eval.models_file import ModelChoice
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.model_checks import ModelReport

FORMAT = 1
SEEDS = "from the hash of the uids of a task, never from the model or the clock"
# What scores, decodes, resizes or computes; another version of one may move the last digit.
LIBRARIES = (
    "torch",
    "torchvision",
    "open_clip_torch",
    "timm",
    "transformers",
    "safetensors",
    "numpy",
    "scipy",
    "pyarrow",
    "pillow",
    "simplejpeg",
)


def run_record(
    choice: ModelChoice, report: ModelReport, encoder: Encoder, *, tower: Tower, seeds: str = SEEDS
) -> dict[str, Any]:
    """Say what a run ran on, as strict JSON that is the same for the same run.

    Args:
        choice: What the user asked for.
        report: What was found out about the model.
        encoder: The model as it ran.
        tower: How it was to run.
        seeds: The rule that seeds come from.

    Returns:
        ``format``, ``model``, ``package``, ``libraries`` and ``machine``; ``null`` where something is unknown.
    """
    import torch

    return {
        "format": FORMAT,
        "model": {
            "model": choice.model,
            "pretrained": choice.pretrained,
            "sha256": encoder.sha256,
            "dimension": encoder.dimension,
            "activation": report.activation,
            "preprocessing": encoder.preprocess.describe(),
            "tokenizer": report.tokenizer,
            "context_length": report.context_length,
            "logit_scale": report.logit_scale,
            "notes": list(report.notes),
        },
        "precision": tower.precision,
        "dtype": str(encoder.towers.dtype).removeprefix("torch."),
        "seeds": seeds,
        "package": describe_package(),
        "libraries": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        "machine": {
            "platform": platform.platform(),
            "device": name_device(encoder.towers.device),
            "threads": torch.get_num_threads(),
        },
    }


def describe_package() -> dict[str, Any]:
    """Say which oddpair is installed: ``version``, ``commit`` and whether its tree is ``dirty``.

    The commit is that of the package that runs: what pip wrote down where it installed from a repository, else that of
    the source tree that the package lies in. The repository of the working directory is never asked.
    """
    commit, dirty = _installed_commit(), None
    if commit is not None:
        dirty = False
    else:
        commit, dirty = _tree_commit(Path(oddpair.__file__).resolve().parents[2])
    return {"version": _version("oddpair"), "commit": commit, "dirty": dirty}


def name_device(device: str) -> str:
    """Name what the model runs on: the processor, or the GPU."""
    import torch

    if device != "cpu":
        return str(torch.cuda.get_device_name(device)) if device.startswith("cuda") else device
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _installed_commit() -> str | None:
    """Return the commit that pip wrote down (PEP 610)."""
    try:
        text = distribution("oddpair").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    commit = (json.loads(text).get("vcs_info") or {}).get("commit_id") if text else None
    return None if commit is None else str(commit)


def _tree_commit(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit of oddpair's own source tree; a wheel that lies in somebody's repository has none."""
    if not (root / ".git").exists() or not (root / "src" / "oddpair").is_dir():
        return None, None
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain")
    return (commit or None), (None if changes is None else bool(changes))


def _git(root: Path, *arguments: str) -> str | None:
    # Variables such as GIT_DIR, which hooks set, name another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(  # noqa: S603  git alone, on oddpair's own tree
            command, check=True, capture_output=True, text=True, env=environment, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
