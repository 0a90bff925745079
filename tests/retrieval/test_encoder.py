import shutil
import weakref

import numpy as np
import pytest
from PIL import Image

from oddpair.errors import Refusal
from oddpair.retrieval.encoder import (
    BATCH,
    GPU_BATCH,
    EncodedFiles,
    Encoder,
    identify_encoder,
    load_encoder,
    reference_folder,
)
from oddpair.retrieval.preprocess import Preprocess
from oddpair.retrieval.texture import measure_pixels
from oddpair.retrieval.towers import Towers, make_towers


@pytest.fixture(scope="module")
def reference():
    return load_encoder("reference")


@pytest.fixture(scope="module")
def pictures(noise):
    return [np.array(noise(seed, 20 + seed % 70, 90 - seed % 50)) for seed in range(BATCH + 30)]


def whole(parts):
    """Join what came of files batch by batch."""
    parts = list(parts)
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in ("image", "texture", "kept")
    }
    return EncodedFiles(**joined, bad=tuple(bad for part in parts for bad in part.bad))


@pytest.fixture
def copied(transformer, tmp_path):
    return shutil.copytree(transformer, tmp_path / "model")


def test_a_picture_has_the_same_bits_in_any_batch_and_any_place(reference, pictures):
    image, texture = reference.encode_pictures(pictures)
    order = np.random.default_rng(0).permutation(len(pictures))
    again = reference.encode_pictures([pictures[place] for place in order])
    assert np.array_equal(again[0], image[order])
    assert np.array_equal(again[1], texture[order])
    for place in (0, BATCH - 1, BATCH + 3):
        alone = reference.encode_pictures([pictures[place]])
        assert np.array_equal(alone[0][0], image[place])
        assert np.array_equal(alone[1][0], texture[place])


def test_a_text_has_the_same_bits_in_any_batch_and_any_place(reference):
    texts = [f"a {word} {number}" for number in range(4 * BATCH) for word in ("cat", "dog")]
    rows = reference.encode_texts(texts)
    assert np.array_equal(reference.encode_texts(texts[::-1]), rows[::-1])
    assert np.array_equal(reference.encode_texts([texts[7], texts[200], texts[7]]), rows[[7, 200, 7]])


def test_embeddings_are_unit_rows_of_the_stated_dimension(reference, pictures):
    image, texture = reference.encode_pictures(pictures[:5])
    text = reference.encode_texts(["", "a cat", "é " * 300])
    assert image.shape == (5, reference.dimension)
    assert text.shape == (3, reference.dimension)
    assert (image.dtype, texture.dtype, text.dtype) == (np.float32,) * 3
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([image, text]), axis=1), 1, atol=1e-6)
    assert np.isfinite(texture).all()


def test_open_clip_itself_gives_the_same_embeddings_of_the_shipped_model(reference, pictures):
    import open_clip
    import torch

    exact = load_encoder("reference", exact=True)
    name = f"local-dir:{reference_folder()}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenize = open_clip.get_tokenizer(name, bpe_path=str(reference_folder() / "bpe.txt.gz"))
    model.eval()
    texts = ["a photo of a cat", "a sketch of two pine trees"]
    with torch.no_grad():
        image = model.encode_image(
            torch.stack([preprocess(Image.fromarray(p)) for p in pictures[:9]]), normalize=True
        )
        text = model.encode_text(tokenize(texts), normalize=True)
    np.testing.assert_allclose(exact.encode_pictures(pictures[:9])[0], image.numpy(), atol=2e-6)
    np.testing.assert_allclose(reference.encode_texts(texts), text.numpy(), atol=2e-6)


def test_the_shipped_model_is_four_megabytes_at_most_and_holds_no_pickle():
    paths = sorted(reference_folder().iterdir())
    assert {"".join(path.suffixes) for path in paths} == {".txt.gz", ".json", ".safetensors"}
    assert sum(path.stat().st_size for path in paths) <= 4_000_000


@pytest.mark.usefixtures("no_network")
def test_the_shipped_model_loads_without_the_network(pictures):
    assert load_encoder("reference").encode_pictures(pictures[:1])[0].shape == (1, 128)


def test_the_last_numbers_of_a_texture_are_those_of_the_pixels(reference, pictures):
    texture = reference.encode_pictures(pictures[:2])[1]
    assert np.array_equal(texture[1, -26:], measure_pixels(pictures[1]))


def test_without_textures_there_are_none_and_the_embeddings_stay(reference, pictures):
    image, texture = reference.encode_pictures(iter(pictures[:3]), textures=False)
    assert texture.shape == (3, 0)
    assert np.array_equal(image, reference.encode_pictures(pictures[:3])[0])


