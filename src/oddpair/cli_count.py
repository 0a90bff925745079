"""``oddpair count``: concepts and pairs in a corpus's captions and pictures."""

from __future__ import annotations

from oddpair.cli_options import CORPUS, MAX_BAD, OUT, SUBSET, TAGS, VOCABULARY, leave_if_damaged, tell


def count(
    corpus: CORPUS,
    out: OUT,
    vocabulary: VOCABULARY = None,
    tags: TAGS = None,
    subset: SUBSET = None,
    max_bad: MAX_BAD = 0.001,
) -> None:
    """Count concepts and pairs in captions, and in pictures where there are tags."""
    from oddpair import files
    from oddpair.commands.count import count_corpus
    from oddpair.commands.paths import need_files, need_folders
    from oddpair.commands.read import read_corpus
    from oddpair.splits.recipes import UnseenPairsRecipe

    need_files(vocabulary, tags)
    opened = read_corpus(corpus, subset)
    need_folders(opened, out)
    with files.locked(out):
        mined = UnseenPairsRecipe().mined_words
        done = count_corpus(opened, out, vocabulary=vocabulary, tags=tags, mined_words=mined)
    found = done.counts
    named = int((found.text > 0).sum())
    tell(
        f"{found.n_captions:,} captions name {named:,} of {len(found.names):,} concepts, {len(found.a):,} pairs: {out}"
    )
    leave_if_damaged(out, damaged=done.damaged, lost=done.lost, seen=len(opened), max_bad=max_bad)
