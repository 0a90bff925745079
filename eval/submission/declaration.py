"""What a submitter declares of a model, in a YAML file: nothing has a default, and what nobody knows is ``unknown``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oddpair.benchmarks.sections import Section, read_section
from oddpair.errors import Refusal
from oddpair.eval.submission.schema import LONGEST_NAME
from oddpair.eval.submission.submission import TrainingData
from oddpair.eval.submission.words import check_link, check_name

UNKNOWN = "unknown"
_MOST = 2**53
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What only the submitter can know; the fields are those of `oddpair.eval.submission.submission.Submission`."""

    handle: str
    model: str
    architecture: str
    parameters: int
    open_weights: bool
    training: tuple[TrainingData, ...]
    samples_seen: int | None
    variants_tried: int
    links: Mapping[str, str]


def read_declaration(path: Path) -> tuple[Declaration | None, tuple[str, ...]]:
    """Read a declaration as far as it goes, and say everything that it lacks at once.

    Args:
        path: YAML file with exactly the fields of `Declaration`.

    Returns:
        The declaration, ``None`` if a field cannot be read; and what is wrong, a line for each field.

    Raises:
        Refusal: If there is no such file, or it is no YAML that holds a mapping.
    """
    section = read_section(path)
    problems: list[str] = []
    values: dict[str, Any] = {}
    try:
        section.expect(*_READERS)
    except Refusal as refusal:
        problems.append(str(refusal))
    for name, read in _READERS.items():
        try:
            values[name] = read(_filled(section, name), name)
        except Refusal as refusal:
            problems.append(str(refusal))
    return (None if problems else Declaration(**values)), tuple(problems)


def _filled(section: Section, name: str) -> Section:
    if name not in section.values:
        raise Refusal(f"{section.where}: '{name}' is missing")
    if section.values[name] is None:
        raise Refusal(f"{section.where}: {name} is not filled in")
    return section


def _text(section: Section, name: str) -> str:
    return section.text(name)


def _name(section: Section, name: str) -> str:
    return _checked(section.text(name), section, name)


def _flag(section: Section, name: str) -> bool:
    return section.flag(name)


def _number(section: Section, name: str) -> int:
    value = section.values[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
        raise Refusal(f"{section.where}: {name} is {value!r:.60}, a whole number from 1 was expected")
    return value


def _number_if_known(section: Section, name: str) -> int | None:
    return None if section.values[name] == UNKNOWN else _number(section, name)


def _training(section: Section, name: str) -> tuple[TrainingData, ...]:
    listed = section.values[name]
    if listed == UNKNOWN:
        return ()
    if not isinstance(listed, list) or not listed or not all(map(_is_mapping, listed)):
        raise Refusal(
            f"{section.where}: {name} is {listed!r:.60}, a list of 'name' and 'manifest' was expected, or {UNKNOWN}"
        )
    return tuple(
        _corpus(Section(where=f"{section.where}: {name} {n}", values=one)) for n, one in enumerate(listed, 1)
    )


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _corpus(section: Section) -> TrainingData:
    section.expect("name", "manifest")
    corpus, manifest = _filled(section, "name").text("name"), _filled(section, "manifest").text("manifest")
    if manifest != UNKNOWN and not _HEX.fullmatch(manifest):
        raise Refusal(
            f"{section.where}: manifest is {manifest!r:.70}, the 64 hex digits of a SHA-256 were expected, or {UNKNOWN}"
        )
    _checked(corpus, section, "name")
    return TrainingData(name=corpus, manifest="" if manifest == UNKNOWN else manifest)


def _links(section: Section, name: str) -> dict[str, str]:
    listed = section.section(name)
    made = {kind: listed.text(kind) for kind in listed}
    for kind, address in made.items():
        try:
            check_link(kind, address)
        except ValueError as problem:
            raise Refusal(f"{listed.where}: {kind} cannot be linked to: {problem}") from problem
    return made


def _checked(text: str, section: Section, name: str) -> str:
    try:
        check_name(text, "it", longest=LONGEST_NAME)
    except ValueError as problem:
        raise Refusal(f"{section.where}: {name} cannot be shown: {problem}") from problem
    return text


_READERS: Mapping[str, Callable[[Section, str], Any]] = {
    "handle": _text,
    "model": _text,
    "architecture": _name,
    "parameters": _number,
    "open_weights": _flag,
    "training": _training,
    "samples_seen": _number_if_known,
    "variants_tried": _number,
    "links": _links,
}
