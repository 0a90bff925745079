"""A lock is written for a new version, and never over another one."""

import pytest

from oddpair import files
from oddpair.benchmarks import lock
from oddpair.benchmarks.write_lock import write_lock
from oddpair.errors import Refusal


def test_a_new_version_is_locked_and_a_changed_one_is_not_locked_over(tmp_path, monkeypatch):
    shipped = (lock.LOCKS / "letitwag-v1.json").read_bytes()
    monkeypatch.setattr(lock, "LOCKS", tmp_path)
    path = tmp_path / "letitwag-v1.json"
    assert write_lock("letitwag") == str(path)
    assert path.read_bytes() == shipped
    write_lock("letitwag")
    files.write_json(path, {**files.read_json(path), "order": []})
    with pytest.raises(Refusal, match=r"locks version 1 of letitwag, .* give it version 2"):
        write_lock("letitwag")
