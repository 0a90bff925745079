import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.splits.exports.laion_hash import hash_laion

MASK = 2**64 - 1


def turn(value, bits):
    return ((value << bits) | (value >> (64 - bits))) & MASK


def finish(value):
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = ((value ^ (value >> 33)) * factor) & MASK
    return value ^ (value >> 33)


def murmur(data):
    """MurmurHash3_x64_128, as its author wrote it, in whole numbers of Python; the first half."""
    one = two = 0
    first, second = 0x87C37B91114253D5, 0x4CF5AD432745937F
    whole = len(data) // 16 * 16
    for start in range(0, whole, 16):
        low, high = (int.from_bytes(data[start + at : start + at + 8], "little") for at in (0, 8))
        one ^= turn(low * first & MASK, 31) * second & MASK
        one = ((turn(one, 27) + two) * 5 + 0x52DCE729) & MASK
        two ^= turn(high * second & MASK, 33) * first & MASK
        two = ((turn(two, 31) + one) * 5 + 0x38495AB5) & MASK
    low, high = (int.from_bytes(data[whole + at :][: 8 if at == 0 else None], "little") for at in (0, 8))
    two ^= turn(high * second & MASK, 33) * first & MASK
    one ^= turn(low * first & MASK, 31) * second & MASK
    one, two = one ^ len(data), two ^ len(data)
    one = (one + two) & MASK
    two = (two + one) & MASK
    found = (finish(one) + finish(two)) & MASK
    return found - 2**64 if found >> 63 else found


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), min_size=1, max_size=5))
def test_it_is_murmur_of_address_and_caption(rows):
    urls, texts = (pa.array(column, pa.string()) for column in zip(*rows, strict=True))
    assert hash_laion(urls, texts).to_pylist() == [murmur((url + text).encode()) for url, text in rows]


def test_every_length_of_a_rest_is_hashed():
    texts = ["é" * length + "x" * (length % 2) for length in range(40)]
    found = hash_laion(pa.nulls(40, pa.string()), pa.chunked_array([texts[:7], texts[7:]]))
    assert found.to_pylist() == [murmur(text.encode()) for text in texts]


def test_the_fixture_whose_hashes_the_mmh3_of_laion_made_has_the_same(root):
    (path,) = (root / "tests" / "fixtures" / "laion").iterdir()
    table = pq.read_table(path)
    assert hash_laion(table["URL"], table["TEXT"]).to_pylist() == table["hash"].to_pylist()


def test_no_rows_have_no_hashes():
    assert hash_laion(pa.array([], pa.string()), pa.array([], pa.string())).to_pylist() == []
