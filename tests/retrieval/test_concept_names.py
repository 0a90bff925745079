import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.concept_names import ConceptNames
from oddpair.retrieval.concepts import Concept, Vocabulary, build_vocabulary

NAMES = ConceptNames(build_vocabulary(["cat", "pine tree", ("sofa", "couch")]))


def concepts(*forms):
    return Vocabulary(concepts=tuple(Concept(name=form[0], forms=form) for form in forms))


@pytest.mark.parametrize(
    ("spelling", "number"),
    [("cat", 0), ("CATS", 0), (" cat's ", 0), ("Pine_Tree", 1), ("pine-trees", 1), ("Couches", 2)],
)
def test_any_spelling_of_a_name_or_form_is_its_concept(spelling, number):
    assert NAMES.find(spelling) == NAMES.find(spelling) == number


def test_a_name_is_its_concept_even_where_others_have_it_as_a_form():
    names = ConceptNames(concepts(("dog", "cat"), ("cat", "cats"), ("kitten", "cat", "cats")))
    assert names.find("Cat") == 1


def test_a_form_of_several_concepts_is_refused_with_their_names():
    names = ConceptNames(concepts(*[(name, "axes") for name in ("ax", "axe", "axis", "axle")]))
    line = r"^'Axes' is ambiguous, a form of 'ax', 'axe', 'axis': give the name of one of them$"
    for _ in range(2):
        with pytest.raises(Refusal, match=line):
            names.find("Axes")


@pytest.mark.parametrize(
    ("spelling", "line"),
    [
        ("ctas", r"concept 'ctas' is not among the 3 counted; did you mean 'cats'\?"),
        ("zebra", "concept 'zebra' is not among the 3 counted: give one of the vocabulary, or add it there"),
        ("", "concept '' is not among the 3 counted: give one"),
        pytest.param("!!", "concept '!!' is not among the 3 counted: give one", id="no-word"),
        pytest.param("\x1b[2J\nx", r"concept '\\x1b\[2J\\nx' is not among", id="34-ansi"),
        pytest.param("x" * 1_000_000, "concept 'x{60}…' is not among", id="32-name-of-1-mb"),
    ],
)
def test_a_name_that_no_concept_has_is_refused_in_one_line_with_what_may_be_meant(spelling, line):
    with pytest.raises(Refusal, match=f"^{line}") as caught:
        NAMES.find(spelling)
    assert "\n" not in str(caught.value)