def test_pictures_are_taken_one_at_a_time_so_that_full_ones_do_not_fill_the_memory(transformer, pictures):
    encoder = load_encoder(str(transformer))
    given = []

    def stream():
        for picture in pictures[:20]:
            large = picture.copy()
            given.append(weakref.ref(large))
            assert sum(reference() is not None for reference in given) <= 3
            yield large

    assert encoder.encode_pictures(stream())[0].shape == (20, 24)


def test_nothing_to_embed_is_an_error(reference):
    with pytest.raises(ValueError, match="no picture to embed"):
        reference.encode_pictures([])
    with pytest.raises(ValueError, match="no text to embed"):
        reference.encode_texts([])


def test_a_users_own_vision_transformer_goes_the_same_way(transformer, pictures):
    encoder = load_encoder(f"local-dir:{transformer}")
    image, texture = encoder.encode_pictures(pictures[:6])
    assert image.shape == (6, 24)
    assert encoder.encode_texts(["a cat"]).shape == (1, 24)
    # Two of its three layers, mean and deviation of 32 channels, beside the pixels.
    assert texture.shape == (6, 2 * 2 * 32 + 26)
    order = [5, 0, 3, 2, 4, 1]
    again = encoder.encode_pictures([pictures[place] for place in order])
    assert np.array_equal(again[0], image[order])
    assert np.array_equal(again[1], texture[order])
    assert len(np.unique(image.round(6), axis=0)) == 6


def test_weights_that_are_not_finite_are_refused_as_damaged(copied, pictures):
    from safetensors.torch import load_file, save_file

    path = copied / "open_clip_model.safetensors"
    state = load_file(path)
    state["visual.proj"][:] = float("nan")
    save_file(state, path)
    with pytest.raises(
        Refusal, match="embeddings that are not finite or have no length: its weights are damaged"
    ):
        load_encoder(str(copied)).encode_pictures(pictures[:1])


@pytest.fixture(scope="module")
def wide(reference):
    """Encoders of one vision transformer, wide enough to run packed, by what they are asked for."""
    import open_clip
    import torch

    torch.manual_seed(4)
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 3, "width": 128, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 1214, "width": 128, "heads": 2, "layers": 2},
    }
    state = open_clip.CLIP(**config).state_dict()

    def make(precision="fp32", device="cpu", scale=1.0):
        model = open_clip.CLIP(**config)
        model.load_state_dict(state)
        model.visual.proj.data *= scale
        return Encoder(
            name="wide",
            sha256="",
            dimension=24,
            preprocess=Preprocess.from_config({"size": 32}),
            tokenize=reference.tokenize,
            towers=make_towers(model, "wide", precision=precision, device=device),
        )

    return make


