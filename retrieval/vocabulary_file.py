"""Vocabularies on disk: text with one concept a line, or a YAML list."""

from __future__ import annotations

import json
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.files import write_text
from oddpair.retrieval.concepts import Vocabulary, build_vocabulary


def load_vocabulary(path: Path) -> Vocabulary:
    """Load a vocabulary: a YAML list of names (``.yaml``, ``.yml``), or text with one name a line.

    In text, empty lines and lines that begin with ``#`` are passed over.

    Raises:
        Refusal: If the file is missing, not UTF-8, not such a list, or no vocabulary can be built from it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Refusal(
            f"{path} cannot be read ({error.strerror}): give a file with one concept a line"
        ) from error
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    names = _parse_yaml(path, text) if path.suffix in (".yaml", ".yml") else _parse_lines(text)
    try:
        return build_vocabulary(names)
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from refusal


def save_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Save the names in the form that ``load_vocabulary`` reads under that file name."""
    if path.suffix in (".yaml", ".yml"):
        lines = [f"- {json.dumps(name, ensure_ascii=False)}" for name in vocabulary.names]
    else:
        lines = list(vocabulary.names)
    write_text(path, "\n".join(lines) + "\n")


def _parse_lines(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _parse_yaml(path: Path, text: str) -> list[str]:
    import yaml

    try:
        names = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Refusal(f"{path} is no YAML ({' '.join(str(error).split())}): mend it") from error
    if not isinstance(names, list):
        raise Refusal(
            f"{path} holds {type(names).__name__}, needed a list of names: begin each line with '- '"
        )
    wrong = next((number for number, name in enumerate(names) if not isinstance(name, str)), None)
    if wrong is not None:
        raise Refusal(f"{path} has {names[wrong]!r} as item {wrong + 1}, needed text: put it in quotes")
    return names
