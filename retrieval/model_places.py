"""Where the files of a model lie on this machine: a folder, the cache of the hub, a file, or what a tag stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.near_names import closest

CONFIG_FILE = "open_clip_config.json"
SAFE_WEIGHTS_FILE = "open_clip_model.safetensors"
TOKENIZER_FILE = "bpe.txt.gz"
# In open_clip's order.
WEIGHTS_FILES = (
    SAFE_WEIGHTS_FILE,
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
)
ENDINGS = (".safetensors", ".pt", ".pth", ".bin")
HUB = "hf-hub:"
LOCAL = "local-dir:"
REFERENCE = "reference"


@contextmanager
def offline() -> Iterator[None]:
    """Keep the hub's library from the network for as long as a model is loaded; a corpus may lie on the hub."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def reference_folder() -> Path:
    """Return the folder of the encoder that the suite ships, trained on the whole miniature world."""
    return Path(__file__).resolve().parent.parent / "benchmarks" / "miniature" / "reference"


def model_folder(model: str, pretrained: str | None) -> Path | None:
    """Return the folder of a model that has its own weights, or ``None`` for an architecture.

    Args:
        model: ``reference``, ``hf-hub:ORG/NAME``, ``local-dir:PATH``, a folder, or an architecture.
        pretrained: What else was given as weights.

    Raises:
        Refusal: If weights were given beside a model that has its own, a name is empty, or the hub's cache does not hold it.
    """
    if not model.removeprefix(LOCAL):
        raise Refusal(
            f"the name of the model is empty ('{model}'): give {REFERENCE}, a folder, or an architecture of open_clip"
        )
    if pretrained == "":
        raise Refusal(
            f"model '{model}' is given empty weights: name a file or a tag, or leave --pretrained out"
        )
    if model != REFERENCE and not model.startswith((HUB, LOCAL)) and not Path(model).is_dir():
        return None
    if pretrained is not None:
        raise Refusal(
            f"model '{model}' has its own weights, and --pretrained {pretrained} would go unused: leave the option out"
        )
    if model == REFERENCE:
        return reference_folder()
    return _hub_folder(model) if model.startswith(HUB) else Path(model.removeprefix(LOCAL))


def model_files(folder: Path) -> tuple[Path, Path]:
    """Return the configuration and the weights of a folder, safetensors before all others.

    Raises:
        Refusal: If one is missing, or several files could be the weights.
    """
    config = folder / CONFIG_FILE
    named = [folder / name for name in WEIGHTS_FILES if (folder / name).is_file()]
    if not config.is_file():
        raise Refusal(f"{config} is missing: a model folder holds {CONFIG_FILE} and {SAFE_WEIGHTS_FILE}")
    found = named or sorted(path for path in folder.glob("*.pt") if path.is_file())
    if not found:
        raise Refusal(
            f"{folder / SAFE_WEIGHTS_FILE} is missing: a model folder holds {CONFIG_FILE} and {SAFE_WEIGHTS_FILE}, "
            f"{WEIGHTS_FILES[2]} or one .pt"
        )
    if not named and len(found) > 1:
        raise Refusal(
            f"{folder} holds {len(found)} files of weights, such as {found[0].name} and {found[1].name}: leave one"
        )
    return config, found[0]


def is_weights_file(pretrained: str) -> bool:
    """Say whether a user's word for weights is a file; what has none of the endings is a tag, whatever lies here."""
    return pretrained.lower().endswith(ENDINGS) and Path(pretrained).is_file()


def weights_file(architecture: str, pretrained: str) -> Path:
    """Return the file of an architecture's weights on this machine.

    Args:
        architecture: One of open_clip.
        pretrained: A file, or a tag.

    Raises:
        Refusal: If it is neither, or the tag's weights are not on this machine or are damaged.
    """
    import open_clip

    if is_weights_file(pretrained):
        return Path(pretrained)
    if open_clip.get_pretrained_cfg(architecture, pretrained):
        return _tag_file(architecture, pretrained)
    if Path(pretrained).is_file():
        raise Refusal(
            f"{pretrained} has none of the endings {', '.join(ENDINGS)}: give weights in one of these formats"
        )
    near = closest(pretrained, open_clip.list_pretrained_tags_by_model(architecture))
    raise Refusal(
        f"{pretrained} is neither a file nor a pretrained tag of {architecture}: check the path of the weights{near}"
    )


def _hub_folder(model: str) -> Path:
    """Return the newest snapshot of a repository in the hub's cache; nothing is fetched."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    repository = model.removeprefix(HUB)
    try:
        found = try_to_load_from_cache(repository, CONFIG_FILE)
    except HFValidationError as error:
        raise Refusal(f"'{model}' is no model of the hub: give {HUB}ORGANISATION/NAME") from error
    if not isinstance(found, str):
        raise Refusal(
            f"{model} is not in the cache of the hub on this machine, and nothing is fetched: run 'hf download {repository}' "
            "where there is a network"
        )
    return Path(found).parent


def _tag_file(architecture: str, tag: str) -> Path:
    import open_clip
    from open_clip.pretrained import download_pretrained

    source = open_clip.get_pretrained_cfg(architecture, tag)
    repository = (source.get("hf_hub") or "").rstrip("/")
    if not repository:
        return _cached_address(source.get("url", ""))
    try:
        with offline():
            return Path(download_pretrained(source))
    except OSError as error:
        raise Refusal(
            f"the weights of tag {tag} of {architecture} are not on this machine, or damaged, and nothing is fetched: "
            f"download them from https://huggingface.co/{repository} and give the file as --pretrained"
        ) from error


def _cached_address(address: str) -> Path:
    """Return the file that open_clip keeps of a web address; it would fetch anew what has another hash."""
    path = Path("~/.cache/clip").expanduser() / Path(address).name
    if not path.is_file():
        raise Refusal(
            f"{path} is missing, and nothing is fetched: download it from {address} and give its path as --pretrained"
        )
    needed = sha256_in(address)
    if needed and not files.sha256(path).startswith(needed):
        raise Refusal(
            f"{path} is damaged: its SHA-256 does not start with {needed}, download it from {address} again"
        )
    return path


def sha256_in(address: str) -> str:
    """Return the start of the SHA-256 that a web address of weights tells, or ``""``.

    >>> sha256_in("https://github.com/mlfoundations/open_clip/releases/download/v0.2-weights/rn50-cc12m-f000538c.pt")
    'f000538c'
    """
    parts = address.split("/")
    told = parts[-2] if "openaipublic" in address else Path(address).stem.rpartition("-")[2]
    is_hash = len(told) in (8, hashlib.sha256().digest_size * 2) and set(told) <= set("0123456789abcdef")
    return told if is_hash and ("openaipublic" in address or "mlfoundations" in address) else ""