@pytest.fixture(scope="module")
def encoded(pictures, as_bytes):
    """Files of the pictures; every ninth is none."""
    files = [as_bytes(Image.fromarray(picture)) for picture in pictures]
    return [data[:40] if row % 9 == 4 else data for row, data in enumerate(files)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_packed_model_gives_the_same_bits_in_any_batch_and_any_place(wide, pictures, precision):
    encoder = wide(precision)
    assert encoder.towers.packed_image is not None
    test_a_picture_has_the_same_bits_in_any_batch_and_any_place(encoder, pictures)
    test_a_text_has_the_same_bits_in_any_batch_and_any_place(encoder)


def test_texts_of_all_lengths_keep_their_places(wide, reference):
    import torch

    encoder = wide()
    texts = [
        "",
        "cat",
        "a cat and a dog in front of a house with a pine tree behind it, drawn",
        "a red house",
    ] * 20
    with torch.inference_mode():
        uncut = encoder.towers.embed_texts(reference.tokenize(texts)).numpy()
    assert len(set(encoder.towers.lengths(reference.tokenize(texts)).tolist())) > 1
    rows = uncut / np.linalg.norm(uncut, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode_texts(texts), rows, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_gets_larger_batches_of_grey_levels_and_gives_the_same_rows(
    wide, encoded, precision, monkeypatch
):
    # torch knows the processor by this name as well, so that all but the speed can be tried without a GPU.
    here, there = wide(precision), wide(precision, device="cpu:0")
    sizes = []
    embed = Towers.embed_images

    def spy(towers, batch, *, textures):
        sizes.append(len(batch))
        return embed(towers, batch, textures=textures)

    monkeypatch.setattr(Towers, "embed_images", spy)
    found, needed = whole(there.encode_files(encoded, threads=2)), whole(here.encode_files(encoded))
    assert sizes == [GPU_BATCH, BATCH, BATCH]
    assert np.array_equal(found.kept, needed.kept)
    least = 1 - 1e-6 if precision == "fp32" else 0.999
    assert (found.image * needed.image).sum(axis=1).min() > least
    texts = ["a cat", "a dog on a tree"]
    assert (there.encode_texts(texts) * here.encode_texts(texts)).sum(axis=1).min() > least


@pytest.mark.parametrize("threads", [0, 2])
def test_files_give_the_rows_of_their_pictures_and_reasons_for_the_others(
    reference, pictures, encoded, threads
):
    told: list[int] = []
    done: list[int] = []
    found = whole(reference.encode_files(encoded, threads=threads, before=told.append, after=done.append))
    good = [row for row in range(len(pictures)) if row % 9 != 4]
    image, texture = reference.encode_pictures([pictures[row] for row in good])
    assert found.kept.tolist() == good
    assert found.kept.dtype == np.int64
    assert np.array_equal(found.image, image)
    assert np.array_equal(found.texture, texture)
    assert [position for position, _ in found.bad] == sorted(set(range(len(pictures))) - set(good))
    assert {reason for _, reason in found.bad} <= {"damaged picture", "not a picture"}
    assert sorted(told) == sorted(done) == list(range(len(encoded)))


@pytest.mark.parametrize(
    ("behind", "told"),
    [
        ([], [(BATCH, 0)]),
        ([False], [(BATCH, 0), (0, 1)]),
        ([False, True, False], [(BATCH, 0), (1, 2)]),
    ],
    ids=["none behind", "a bad one behind", "a batch that is not full"],
)
def test_files_come_batch_by_batch_and_each_part_tells_of_its_own(reference, encoded, behind, told):
    files = [encoded[0]] * BATCH + [encoded[1] if good else b"" for good in behind]
    parts = list(reference.encode_files(files, textures=False))
    assert [(len(part.kept), len(part.bad)) for part in parts] == told
    assert [part.image.shape for part in parts] == [(n_kept, 128) for n_kept, _ in told]
    found = whole(parts)
    places = [*found.kept.tolist(), *(place for place, _ in found.bad)]
    assert sorted(places) == list(range(len(files)))


@pytest.mark.parametrize("files", [[], [b"", b"<html>"]], ids=["none", "none that is a picture"])
@pytest.mark.parametrize("textures", [True, False])
def test_files_without_a_picture_give_empty_rows_of_the_right_width(reference, encoded, files, textures):
    found, some = (whole(reference.encode_files(each, textures=textures)) for each in (files, encoded[:1]))
    assert found.image.shape == (0, 128)
    assert found.texture.shape == (0, some.texture.shape[1])
    assert len(found.kept) == 0
    assert found.bad == tuple((position, "not a picture") for position in range(len(files)))


def test_precision_and_resizing_are_part_of_what_embeddings_depend_on():
    kinds = [
        identify_encoder("reference", precision=precision, exact=exact)
        for precision in ("fp32", "bf16")
        for exact in (False, True)
    ]
    assert len({tuple(sorted(kind.items())) for kind in kinds}) == 4
    assert identify_encoder("reference") == kinds[0]
    assert {"config", "weights", "tokenizer", "torch", "simplejpeg"} <= kinds[0].keys()


def test_exact_and_fast_resizing_give_nearby_rows(reference, pictures):
    exact = load_encoder("reference", exact=True).encode_pictures(pictures)[0]
    fast = reference.encode_pictures(pictures)[0]
    assert 0.999 < (exact * fast).sum(axis=1).min() < 1 - 1e-7


def test_bf16_rows_of_the_shipped_model_are_near_its_fp32_rows(reference, pictures):
    coarse = load_encoder("reference", precision="bf16")
    assert (coarse.encode_pictures(pictures)[0] * reference.encode_pictures(pictures)[0]).sum(
        axis=1
    ).min() > 0.999
    texts = ["a cat", "a photo of a dog"]
    assert (coarse.encode_texts(texts) * reference.encode_texts(texts)).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("scale", [1e6, 1e-4], ids=["40-squares-beyond-fp16", "40-squares-below-fp16"])
def test_lengths_are_taken_in_float32_whatever_the_model_gives(wide, pictures, precision, scale):
    rows = wide(precision, scale=scale).encode_pictures(pictures[:4])[0]
    np.testing.assert_allclose(rows, wide(precision).encode_pictures(pictures[:4])[0], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_embeddings_without_a_length_are_refused(wide, pictures):
    encoder = wide()
    encoder.towers.packed_image.projection.zero_()
    with pytest.raises(Refusal, match="not finite or have no length: its weights are damaged"):
        encoder.encode_pictures(pictures[:1])
