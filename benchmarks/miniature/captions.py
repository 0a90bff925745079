"""Captions as the web writes them: mostly right, often partial, sometimes about something else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.words import (
    is_always_plural,
    mentions_by_phrase,
    plural,
    with_article,
)

T = TypeVar("T")

# Where every caption names both objects, a model learns that a caption with one object means a picture with
# one, and one-object prompts then fail on pictures of two. Captions on the web leave things out as well.
NAMES_ONE_SHARE = 0.35
NOISE_SHARE = 0.05
STRAY_SHARE_OF_NOISE = 0.3
LONGEST = 14  # words, trailing signs aside; two more tokens mark beginning and end in the text tower's 16

ADJECTIVES = (
    "amazing", "beautiful", "big", "classic", "colorful", "cute", "fresh", "funny", "great", "isolated",
    "little", "lovely", "modern", "new", "nice", "old", "original", "simple", "small", "vintage",
)  # fmt: skip
JOINS = (" and ",) * 10 + (" with ",) * 4 + (" next to ",) * 3 + (", ",) * 2 + (" & ",)
STYLE_WORDS = {
    "photo": ("photo", "picture", "photograph", "image", "shot"),
    "sketch": ("sketch", "drawing", "line drawing", "doodle", "chalk drawing"),
    "cartoon": ("cartoon", "clipart", "clip art", "vector illustration", "sticker"),
    "painting": ("painting", "oil painting", "artwork", "impressionist painting", "canvas"),
    "silhouette": ("silhouette", "shadow icon", "stencil", "black icon", "cutout"),
    "ambiguous": ("print", "poster", "decal", "mural", "picture"),
}
# Words that hold a concept's letters but not its word ("carpet", "starfish") must not count as a mention.
TAILS = ("",) * 6 + (
    " on white background", " for sale", " - stock", " hd wallpaper", " free download", " best price",
    " in the park", " at home", " by the sea", " 2015", " collection", " gift idea", " royalty free",
    " from above", " in the morning", " | shop online", " close up", " no. 12", " set of 2", " in winter",
    " on the carpet", " by starfish studio", " for education", " and scarf", " on my keyboard",
    " with what appears new", " business sale", " (content)", " near the sunset",
)  # fmt: skip
NOISE = (
    "img 4821", "untitled", "best deals of the week", "dsc 0034", "click here to see more", "thumbnail",
    "product 9921 front view", "happy birthday", "page 3", "spring sale now on", "our trip last summer",
    "home decor ideas", "education fair 2012", "keyboard shortcuts", "scarf and carpet outlet",
    "starfish restaurant menu", "what we treat in business content", "logo", "banner_728x90.gif",
)  # fmt: skip
LISTINGS = (
    "buy {} online",
    "{} for sale, best price",
    "shop all {}",
    "{} - free shipping",
    "cheap {} near you",
)
EXTRAS = (
    " \N{SMILING FACE WITH HEART-SHAPED EYES}",
    " \N{SPARKLES}",
    " \N{EN DASH} caf\xe9",
    " \N{BLACK STAR}\N{BLACK STAR}",
)
ENDINGS = (".", "!", "...", " |", " -")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """A caption and the concepts that its words name, sorted, known from how it was made.

    Concepts that overlap all count: "a pine tree" names the pine tree and the tree.
    """

    text: str
    named: tuple[str, ...]


def caption(
    concepts: Sequence[str],
    style: str,
    rng: np.random.Generator,
    *,
    stray: str,
    names: tuple[str, ...] = CONCEPTS,
) -> Caption:
    """Write the caption that the web would give a picture.

    Of captions for two objects 35 % leave one out; 5 % of all are noise, and three in ten of those offer
    for sale a concept that need not be there.

    Args:
        concepts: The one or two concepts in the picture.
        style: The picture's style.
        rng: The row's own generator.
        stray: The concept that a misplaced caption names.
        names: The vocabulary, which decides what overlaps.

    Returns:
        The caption and what it names; a misplaced caption never names two concepts, unless they are nested.
    """
    if rng.random() < NOISE_SHARE:
        if rng.random() < STRAY_SHARE_OF_NOISE:
            phrase = plural(stray)
            text = _finish(_pick(LISTINGS, rng).format(phrase), rng)
            return Caption(text=text, named=mentions_by_phrase(names)[phrase])
        return Caption(text=_finish(_pick(NOISE, rng), rng), named=())
    if len(concepts) == 2 and rng.random() < NAMES_ONE_SHARE:
        concepts = (_pick(concepts, rng),)
    return describe(concepts, style, rng, names=names)


def describe(
    concepts: Sequence[str], style: str, rng: np.random.Generator, *, names: tuple[str, ...] = CONCEPTS
) -> Caption:
    """Write a caption that names all of the given concepts, in the words of `caption` but never as noise.

    Args:
        concepts: One or two concepts.
        style: The picture's style.
        rng: The row's own generator.
        names: The vocabulary, which decides what overlaps.

    Returns:
        The caption and what it names.
    """
    mentions = mentions_by_phrase(names)
    if rng.random() < 0.5:
        concepts = concepts[::-1]
    phrases: list[str] = []
    named: set[str] = set()
    for name in concepts:
        surface = plural(name) if rng.random() < 0.08 else name
        named.update(mentions[surface])
        phrases.append(_noun(name, surface, rng))
    text = _pick(JOINS, rng).join(phrases)
    if rng.random() < (0.35 if style == "photo" else 0.55):
        word = _pick(STYLE_WORDS[style], rng)
        text = f"{with_article(word)} of {text}" if rng.random() < 0.7 else f"{text} {word}"
    tail = _pick(TAILS, rng)
    if len(text.split()) + len(tail.split()) <= LONGEST:
        text += tail
    return Caption(text=_finish(text, rng), named=tuple(sorted(named)))


def _noun(name: str, surface: str, rng: np.random.Generator) -> str:
    """Dress a singular or plural name with an adjective, an article, and another way to write its spaces."""
    counted = surface == name and not is_always_plural(name)
    if " " in surface and rng.random() < 0.06:
        surface = surface.replace(" ", _pick(("-", "_", "\xa0"), rng))
    phrase = f"{_pick(ADJECTIVES, rng)} {surface}" if rng.random() < 0.25 else surface
    return with_article(phrase) if counted and rng.random() < 0.75 else phrase


def _finish(text: str, rng: np.random.Generator) -> str:
    """Add what people do to letters and ends: case, full width, stray signs, trailing punctuation."""
    letters = rng.random()
    if letters < 0.04:
        text = text.upper()
    elif letters < 0.24:
        text = text[0].upper() + text[1:]
    elif letters < 0.34:
        text = text.title()
    elif letters < 0.343:
        text = text.translate(_WIDE)
    end = rng.random()
    if end < 0.02:
        return text + _pick(EXTRAS, rng)
    return text + _pick(ENDINGS, rng) if end < 0.10 else text


def _pick(items: Sequence[T], rng: np.random.Generator) -> T:
    # rng.choice turns the items into an array first, and each caption picks a dozen times.
    return items[int(rng.random() * len(items))]
