"""A vocabulary of concepts: names, and all the ways to write them.

Names that differ in case, underscores, hyphens or apostrophes are one concept. So are a name and its plural, under
the singular, unless the plural is that of two other names: ``axes`` beside ``axe`` and ``axis`` stays on its own.
Several concepts may share a form: each is mentioned by it, and they are no pair.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from oddpair.errors import Refusal
from oddpair.files import digest
from oddpair.retrieval.plurals import find_plurals
from oddpair.retrieval.words import normalise

# Signs by which class lists set alternatives and explanations beside a name.
_ASIDE = re.compile(r"[()\[\]{}/|,;]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """One entry of a vocabulary.

    Attributes:
        name: The name in normal form.
        forms: All ways to write it in normal form, the name first.
        given: The name and its variants as their user wrote them; no part of what makes two concepts equal.
    """

    name: str
    forms: tuple[str, ...]
    given: tuple[str, ...] = field(default=(), compare=False)


Entry = str | Sequence[str] | Concept


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

    def by_given(self) -> dict[str, int]:
        """Map each name as its user wrote it to the id of its concept.

        >>> build_vocabulary(["Pine_Tree", "cats", "pine tree", "cat"]).by_given()
        {'Pine_Tree': 0, 'pine tree': 0, 'cats': 1, 'cat': 1}
        """
        return {
            given: number
            for number, concept in enumerate(self.concepts)
            for given in concept.given or (concept.name,)
        }


@dataclass(slots=True)
class _Draft:
    """What the entries of one name say; dictionaries, for they keep the order."""

    given: dict[str, None] = field(default_factory=dict)
    further: dict[str, None] = field(default_factory=dict)
    complete: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Node:
    concepts: list[int] = field(default_factory=list)
    next: dict[str, _Node] = field(default_factory=dict)


def build_vocabulary(entries: Iterable[Entry]) -> Vocabulary:
    """Build a vocabulary whose concepts are found in singular and plural.

    The last word of a name, and of each further form, also takes its plurals, and so does what stands before *of*.
    Names with one normal form are one concept. A name that is the plural of exactly one other name joins it, in
    whatever order they come; the singular gives the name, the first of them the place, and they share their further
    forms.

    Args:
        entries: For each concept its name; or its name and further forms; or a ``Concept``, whose forms are
            complete: they take no plurals, and no two of such concepts are joined.

    Returns:
        The vocabulary, in the order of first appearance.

    Raises:
        Refusal: If there is no entry, or a name or form holds no word.

    >>> build_vocabulary(["Pine_Tree", ("leaf", "foliage")]).concepts[0].forms
    ('pine tree', 'pine trees')
    >>> [concept.forms for concept in build_vocabulary(["axes", "axis", "cats", "axe", "Cat"]).concepts]
    [('axes',), ('axis', 'axes'), ('cat', 'cats'), ('axe', 'axes')]
    """
    drafts: dict[str, _Draft] = {}
    for entry in entries:
        _note(drafts, entry)
    if not drafts:
        raise Refusal("the vocabulary is empty: give at least one concept")
    singulars = _find_singulars(drafts)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in drafts:
        singular = name
        while singular in singulars:
            singular = singulars[singular]
        groups[singular].append(name)
    return Vocabulary(concepts=tuple(_finish(name, group, drafts) for name, group in groups.items()))


def nested_pairs(vocabulary: Vocabulary) -> set[tuple[int, int]]:
    """Find pairs of concepts where a form of one holds, or is, a form of the other.

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
            for inner in _mentioned(root, form.split(" ")):
                if inner != outer:
                    pairs.add((inner, outer) if inner < outer else (outer, inner))
    return pairs


def find_doubtful(vocabulary: Vocabulary) -> tuple[str, ...]:
    """Find names with brackets, slashes or commas and no further form, as their user wrote them.

    All words of a name have to follow each other in a caption, and few captions say what class lists put into
    brackets: ``kite (bird of prey)``.

    >>> find_doubtful(build_vocabulary(["tench", "kite (bird of prey)", ("shorts / trunks", "shorts")]))
    ('kite (bird of prey)',)
    """
    return tuple(
        given
        for concept in vocabulary.concepts
        for given in concept.given
        if _ASIDE.search(given) and set(concept.forms) <= {concept.name, *_plurals_of(concept.name)}
    )


