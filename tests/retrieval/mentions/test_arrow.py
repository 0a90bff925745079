import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.mentions.caption_data import make_vocabulary, worlds

from oddpair.retrieval.mentions import arrow
from oddpair.retrieval.mentions.arrow import ArrowMatcher
from oddpair.retrieval.mentions.slow import find_slowly
from oddpair.retrieval.words import find_words


@pytest.mark.parametrize("overlap", ["all", "longest"])
@settings(max_examples=60, deadline=None)
@given(world=worlds(), size=st.sampled_from([0, 1, 7, 20, 64]))
def test_where_blocks_end_makes_no_difference(overlap, world, size):
    vocabulary, captions = world
    expected = find_slowly(vocabulary, captions, overlap=overlap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow, "BLOCK_BYTES", size)
        found = ArrowMatcher(vocabulary, overlap).find(pa.array(captions, pa.string()))
    assert found.ends.tolist() == expected.ends.tolist()
    assert found.concepts.tolist() == expected.concepts.tolist()


def test_words_are_made_of_lower_case_letters_digits_and_bytes_outside_ascii():
    """What the table of bytes takes for granted once captions that are not ASCII are spelled out."""
    for start in range(0x80, 0x20000, 64):
        text = " ".join(chr(code) for code in range(start, start + 64) if not 0xD800 <= code < 0xE000)
        for word in find_words(text):
            assert all(letter.isdigit() or "a" <= letter <= "z" for letter in word if letter.isascii()), word


def test_pieces_between_spaces_are_spelled_out_as_in_the_whole_caption():
    marks = "\u0301\u0308\u0327\u0345\u3099\u1161\u11a8\u200d\ufe0f\u00ad’ʼ'"
    for mark in marks:
        for text in (f"e {mark}e", f"é{mark} e", f"\u1100 {mark}か", f"か {mark}", f"é' {mark}s"):
            pieces = [word for piece in text.split(" ") for word in find_words(piece)]
            assert pieces == find_words(text), text.encode("unicode-escape")


def test_a_long_piece_outside_ascii_is_not_remembered():
    arrow._spell_short.cache_clear()
    matcher = ArrowMatcher(make_vocabulary(["猫"], ["é" * 50]))
    matcher.find(pa.array(["猫 猫", "猫", "é" * 50, "cat"]))
    assert arrow._spell_short.cache_info().currsize == 1


def test_nothing_is_compiled():
    code = (
        "import sys, pyarrow as pa; sys.modules['numba'] = None\n"
        "from oddpair.retrieval.concepts import build_vocabulary\n"
        "from oddpair.retrieval.mentions.arrow import ArrowMatcher\n"
        "print(ArrowMatcher(build_vocabulary(['tree'])).find(pa.array(['two trees'])).concepts.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[0]\n"
