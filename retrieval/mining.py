"""A vocabulary from the captions themselves, for a user who has none: the words that recur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary, build_vocabulary
from oddpair.retrieval.plurals import find_plurals
from oddpair.retrieval.words import find_words

SHORTEST = 3


def mine_vocabulary(captions: Iterable[str], minimum: int) -> Vocabulary:
    """Make a concept of every word that at least ``minimum`` captions use.

    Left out are stop words, words of fewer than 3 letters, words with digits, and plurals whose singular is
    there too. Words are not told apart by kind: adjectives stay. A vocabulary file says better what is meant.

    Args:
        captions: Captions.
        minimum: Fewest captions that use a word; each counts once.

    Returns:
        The words in alphabetical order.

    Raises:
        Refusal: If fewer than two words recur.

    >>> mine_vocabulary(["a red cat", "two cats", "the cat", "a red car"], minimum=2).names
    ('cat', 'red')
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    number: Counter[str] = Counter()
    for caption in captions:
        number.update(set(find_words(caption)))
    words = {
        word
        for word, n in number.items()
        if n >= minimum and len(word) >= SHORTEST and word.isalpha() and word not in ENGLISH_STOP_WORDS
    }
    plurals = {form for word in words for form in find_plurals(word) if form != word}
    if len(words - plurals) < 2:
        raise Refusal(
            f"{len(words - plurals)} words occur in {minimum} captions or more: give a --vocabulary file with the "
            "names of the concepts"
        )
    return build_vocabulary(sorted(words - plurals))
