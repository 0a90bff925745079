import shutil

import numpy as np
import pytest

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.embeddings import Embeddings
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.probe import PROBES, check_encoder
from oddpair.retrieval.samples import Vectors

CAPTIONS = tuple(
    f"a {colour} {thing}" for colour in ("red", "blue", "green") for thing in ("cup", "car", "cat", "hat")
)


@pytest.fixture(scope="module")
def encoder(transformer):
    return load_encoder(str(transformer))


@pytest.fixture(scope="module")
def other(transformer, tmp_path_factory):
    """A model of the same shape with other random weights."""
    import torch
    from safetensors.torch import load_file, save

    folder = shutil.copytree(transformer, tmp_path_factory.mktemp("other") / "model")
    weights = folder / "open_clip_model.safetensors"
    torch.manual_seed(8)
    state = {name: torch.randn_like(value) * 0.1 for name, value in load_file(weights).items()}
    files.write_bytes(weights, save(state))
    return load_encoder(str(folder))


def made_by(encoder, *, recorded="", captions=CAPTIONS, texts=True):
    text = encoder.encode_texts(list(captions)).astype(np.float16).astype(np.float32)
    width = encoder.dimension
    return Embeddings(
        uids=tuple(str(row) for row in range(len(captions))),
        captions=captions,
        image=np.eye(len(captions), width, dtype=np.float32),
        text=text if texts else text[:, :0],
        texture=text[:, :0],
        encoder=recorded,
    )


def without(found, **changes):
    return Vectors(
        **{
            "uids": found.uids,
            "keys": found.uids,
            "captions": found.captions,
            "image": found.image,
            "text": found.text,
            **changes,
        }
    )


def test_the_hash_of_the_weights_decides_where_it_was_written_down(encoder, other):
    assert check_encoder(made_by(encoder, recorded=encoder.sha256), encoder) == "weights"
    with pytest.raises(Refusal) as refused:
        check_encoder(made_by(encoder, recorded=other.sha256), encoder)
    assert f"made with weights {other.sha256[:16]}" in str(refused.value)
    assert f"has {encoder.sha256[:16]}" in str(refused.value)


def test_without_a_hash_captions_are_embedded_again(encoder):
    found = made_by(encoder)
    assert check_encoder(found, encoder) == "captions"
    assert check_encoder(without(found), encoder) == "captions"
    assert check_encoder(without(found, image=found.image[:, :0]), encoder) == "captions"
    for count in (1, 3, PROBES):
        assert check_encoder(made_by(encoder, captions=CAPTIONS[:count]), encoder) == "captions"


def test_47_embeddings_of_another_model_are_refused_with_the_cosine(encoder, other):
    found = made_by(other)
    cosines = (found.text * encoder.encode_texts(list(CAPTIONS))).sum(axis=1)
    assert cosines.max() < 0.9
    for given in (found, without(found)):
        with pytest.raises(
            Refusal, match=r"of 8 captions .* 0 have the vector in their row \(median cosine -?0\.\d"
        ):
            check_encoder(given, encoder)


def test_47_another_dimension_is_refused_before_anything_is_embedded(encoder):
    wide = np.zeros((len(CAPTIONS), 512), dtype=np.float32)
    for changes in ({"image": wide}, {"text": wide, "image": wide[:, :0]}):
        with pytest.raises(
            Refusal, match=r"have dimension 512, model .* has 24: give the model that made them with --model"
        ):
            check_encoder(without(made_by(encoder), **changes), encoder)


def test_rows_in_another_order_than_their_captions_are_refused(encoder):
    found = made_by(encoder)
    with pytest.raises(Refusal, match="or captions and rows do not belong together"):
        check_encoder(without(found, text=np.roll(found.text, 1, axis=0)), encoder)


def test_one_probe_of_eight_may_differ_and_two_may_not(encoder):
    found = made_by(encoder, captions=CAPTIONS[:PROBES])
    for wrong in (1, 2):
        captions = ("something else altogether",) * wrong + CAPTIONS[wrong:PROBES]
        changed = without(found, captions=captions)
        if wrong == 1:
            assert check_encoder(changed, encoder) == "captions"
        else:
            with pytest.raises(Refusal, match=r"of 8 captions .*, 6 have the vector in their row"):
                check_encoder(changed, encoder)
    single = without(
        found,
        captions=("something else altogether", *CAPTIONS[1:3]),
        image=found.image[:3],
        text=found.text[:3],
    )
    with pytest.raises(Refusal, match=r"of 3 captions .*, 2 have"):
        check_encoder(single, encoder)


def test_what_cannot_be_checked_is_said(encoder):
    assert check_encoder(made_by(encoder, texts=False), encoder) == "unchecked"
    found = made_by(encoder)
    assert check_encoder(without(found, captions=("",) * len(CAPTIONS)), encoder) == "unchecked"
