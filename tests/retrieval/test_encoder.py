import json
import logging
import shutil

import numpy as np
import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.encoder import BATCH, identify_encoder, load_encoder, reference_folder
from oddpair.retrieval.texture import measure_pixels


@pytest.fixture(scope="module")
def reference():
    return load_encoder("reference")


@pytest.fixture(scope="module")
def pictures(noise):
    return [noise(seed, 20 + seed % 70, 90 - seed % 50) for seed in range(BATCH + 30)]


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
    texts = [f"a {word} {number}" for number in range(BATCH) for word in ("cat", "dog")]
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

    name = f"local-dir:{reference_folder()}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenize = open_clip.get_tokenizer(name, bpe_path=str(reference_folder() / "bpe.txt.gz"))
    model.eval()
    texts = ["a photo of a cat", "a sketch of two pine trees"]
    with torch.no_grad():
        image = model.encode_image(torch.stack([preprocess(p) for p in pictures[:9]]), normalize=True)
        text = model.encode_text(tokenize(texts), normalize=True)
    np.testing.assert_allclose(reference.encode_pictures(pictures[:9])[0], image.numpy(), atol=2e-6)
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
    import weakref

    encoder = load_encoder(str(transformer))
    given = []

    def stream():
        for picture in pictures[:20]:
            large = picture.resize((64, 64))
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


def test_what_embeddings_depend_on_is_told_by_every_file_of_the_model(copied):
    before = identify_encoder(str(copied))
    assert identify_encoder(f"local-dir:{copied}") == before
    for name in ("open_clip_config.json", "open_clip_model.safetensors", "bpe.txt.gz"):
        data = (copied / name).read_bytes()
        (copied / name).write_bytes(data + b" ")
        assert identify_encoder(str(copied)) != before, name
        (copied / name).write_bytes(data)
    assert identify_encoder(str(copied)) == before


@pytest.mark.parametrize(
    ("model", "pretrained", "line"),
    [
        ("no-such", None, "no model 'no-such': give a folder with open_clip_config.json"),
        ("ViT-B-23", None, r"an architecture of open_clip; did you mean 'ViT-B-\d+'\?"),
        ("ViT-B-32", None, "model 'ViT-B-32' needs weights: add --pretrained FILE.safetensors"),
        (
            "ViT-B-32",
            "none.safetensors",
            "none.safetensors is neither a file nor a pretrained tag of ViT-B-32",
        ),
        ("local-dir:/no/such", None, "/no/such/open_clip_config.json is missing: a model folder holds"),
    ],
)
def test_an_unusable_name_is_refused_with_the_remedy(model, pretrained, line):
    with pytest.raises(Refusal, match=line) as refusal:
        load_encoder(model, pretrained)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("model", ["reference", "local-dir:/no/such"])
def test_weights_beside_a_model_that_has_its_own_are_refused(model):
    for call in (load_encoder, identify_encoder):
        with pytest.raises(
            Refusal, match=f"model '{model}' has its own weights, and --pretrained openai would go unused"
        ):
            call(model, "openai")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("tag", ["yfcc15m", "openai"])
def test_a_tag_whose_weights_are_not_on_disk_is_refused_in_silence_and_not_fetched(
    tag, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(
        Refusal,
        match=rf"missing, and nothing is fetched|weights of tag {tag} of RN50 are not on this machine",
    ):
        load_encoder("RN50", tag)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    logging.getLogger("after").error("heard")
    assert caplog.messages[-1] == "heard"


@pytest.mark.parametrize("name", ["open_clip_config.json", "open_clip_model.safetensors"])
def test_a_folder_without_a_part_is_refused_by_its_name(copied, name):
    (copied / name).unlink()
    with pytest.raises(Refusal, match=f"{name} is missing: a model folder holds"):
        load_encoder(str(copied))


def test_truncated_weights_are_refused(copied):
    path = copied / "open_clip_model.safetensors"
    for size in (0, 5, 1000, path.stat().st_size - 1):
        path.write_bytes((copied / path.name).read_bytes()[:size])
        with pytest.raises(
            Refusal, match=r"open_clip_model.safetensors cannot be loaded \(.+\): fetch or train"
        ):
            load_encoder(str(copied))


def test_weights_of_another_architecture_are_refused(copied):
    settings = json.loads((copied / "open_clip_config.json").read_text())
    settings["model_cfg"]["vision_cfg"]["width"] = 48
    (copied / "open_clip_config.json").write_text(json.dumps(settings))
    with pytest.raises(Refusal, match=r"open_clip_model.safetensors cannot be loaded"):
        load_encoder(str(copied))


@pytest.mark.parametrize("text", ["[]", "{}", '{"model_cfg": 3}', "{", '{"model_cfg": {"embed_dim": 8}}'])
def test_a_config_that_is_none_is_refused_by_its_name(copied, text):
    (copied / "open_clip_config.json").write_text(text)
    with pytest.raises(Refusal, match=r"open_clip_config.json|open_clip_model.safetensors cannot be loaded"):
        load_encoder(str(copied))


def test_a_damaged_vocabulary_is_refused(copied):
    (copied / "bpe.txt.gz").write_bytes(b"no gzip")
    with pytest.raises(
        Refusal, match=r"model has no usable tokenizer \(.+\): put the model's tokenizer files there"
    ):
        load_encoder(str(copied))


def test_weights_that_are_not_finite_are_refused_as_damaged(copied, pictures):
    from safetensors.torch import load_file, save_file

    path = copied / "open_clip_model.safetensors"
    state = load_file(path)
    state["visual.proj"][:] = float("nan")
    save_file(state, path)
    with pytest.raises(Refusal, match="embeddings that are not finite: its weights are damaged"):
        load_encoder(str(copied)).encode_pictures(pictures[:1])


def test_a_pickle_as_weights_runs_no_code(tmp_path):
    import pickle

    class Attack:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w').close()",))

    (tmp_path / "weights.pt").write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(Refusal, match=r"weights .*weights.pt cannot be loaded into RN50"):
        load_encoder("RN50", str(tmp_path / "weights.pt"))
    assert not (tmp_path / "ran").exists()
