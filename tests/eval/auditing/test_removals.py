import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from oddpair.eval.auditing.removals import make_removal
from oddpair.splits.pool import Pool


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_a_row_goes_once_for_the_first_reason_and_what_goes_and_stays_adds_up(rows):
    uids = [f"{number:02}" for number in range(len(rows))]
    pool = Pool(uids=pa.array(uids, pa.large_string()), rows=np.arange(len(rows)))
    masks = {name: np.array([row[place] for row in rows]) for place, name in enumerate("xyz")}
    removal, table = make_removal("style-strict", "natural-strict", "style-strict", pool, masks)
    slow = [
        {"uid": uid, "reason": next(name for name, hit in zip("xyz", row, strict=True) if hit)}
        for uid, row in zip(uids, rows, strict=True)
        if any(row)
    ]
    assert table.to_pylist() == slow
    assert (removal.gone, removal.left, removal.rows) == (len(slow), len(rows) - len(slow), len(rows))
    assert removal.why == tuple((name, sum(line["reason"] == name for line in slow)) for name in "xyz")
