"""Texts are embedded once a model, in blocks that a killed run keeps."""

import numpy as np
import pytest

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval import text_cache
from oddpair.eval.text_cache import embed_texts, load_texts
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.encoder import load_encoder

TOWER = Tower(model="reference", exact=True)
TEXTS = ["a cat", "a dog", "an owl", "a red apple on a table", "a cat"]


def test_each_text_has_the_row_that_the_encoder_gives_it(tmp_path):
    embed_texts(TEXTS, TOWER, tmp_path, workers=1)
    rows = load_encoder("reference").encode_texts(TEXTS)
    assert np.array_equal(load_texts(tmp_path).read(TEXTS), rows)


def test_rows_do_not_depend_on_the_size_of_blocks_or_on_earlier_runs(tmp_path, monkeypatch):
    embed_texts(TEXTS, TOWER, tmp_path / "whole", workers=1)
    monkeypatch.setattr(text_cache, "TEXTS_PER_BLOCK", 2)
    embed_texts(TEXTS[:2], TOWER, tmp_path / "parts", workers=1)
    embed_texts(TEXTS, TOWER, tmp_path / "parts", workers=1)
    whole, parts = (load_texts(tmp_path / name).read(TEXTS) for name in ("whole", "parts"))
    assert np.array_equal(whole, parts)


def test_a_text_that_was_embedded_is_not_embedded_again(tmp_path):
    embed_texts(TEXTS, TOWER, tmp_path, workers=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    embed_texts([*TEXTS, "a bus"], TOWER, tmp_path, workers=1)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert before.items() <= after.items()
    (new,) = after.keys() - before.keys()
    assert files.read_json(new.with_suffix(".json")) == ["a bus"]


def test_a_block_without_its_list_is_made_again(tmp_path):
    embed_texts(TEXTS, TOWER, tmp_path, workers=1)
    (names,) = tmp_path.rglob("*.json")
    kept = names.with_suffix(".npy").read_bytes()
    names.unlink()
    embed_texts(TEXTS, TOWER, tmp_path, workers=1)
    assert names.with_suffix(".npy").read_bytes() == kept


def test_a_list_that_does_not_fit_its_rows_is_refused(tmp_path):
    embed_texts(TEXTS, TOWER, tmp_path, workers=1)
    (names,) = tmp_path.rglob("*.json")
    files.write_json(names, ["a cat"])
    with pytest.raises(Refusal, match=r"names 1 texts, .* holds 4"):
        load_texts(tmp_path)


def test_nothing_embedded_is_no_cache(tmp_path):
    with pytest.raises(Refusal, match="holds no embedded text"):
        load_texts(tmp_path)
