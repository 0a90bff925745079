import gzip
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.benchmarks.miniature.tokenizer import learn_merges, vocabulary_bytes
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.encoder import reference_folder


def tokenizer_of(captions, folder, merges=200):
    from open_clip.tokenizer import SimpleTokenizer

    path = folder / "bpe.txt.gz"
    path.write_bytes(vocabulary_bytes(learn_merges(captions, merges)))
    return SimpleTokenizer(str(path), context_length=16)


@pytest.fixture(scope="module")
def captions(drawn):
    return open_corpus(drawn).metadata()["caption"].to_pylist()


def test_every_caption_comes_back_from_open_clips_tokenizer(captions, tmp_path):
    from open_clip.tokenizer import basic_clean

    tokenizer = tokenizer_of(captions, tmp_path)
    for caption in [*captions, "Ünseen wörds: 12 jackdaws (zürich)!"]:
        back = tokenizer.decode(tokenizer.encode(caption))
        assert "".join(back.split()) == "".join(basic_clean(caption).lower().split())


def test_frequent_words_are_one_token(captions, tmp_path):
    tokenizer = tokenizer_of(captions, tmp_path)
    words = Counter(word for caption in captions for word in caption.lower().split() if word.isalpha())
    for word, _ in words.most_common(10):
        assert len(tokenizer.encode(word)) == 1, word


def test_a_vocabulary_does_not_depend_on_the_order_of_the_captions_or_the_clock(captions, monkeypatch):
    first = vocabulary_bytes(learn_merges(captions, 100))
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert vocabulary_bytes(learn_merges(captions[::-1], 100)) == first


def test_fewer_merges_are_the_beginning_of_more(captions):
    assert learn_merges(captions, 80)[:30] == learn_merges(captions, 30)


@settings(max_examples=40, deadline=None)
@given(text=st.lists(st.text("ab ", max_size=12), min_size=1, max_size=4))
def test_merges_are_those_of_a_slow_obvious_learner(text):
    words = [[*word[:-1], word[-1] + "</w>"] for caption in text for word in caption.split()]
    expected = []
    for _ in range(5):
        pairs = Counter(pair for word in words for pair in pairwise(word))
        frequent = sorted(((n, pair) for pair, n in pairs.items() if n >= 2), reverse=True)
        if not frequent:
            break
        best = frequent[0][1]
        expected.append(best)
        for word in words:
            place = 0
            while place < len(word) - 1:
                if (word[place], word[place + 1]) == best:
                    word[place : place + 2] = ["".join(best)]
                place += 1
    assert learn_merges(text, 5) == expected


def test_nothing_is_learned_from_what_never_recurs():
    assert learn_merges([]) == []
    assert learn_merges(["ab cd"]) == []


def test_the_shipped_vocabulary_is_a_bpe_file_of_open_clip():
    lines = gzip.decompress((reference_folder() / "bpe.txt.gz").read_bytes()).decode().split("\n")
    assert lines[0].startswith("#version")
    assert len(lines) == 701
    assert all(len(line.split(" ")) == 2 for line in lines[1:])
