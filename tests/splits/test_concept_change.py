"""How a split changes the concepts of its corpus, beside counting by hand."""

from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.concept_change import count_change
from oddpair.splits.manifest import Manifest


def test_concepts_are_counted_before_and_after_and_a_repeated_uid_counts_once_in_the_split(
    write_folder, noise, as_bytes, tmp_path
):
    pictures = {f"{number}.png": as_bytes(noise(number)) for number in range(5)}
    captions = ["a cat", "a cat and a dog", "two dogs", "a cat", "nothing"]
    folder = write_folder(tmp_path / "corpus", pictures, captions, uid=["a", "b", "c", "d", "d"])
    corpus = open_corpus(folder)
    uids = [uid for batch in corpus.batches() for uid in batch.table["uid"].to_pylist()]
    some = Manifest(name="some", recipe="hand", uids=sorted({uids[1], uids[3]}))
    rest = Manifest(name="rest", recipe="hand", uids=sorted({uids[2]}))
    found = count_change(corpus, [some, rest], build_vocabulary(["cat", "dog"]))
    assert found.names == ("cat", "dog")
    assert found.before.tolist() == [3, 2]
    assert found.after.tolist() == [[2, 1], [0, 1]]
    assert found.rows == 5