def find_joined(vocabulary: Vocabulary) -> tuple[tuple[str, str], ...]:
    """Find names that are counted with another because they are its plural, as their user wrote them.

    Spelling variants of one name are no such names. Who means two things by *new* and *news* gives complete forms,
    see ``load_vocabulary``.

    Returns:
        The plural and the name that it is counted with, in the order of the concepts.

    >>> find_joined(build_vocabulary(["News", "new", "Pine_Tree", "pine tree"]))
    (('News', 'new'),)
    """
    joined = []
    for concept in vocabulary.concepts:
        first: dict[str, str] = {}
        for given in concept.given:
            first.setdefault(normalise(given), given)
        name = first.pop(concept.name, concept.name)
        joined += [(given, name) for given in first.values()]
    return tuple(joined)


def _note(drafts: dict[str, _Draft], entry: Entry) -> None:
    if isinstance(entry, Concept):
        written = (entry.name, *entry.forms)
        given = entry.given or (entry.name,)
    else:
        written = (entry,) if isinstance(entry, str) else tuple(entry)
        given = (written[0].strip(),)
    name = normalise(written[0])
    if not name:
        raise Refusal(f"concept {written[0]!r} holds no letter or digit: remove it from the vocabulary")
    draft = drafts.setdefault(name, _Draft())
    draft.given.update(dict.fromkeys(given))
    forms = draft.complete if isinstance(entry, Concept) else draft.further
    for form in written:
        normal = normalise(form)
        if not normal:
            raise Refusal(f"form {form!r} of concept {name!r} holds no letter or digit: remove it")
        forms.setdefault(normal)


def _find_singulars(drafts: dict[str, _Draft]) -> dict[str, str]:
    """Map names to the one other name that they are the plural of."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in drafts:
        for plural in _plurals_of(name):
            if plural in drafts:
                found[plural].append(name)
    return {
        plural: singulars[0]
        for plural, singulars in found.items()
        if len(singulars) == 1 and not (drafts[plural].complete and drafts[singulars[0]].complete)
    }


def _finish(name: str, group: Sequence[str], drafts: dict[str, _Draft]) -> Concept:
    forms: dict[str, None] = {name: None}
    given: dict[str, None] = {}
    for member in sorted(group, key=lambda member: member != name):
        draft = drafts[member]
        for form in draft.further:
            # A plural takes none: ``oxen`` beside ``ox`` is no animal of its own.
            plurals = () if form in group and form != name else _plurals_of(form)
            forms.update(dict.fromkeys((form, *plurals)))
        forms.update(draft.complete)
    for member in group:
        given.update(drafts[member].given)
    return Concept(name=name, forms=tuple(forms), given=tuple(given))


def _plurals_of(form: str) -> tuple[str, ...]:
    before, space, last = form.rpartition(" ")
    plurals = [before + space + plural for plural in find_plurals(last)]
    # Birds of prey: what is many may stand before the word "of".
    head, of, rest = form.partition(" of ")
    if of:
        plurals += [f"{plural} of {rest}" for plural in _plurals_of(head)]
    return tuple(plurals)


def _plant(vocabulary: Vocabulary) -> _Node:
    root = _Node()
    for number, concept in enumerate(vocabulary.concepts):
        for form in concept.forms:
            node = root
            for word in form.split(" "):
                node = node.next.setdefault(word, _Node())
            node.concepts.append(number)
    return root


def _mentioned(root: _Node, words: Sequence[str]) -> Iterator[int]:
    starts = root.next
    for place, word in enumerate(words):
        node = starts.get(word)
        after = place + 1
        while node is not None:
            yield from node.concepts
            node = node.next.get(words[after]) if after < len(words) else None
            after += 1
