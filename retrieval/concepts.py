"""A vocabulary of concepts: names, and all the ways to write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from oddpair.errors import Refusal
from oddpair.files import digest
from oddpair.retrieval.plurals import find_plurals
from oddpair.retrieval.words import normalise


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
