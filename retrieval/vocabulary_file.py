"""Vocabularies from files and built-in lists, and back to a file.

Text holds one concept a line, further forms after tabs; empty lines and lines that begin with ``#`` are passed over.
WordNet's ``n01440764 tench, Tinca tinca`` is a name and a further form. YAML and JSON hold a list of names or of
lists that begin with the name, or a mapping from names to lists of forms; JSON also the mapping
``{"0": ["n01440764", "tench"], ...}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oddpair.errors import Refusal
from oddpair.files import parse_json, write_text
from oddpair.retrieval.concepts import Concept, Entry, Vocabulary, build_vocabulary
from oddpair.retrieval.vocabulary_names import BUILT_IN, built_in_names
from oddpair.retrieval.words import normalise

if TYPE_CHECKING:
    import yaml

COMPLETE = "# oddpair vocabulary, forms complete"
# Bounds against what is no vocabulary; one of 100,000 concepts takes 3 MB. Those of forms are for what users write:
# with the plurals that are added to it there may be more.
_MOST_BYTES = 64_000_000
_MOST_YAML = 2_000_000
_LONGEST_FORM = 1_000
_MOST_FORMS = 200
_YAML_LIST = "tag:yaml.org,2002:seq"
_SYNSET = re.compile(r"n\d{8}")
_SYNSET_LINE = re.compile(r"n\d{8}[ \t]+(.*)")
_ONE_A_LINE = "give a file with one concept a line"


def load_vocabulary(*sources: str | Path) -> Vocabulary:
    """Load the union of vocabularies, in their order.

    Args:
        sources: Files (``.yaml``, ``.yml``, ``.json``, all others are text), or names of built-in lists as ``str``:
            ``"imagenet"``, ``"coco"``, ``"voc"``. A file of such a name is given as ``"./coco"``. In a text file whose
            first line is ``# oddpair vocabulary, forms complete`` each line says all forms of its concept, the plurals
            too: none is added, and of two such concepts none joins the other as its plural. So ``new`` and ``news``
            are kept apart.

    Returns:
        The vocabulary; from a file of ``save_vocabulary`` alone, the one that was saved.

    Raises:
        Refusal: If a file is missing, too large, not UTF-8 or not such a file, or there is no concept.

    >>> load_vocabulary("voc", "coco").by_given()["horse"]
    12
    """
    if not sources:
        raise ValueError("no source, needed at least one")
    entries: list[Entry] = []
    for source in sources:
        found = _read_source(source)
        if not found:
            raise Refusal(f"{source}: the vocabulary is empty: give at least one concept")
        entries += found
    return build_vocabulary(entries)


def save_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Save names and forms as text whose first line says that the forms are complete."""
    lines = (
        "\t".join(dict.fromkeys((concept.name, *concept.forms))) + "\n" for concept in vocabulary.concepts
    )
    write_text(path, f"{COMPLETE}\n{''.join(lines)}")


def _read_source(source: str | Path) -> list[Entry]:
    if source == "per-shard":
        raise Refusal(
            "a vocabulary chosen shard by shard, as in the published code of arXiv 2507.08000, makes counts depend on "
            "how the corpus is cut into shards: give one vocabulary for the whole corpus"
        )
    if isinstance(source, str) and source in BUILT_IN:
        return list(built_in_names(source))
    path = Path(source)
    lines = read_lines(path, remedy=f"{_ONE_A_LINE}, or one of {', '.join(BUILT_IN)}")
    kind = "text" if lines[0] == COMPLETE else path.suffix.lower()
    if kind == ".json":
        return list(_parse_json(path, "\n".join(lines)))
    if kind in (".yaml", ".yml"):
        return list(_parse_yaml(path, "\n".join(lines)))
    return list(_parse_lines(path, lines))


