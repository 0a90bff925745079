"""A corpus of five captions, counted, in memory and as a folder that ``oddpair count`` would leave."""

from oddpair import stages
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.counting.counts_file import write_counts
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.retrieval.vocabulary_file import save_vocabulary

CAPTIONS = ["a cat and a dog", "a cat", "two cats by a pine tree", "a dog", "nothing"]


def count_captions(names):
    """Return a vocabulary and its counts."""
    vocabulary = build_vocabulary(names)
    return vocabulary, count(find_mentions(vocabulary, CAPTIONS), vocabulary=vocabulary)


def count_folder(folder, names, *, vocabulary=True, beside=None):
    """Write the counts as a finished folder, with their vocabulary, another one or none."""
    own, counts = count_captions(names)
    stages.begin(folder, {"captions": "five"})
    with stages.make(folder):
        write_counts(folder, counts)
        if vocabulary:
            save_vocabulary(folder / "vocabulary.txt", beside or own)
    return folder
