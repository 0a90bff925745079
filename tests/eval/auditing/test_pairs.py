"""Object pairs of a test set: what a corpus shows of them beside brute force, and rows that would have to go."""

from itertools import combinations

import numpy as np
import pytest
from tests.eval.auditing.pair_material import make_material
from tests.splits.unseen_data import NAMES, NEVER, VOCABULARY, draw_captions, named, proper_pairs, uid

from oddpair.eval.auditing.concepts import find_concepts
from oddpair.eval.auditing.pairs import find_pairs
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.plan import CountPlan
from oddpair.splits.recipe_file import Loaded, carry_out
from oddpair.splits.recipes.pair_unseen import PairUnseenRecipe, verify

ROWS, RARE = 160, 8


class Drawn:
    """Random captions of a corpus, what its pictures show beyond them, and test images of one to three things."""

    def __init__(self, folder, source):
        rng = np.random.default_rng(11)
        self.captions = draw_captions(rng, ROWS, most=2, power=1.0, never=NEVER)
        self.named = list(map(named, self.captions))
        self.shown = [
            sorted(names | set(rng.choice(NAMES, 1 if rng.random() < 0.1 else 0))) for names in self.named
        ]
        self.known = [] if source == "none" else list(map(set, self.shown))
        self.tests = [rng.choice(NAMES, rng.integers(1, 4), replace=False).tolist() for _ in range(80)]
        self.material = make_material(
            folder,
            self.captions,
            self.tests,
            shown=self.shown if source == "content" else None,
            tagged=self.shown if source == "tags" else None,
            tail=RARE,
        )
        self.found = find_pairs(self.material, find_concepts(self.material))

    def judge(self, names):
        """The status of a set of names, the slow way."""
        if any(names <= caption for caption in self.named):
            return "seen"
        if any(names <= picture for picture in self.known):
            return "text-unseen"
        rare = min(sum(name in caption for caption in self.named) for name in names) < RARE
        return "unsupported" if rare else "unseen"

    def objects(self):
        """What each test image shows; who shows a pine tree shows nothing more by a tree."""
        return [set(names) - ({"tree"} if "pine tree" in names else set()) for names in self.tests]


@pytest.fixture(scope="module", params=["content", "tags", "none"])
def source(request):
    return request.param


@pytest.fixture(scope="module")
def drawn(source, tmp_path_factory):
    return Drawn(tmp_path_factory.mktemp(source), source)


def test_each_image_has_the_status_that_brute_force_gives_its_objects(drawn):
    wanted = [drawn.judge(names) if len(names) > 1 else "single" for names in drawn.objects()]
    assert drawn.found.images.to_pylist() == [
        {"uid": uid(5000 + number), "status": status} for number, status in enumerate(wanted)
    ]
    told = drawn.found.pairs
    several = [status for status in wanted if status != "single"]
    for share, status in (
        (told.samples_seen, "seen"),
        (told.samples_unseen_in_captions, "text-unseen"),
        (told.samples_unseen, "unseen"),
        (told.samples_unsupported, "unsupported"),
    ):
        assert (share.part, share.n) == (several.count(status), len(several))


def test_each_pair_is_counted_once_with_the_status_that_brute_force_gives_it(drawn, source):
    pairs = {frozenset(pair) for names in drawn.objects() for pair in proper_pairs(names)}
    wanted = [drawn.judge(pair) for pair in pairs]
    told = drawn.found.pairs
    assert told.pictures == source
    for share, status in (
        (told.seen, "seen"),
        (told.unseen_in_captions, "text-unseen"),
        (told.unseen, "unseen"),
        (told.unsupported, "unsupported"),
    ):
        assert (share.part, share.n) == (wanted.count(status), len(pairs))
        assert (share.part > 0) == (status != "text-unseen" or source != "none")


def test_unseen_pairs_are_listed_with_what_chance_expects(drawn):
    each = {name: sum(name in caption for caption in drawn.named) for name in NAMES}
    wanted = []
    for pair in combinations(NAMES, 2):
        samples = sum(set(pair) <= names for names in drawn.objects())
        if samples and pair != ("pine tree", "tree") and drawn.judge(set(pair)) == "unseen":
            first, second = (each[name] for name in pair)
            wanted.append((*pair, first, second, first * second / ROWS, samples))
    assert drawn.found.pairs.listed == tuple(sorted(wanted, key=lambda line: -line[4]))