def read_lines(path: Path, *, remedy: str) -> list[str]:
    """Read a small text file of a user's: its lines without their ends, which may be LF, CRLF or CR.

    Args:
        path: File in UTF-8, with or without a byte order mark.
        remedy: What to do where the file cannot be read.

    Raises:
        Refusal: If the file cannot be read, holds more than 64 MB or a NUL, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}): {remedy}") from error
    if len(data) > _MOST_BYTES:
        raise Refusal(f"{path} has more than {_MOST_BYTES:,} bytes: {remedy}")
    nul = data.find(0)
    if nul >= 0:
        raise Refusal(f"{path} holds a NUL at byte {nul}, so it is no text in UTF-8: save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _parse_lines(path: Path, lines: Sequence[str]) -> Iterator[Entry]:
    complete = lines[0] == COMPLETE
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = f"{path} line {number}"
        synset = None if complete else _SYNSET_LINE.fullmatch(line.strip())
        first, *further = (field.strip() for field in (synset[1].split(",") if synset else line.split("\t")))
        forms = _check_forms(place, [first, *filter(None, further)], bounded=not complete)
        yield Concept(name=forms[0], forms=forms) if complete else forms


def _parse_json(path: Path, text: str) -> Iterator[Entry]:
    try:
        value = parse_json(text.encode())
    except ValueError as error:
        reason = _short(" ".join(str(error).split()))
        raise Refusal(f"{path} is not valid JSON ({reason}): mend it, or {_ONE_A_LINE}") from error
    if isinstance(value, dict):
        items = [_of_mapping(f"{path} key {_short(key)}", key, forms) for key, forms in value.items()]
    elif isinstance(value, list):
        items = [item if isinstance(item, list) else [item] for item in value]
    else:
        raise Refusal(f"{path} holds {_short(value)}, needed a list of names: write [name, name, ...]")
    for number, forms in enumerate(items, start=1):
        place = f"{path} item {number}"
        wrong = next((form for form in forms if not isinstance(form, str)), None)
        if wrong is not None:
            raise Refusal(f"{place} has {_short(wrong)}, needed text: put it in quotes")
        yield _check_forms(place, forms)


def _of_mapping(place: str, key: str, forms: Any) -> list[Any]:
    if not isinstance(forms, list):
        raise Refusal(f"{place} has {_short(forms)}, needed a list of forms: write [form, form, ...]")
    is_index = key.isdecimal() and len(forms) == 2 and _SYNSET.fullmatch(str(forms[0]))
    return [forms[1]] if is_index else [key, *forms]


def _parse_yaml(path: Path, text: str) -> Iterator[Entry]:
    import yaml

    if len(text) > _MOST_YAML:
        raise Refusal(f"{path} has more than {_MOST_YAML:,} characters of YAML: {_ONE_A_LINE}")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise Refusal(f"{path} is no YAML ({' '.join(str(error).split())}): mend it") from error
    # The nodes themselves are read: they know their lines, keep keys that are given twice and unfold no alias.
    if isinstance(root, yaml.MappingNode):
        items = [(key, _yaml_forms(path, key, value)) for key, value in root.value]
        _refuse_repeats(path, [key for key, _ in items])
    elif isinstance(root, yaml.SequenceNode):
        items = [(item, item.value if item.tag == _YAML_LIST else [item]) for item in root.value]
    elif root is None:
        items = []
    else:
        raise Refusal(f"{path} holds {_short(root.value)}, needed a list of names: begin each line with '- '")
    for item, nodes in items:
        forms = [_yaml_text(path, node) for node in nodes]
        yield _check_forms(_yaml_place(path, item), forms)


def _yaml_forms(path: Path, key: yaml.Node, value: yaml.Node) -> list[yaml.Node]:
    if value.tag == _YAML_LIST:
        return [key, *value.value]
    if value.tag == "tag:yaml.org,2002:null":
        return [key]
    raise Refusal(f"{_yaml_place(path, value)} has no list of forms after a name: write [form, form, ...]")


def _refuse_repeats(path: Path, keys: Sequence[yaml.Node]) -> None:
    seen: set[str] = set()
    for key in keys:
        name = _yaml_text(path, key)
        if name in seen:
            raise Refusal(
                f"{_yaml_place(path, key)} gives {_short(name)} once more: write its forms in one list"
            )
        seen.add(name)


def _yaml_text(path: Path, node: yaml.Node) -> str:
    if node.tag != "tag:yaml.org,2002:str":
        what = _short(node.value) if isinstance(node.value, str) else "a list or mapping"
        raise Refusal(f"{_yaml_place(path, node)} has {what}, needed text: put it in quotes")
    return str(node.value)


def _yaml_place(path: Path, node: yaml.Node) -> str:
    return f"{path} line {node.start_mark.line + 1}"


def _check_forms(place: str, written: Sequence[str], *, bounded: bool = True) -> tuple[str, ...]:
    forms = tuple(form.strip() for form in written)
    if not forms or not forms[0]:
        raise Refusal(f"{place} has no name of a concept first: write it before its further forms")
    if bounded and len(forms) > _MOST_FORMS:
        raise Refusal(
            f"{place} has {len(forms):,} forms of one concept, needed at most {_MOST_FORMS}: if they are the names of "
            "a set's classes, give a file with these alone"
        )
    for form in forms:
        if bounded and len(form) > _LONGEST_FORM:
            raise Refusal(
                f"{place} has a form of {len(form):,} characters, needed at most {_LONGEST_FORM:,}: {_ONE_A_LINE}"
            )
        if not normalise(form):
            raise Refusal(f"{place} has {form!r}, which holds no letter or digit: remove it")
    return forms


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
