"""Captions and vocabularies that make finding concepts hard: words in many spellings between many signs."""

import pyarrow as pa
from hypothesis import strategies as st

from oddpair.retrieval.concepts import Concept, Vocabulary
from oddpair.retrieval.words import normalise

# Near twins differ in one byte at the places where something that compares words in steps might stop.
LONG = [
    "x" * 15,
    "x" * 16,
    "x" * 17,
    "x" * 16 + "y",
    "y" * 64,
    "y" * 65,
    "y" * 64 + "x",
    "z" * 300,
    "z" * 301,
]
WORDS = [
    "cat",
    "tree",
    "pine",
    "dog",
    "hot",
    "s",
    "o",
    "o'clock",
    "catt",
    "ca",
    "7",
    "é",
    "straße",
    "fish",
    "猫",
    *LONG,
]

# Every spelling of a row is the same word.
SPELLINGS = {
    "cat": [
        "cat",
        "Cat",
        "CAT",
        "ｃａｔ",
        "cat's",
        "CAT’S",
        "catʼs",
        "ca\u00adt",
        "c\u200dat",
        "cat\ufe0f",
        "'cat'",
    ],
    "fish": ["fish", "ﬁsh", "ＦＩＳＨ", "fi\u200csh"],
    "straße": ["straße", "STRASSE", "strasse", "STRAẞE"],
    "é": ["é", "e\u0301", "É", "E\u0301"],
    "o'clock": ["o'clock", "O’Clock", "oclock", "oʼclock"],
    "ång": ["ång", "a\u030ang", "Ång", "\u212bng"],
    "ǆ": ["ǆ", "Ǆ", "ǅ", "dž", "dz\u030c"],
    "i̇stanbul": ["İstanbul", "i\u0307stanbul", "İSTANBUL"],
    "σίσυφοσ": ["Σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ"],
    "한글": ["한글", "\u1112\u1161\u11ab\u1100\u1173\u11af"],
    "हिन्दी": ["हिन्दी"],
    "แมว": ["แมว"],
    "猫": ["猫"],
    "x2": ["x²", "x2", "X₂"],
    "1": ["１", "¹", "①", "1"],
    "ａｎ": ["an", "ＡＮ"],
    "k": ["k", "\u212a", "𝐤", "𝔎"],
}
SIGNS = [
    *[
        " ",
        "  ",
        "-",
        "_",
        "\t",
        "\n",
        "\r\n",
        ", ",
        ". ",
        "/",
        "'",
        "''",
        "’",
        " ' ",
        "'s ",
        "’s-",
        "&",
        "",
        "",
    ],
    *[
        "\0",
        "\x1b[31m",
        "\x7f",
        "\u202e",
        "\u2066",
        "\u00a0",
        "\u3000",
        "\u200b",
        "\ufeff",
        "\u2028",
        "—",
        "“",
        "、",
    ],
    *[
        "\u00ad",
        "\u200d",
        "\ufe0f",
        "\u0301",
        "👩\u200d🚀",
        "❤\ufe0f",
        "🏳️‍🌈",
        "½",
        "⁄",
        "™",
        "İ",
        "ŉ",
        "=cmd|",
        "<b>",
    ],
]


def make_vocabulary(*forms_of_concepts: list[str]) -> Vocabulary:
    """Make a vocabulary of forms, brought into normal form; the first of a concept is its name."""
    concepts = []
    for written in forms_of_concepts:
        forms = tuple(dict.fromkeys(normalise(form) for form in written))
        concepts.append(Concept(name=forms[0], forms=forms))
    return Vocabulary(concepts=tuple(concepts))


words = st.sampled_from([*WORDS, *SPELLINGS])
spelled = st.one_of(words, st.sampled_from([each for row in SPELLINGS.values() for each in row]))
texts = st.text(max_size=12)


@st.composite
def vocabularies(draw):
    """Phrases of one to six words; some are forms of several concepts, and many lie inside others."""
    phrases = draw(st.lists(st.lists(words, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=10))
    singles = draw(st.lists(words, max_size=4))
    forms = st.lists(st.sampled_from([*phrases, *singles]), min_size=1, max_size=4)
    return make_vocabulary(*draw(st.lists(forms, min_size=1, max_size=8)))


@st.composite
def captions_of(draw, vocabulary):
    """Forms of the vocabulary, whole and in pieces, other words and characters, with signs between them."""
    forms = [form for concept in vocabulary.concepts for form in concept.forms]
    written = st.sampled_from(forms).map(str.upper) | st.sampled_from(forms)
    pieces = st.one_of(written, written, spelled, texts)
    signs = st.one_of(st.just(" "), st.sampled_from(SIGNS))
    parts = draw(st.lists(st.tuples(pieces, signs, st.booleans()), max_size=8))
    # Words of a form may have other signs between them than spaces.
    return "".join((piece.replace(" ", sign) if turn else piece) + sign for piece, sign, turn in parts)


@st.composite
def worlds(draw):
    """A vocabulary, and captions some of which are missing or empty."""
    vocabulary = draw(vocabularies())
    return vocabulary, draw(st.lists(st.none() | captions_of(vocabulary), max_size=8))


KINDS = {
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
}
