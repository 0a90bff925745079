import pytest

from oddpair.retrieval.formats.strict_json import parse_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"a": 1, "a": 2}', "a key is given twice", id="37-key-twice"),
        pytest.param("[" * 100_000, "nested too deep", id="37-depth"),
        pytest.param("9" * 5000, "Exceeds the limit", id="37-5000-digits"),
        pytest.param("1e400", "number 1e400 is out of range", id="37-beyond-double"),
        pytest.param("{", "Expecting property name", id="cut"),
        pytest.param("\xff", "codec can't decode", id="no-utf8"),
    ],
)
def test_json_that_says_nothing_certain_is_an_error(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text.encode("latin-1"))


def test_numbers_that_python_writes_and_json_lacks_are_null():
    # Case 37: what pandas leaves in the json of LAION downloads.
    assert parse_json(b"[NaN, Infinity, -Infinity, 1.5, 7]") == [None, None, None, 1.5, 7]
