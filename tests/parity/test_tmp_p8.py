from tests.parity.conftest import *
import pyarrow.parquet as pq, pyarrow.compute as pc
def test_x(ours, sets):
    t = pq.read_table(ours["captions","reference"].record_path)
    tied = t.filter(pc.greater(t["n_tied"], 0)).to_pylist()
    from oddpair.benchmarks.sets.open_set import open_set
    from oddpair.benchmarks.benchmark import SetPlace
    f = open_set(SetPlace(name="x", layout="", path=""), sets["captions"])
    caps = dict(zip(f.table["key"].to_pylist(), f.table["captions"].to_pylist()))
    for r in tied[:20]: print(r, caps[r["key"]])
    print(len(tied))
