"""A vocabulary of concepts, and where captions mention them: whole words, in any number, once per caption."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from scipy import sparse

from oddpair.errors import Refusal
from oddpair.files import digest, write_text
from oddpair.retrieval.plurals import find_plurals

Mentions = sparse.csr_array[np.bool_, tuple[int, int]]

MENTION_RULE = "all"

_ASCII_WORD = re.compile(r"[0-9a-z]+")
_POSSESSIVE = re.compile(r"(?<=[^\W_])'s(?![^\W_])")
_INNER_APOSTROPHE = re.compile(r"(?<=[^\W_])'(?=[^\W_])")
# Soft hyphens, joiners and variation selectors are invisible and leave no gap in a word.
_INVISIBLE = dict.fromkeys([0xAD, 0x200C, 0x200D, *range(0xFE00, 0xFE10)])
_SPELLING = _INVISIBLE | str.maketrans({"’": "'", "ʼ": "'", "_": " "})


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """One entry: ``name`` in normal form, ``forms`` all ways to write it, the name first."""

    name: str
    forms: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Concepts in the order they were given; a concept's id is its place here."""

    concepts: tuple[Concept, ...]

    def __len__(self) -> int:
        return len(self.concepts)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in normal form, in the order of the ids."""
        return tuple(concept.name for concept in self.concepts)

    @property
    def sha256(self) -> str:
        """SHA-256 over names and forms in order: equal only where ids mean the same concepts."""
        return digest([[concept.name, *concept.forms] for concept in self.concepts])


@dataclass(slots=True)
class _Node:
    concept: int | None = None
    next: dict[str, _Node] = field(default_factory=dict)


def find_words(text: str) -> list[str]:
    """Split text into words: maximal runs of letters and digits after NFKC and case folding.

    A possessive ``'s`` is dropped and any other apostrophe inside a word joins it, so that ``cat's`` is
    ``cat`` but ``o'clock`` is no ``clock``. Hyphens, underscores and all other signs separate words.

    >>> find_words("The cat's Pine-tree, at 5 o'clock")
    ['the', 'cat', 'pine', 'tree', 'at', '5', 'oclock']
    """
    if text.isascii():
        text, word = text.lower(), _ASCII_WORD
    else:
        text = unicodedata.normalize("NFKC", text).translate(_SPELLING).casefold()
        text, word = unicodedata.normalize("NFKC", text), _unicode_word()
    if "'" in text:
        text = _INNER_APOSTROPHE.sub("", _POSSESSIVE.sub("", text))
    return word.findall(text)


def normalise(name: str) -> str:
    """Bring a concept's name into normal form: its words with single spaces.

    >>> normalise("Pine_Tree")
    'pine tree'
    """
    return " ".join(find_words(name))


def build_vocabulary(names: Iterable[str]) -> Vocabulary:
    """Build a vocabulary whose concepts are found in singular and plural.

    Names with the same normal form are one concept. Only the last word takes a plural; a name that is a
    plural already (``scissors``) has itself, so give the singular where there is one.

    Args:
        names: Names of the concepts.

    Returns:
        The vocabulary, in the order of first appearance.

    Raises:
        Refusal: If there is no name, a name holds no word, or a name is the plural of another.

    >>> build_vocabulary(["Pine_Tree", "leaf"]).concepts[0].forms
    ('pine tree', 'pine trees')
    """
    concepts: list[Concept] = []
    owner: dict[str, str] = {}
    for given in names:
        name = normalise(given)
        if not name:
            raise Refusal(f"concept {given!r} holds no letter or digit: remove it from the vocabulary")
        if owner.get(name) == name:
            continue
        start, _, last = name.rpartition(" ")
        forms = (name, *(f"{start} {plural}".strip() for plural in find_plurals(last)))
        for form in forms:
            if form in owner:
                raise Refusal(
                    f"concepts {owner[form]!r} and {name!r} are both written {form!r}, so no caption tells them "
                    "apart: keep one of them in the vocabulary"
                )
            owner[form] = name
        concepts.append(Concept(name=name, forms=forms))
    if not concepts:
        raise Refusal("the vocabulary is empty: give at least one concept")
    return Vocabulary(concepts=tuple(concepts))


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


def find_mentions(vocabulary: Vocabulary, captions: Sequence[str]) -> Mentions:
    """Find which concepts each caption mentions.

    A concept is mentioned when the words of one of its forms follow each other in the caption. Concepts
    that overlap all count: ``a pine tree`` mentions ``pine tree`` and ``tree``.

    Args:
        vocabulary: The concepts.
        captions: Captions; repeated ones are looked at once.

    Returns:
        Shape ``(n_captions, n_concepts)``, true where mentioned, with sorted indices.

    >>> find_mentions(build_vocabulary(["tree", "pine tree"]), ["two pine trees", "a street"]).toarray()
    array([[ True,  True],
           [False, False]])
    """
    root = _plant(vocabulary)
    known: dict[str, list[int]] = {}
    columns: list[int] = []
    ends = [0]
    for caption in captions:
        found = known.get(caption)
        if found is None:
            found = known[caption] = _mentioned(root, find_words(caption))
        columns.extend(found)
        ends.append(len(columns))
    mentions: Mentions = sparse.csr_array(
        (np.ones(len(columns), np.bool_), np.array(columns, np.int32), np.array(ends, np.int64)),
        shape=(len(captions), len(vocabulary)),
    )
    return mentions


def nested_pairs(vocabulary: Vocabulary) -> set[tuple[int, int]]:
    """Find pairs of concepts where a form of one holds a form of the other.

    Such concepts are no pair: whoever writes ``pine tree`` has written ``tree``.

    Returns:
        Pairs of ids, the smaller one first.

    >>> nested_pairs(build_vocabulary(["tree", "cat", "pine tree"]))
    {(0, 2)}
    """
    root = _plant(vocabulary)
    pairs: set[tuple[int, int]] = set()
    for outer, concept in enumerate(vocabulary.concepts):
        for form in concept.forms:
            inside = (inner for inner in _mentioned(root, form.split(" ")) if inner != outer)
            pairs.update((min(inner, outer), max(inner, outer)) for inner in inside)
    return pairs


def _plant(vocabulary: Vocabulary) -> _Node:
    root = _Node()
    for number, concept in enumerate(vocabulary.concepts):
        for form in concept.forms:
            node = root
            for word in form.split(" "):
                node = node.next.setdefault(word, _Node())
            node.concept = number
    return root


def _mentioned(root: _Node, words: Sequence[str]) -> list[int]:
    found: set[int] = set()
    starts = root.next
    for place, word in enumerate(words):
        node = starts.get(word)
        after = place + 1
        while node is not None:
            if node.concept is not None:
                found.add(node.concept)
            node = node.next.get(words[after]) if after < len(words) else None
            after += 1
    return sorted(found)


@cache
def _unicode_word() -> re.Pattern[str]:
    # Python's \w leaves out combining marks, which would cut words of many scripts into pieces.
    marks = (chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
    return re.compile(rf"[\w{''.join(marks)}]+")


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
