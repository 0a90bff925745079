"""An index is written where nothing is, or over another index."""

import numpy as np
import pytest
from tests.retrieval.stored_folder import write_stored

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.index_build import build_index
from oddpair.retrieval.index_file import need_place
from oddpair.retrieval.stored import open_stored


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("notes.txt", "mine", r"notes\.txt is no file of an index: choose another --out"),
        ("index.json", '{"format": 1}', r"index\.json is no card of an index: choose another --out"),
        ("index.json", "[]", r"index\.json is no card of an index: choose another --out"),
        ("rows/manifest.json", "{}", "out holds the embeddings: choose another --out"),
    ],
)
def test_an_index_is_not_written_over_what_is_none(tmp_path, name, content, line):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(Refusal, match=line):
        need_place(tmp_path / "out", tmp_path / "out" / "rows" if "rows" in name else tmp_path / "rows")


def test_an_index_may_be_written_anew_and_where_nothing_is(tmp_path):
    stored = open_stored(write_stored(tmp_path / "rows", np.eye(4), list("abcd"), [4]))
    need_place(tmp_path / "index", tmp_path / "rows")
    with files.locked(tmp_path / "index"):
        build_index(stored, tmp_path / "index")
    need_place(tmp_path / "index", tmp_path / "rows")
    (tmp_path / "index" / "index.json").unlink()  # as a run leaves it that is killed between the two files
    need_place(tmp_path / "index", tmp_path / "rows")