def test_rows_that_would_go_are_those_that_hold_all_objects_of_some_image(drawn):
    sets = [names for names in drawn.objects() if len(names) > 1]
    by_caption = [any(names <= row for names in sets) for row in drawn.named]
    by_picture = [any(names <= row for names in sets) for row in drawn.known] or [False] * ROWS
    removal = drawn.found.removal
    wanted = [
        {
            "uid": uid(row),
            "reason": f"{'caption names' if named else 'picture shows'} all objects of a test sample",
        }
        for row, (named, shown) in enumerate(zip(by_caption, by_picture, strict=True))
        if named or shown
    ]
    assert removal.rows.to_pylist() == wanted
    assert (removal.removal.gone, removal.removal.left) == (len(wanted), ROWS - len(wanted))
    assert 0 < len(wanted) < ROWS


def test_the_recipe_of_the_removal_keeps_all_other_rows_and_its_claims_hold(drawn, tmp_path):
    found, inputs = drawn.found.removal, drawn.material.inputs
    recipe = PairUnseenRecipe(**found.recipe)
    (split,) = carry_out(Loaded(kind=found.removal.kind, recipe=recipe), inputs, tmp_path / "made").splits
    assert split.name == found.removal.split
    gone = set(found.rows["uid"].to_pylist())
    assert split.uids.to_pylist() == [uid(row) for row in range(ROWS) if uid(row) not in gone]
    checks = verify(split, recipe, inputs, tmp_path / "again")
    assert checks
    assert all(check.holds for check in checks)


def test_a_pair_that_meets_is_seen_however_rare_and_one_that_does_not_is_unsupported(tmp_path):
    captions = ["a cat and a kite", "a dog", "a dog", "a cat"]
    material = make_material(tmp_path, captions, [["cat", "kite"], ["dog", "kite"], ["cat", "dog"]])
    found = find_pairs(material, find_concepts(material))
    assert found.images["status"].to_pylist() == ["seen", "unsupported", "unseen"]


def test_rows_of_one_uid_support_an_object_once_and_go_together(tmp_path):
    captions = ["a cat and a dog", "a van", "a van", "a kite", "a kite"]
    material = make_material(
        tmp_path, captions, [["cat", "dog"], ["van", "kite"]], uids=[uid(row) for row in (1, 2, 2, 3, 1)]
    )
    found = find_pairs(material, find_concepts(material))
    assert found.images["status"].to_pylist() == ["seen", "unsupported"]
    assert found.removal is not None
    assert found.removal.rows["uid"].to_pylist() == [uid(1)]
    assert (found.removal.removal.rows, found.removal.removal.left) == (3, 2)


def test_images_of_single_objects_have_no_pairs(tmp_path):
    material = make_material(tmp_path, ["a cat"], [["cat"], ["pine tree", "tree"]])
    found = find_pairs(material, find_concepts(material))
    assert found.why == "no object pairs: no image of test shows two of the concepts or more"
    assert (found.pairs, found.removal, found.images.num_rows) == (None, None, 0)


def test_without_concepts_the_reason_is_theirs(tmp_path):
    material = make_material(tmp_path, ["a cat"], [["owl"]])
    found = find_pairs(material, find_concepts(material))
    assert found.why.startswith("no object pairs: of 10 none was found in test")


def test_counts_without_posting_lists_tell_concepts_and_no_pairs(tmp_path):
    write = make_material(tmp_path, ["a cat", "a dog"], [["cat", "dog"]])
    corpus = write.inputs.need_corpus().need_corpus()
    count_corpus(open_corpus(corpus.root), tmp_path / "counts", CountPlan(vocabulary=VOCABULARY))
    material = make_material(
        tmp_path, ["a cat", "a dog"], [["cat", "dog"]], vocabulary=None, counts=tmp_path / "counts"
    )
    concepts = find_concepts(material)
    assert concepts.concepts is not None
    found = find_pairs(material, concepts)
    assert found.why == "no object pairs: the counts have no posting lists: count again with --postings"
