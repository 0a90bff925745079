"""Models are built wrong here, one way at a time."""

import dataclasses

import pytest
import torch
from tests.retrieval import tiny_models

from oddpair.errors import Refusal
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.model_checks import check_model


def load(folder, config=tiny_models.TINY, change=None, **more):
    """Load a tiny model with random weights, changed in some way."""
    state = tiny_models.random_state(config)
    if change is not None:
        change(state)
    return load_encoder(str(tiny_models.save_folder(state, folder, "weights.pt", config, **more)))


def check(encoder, **options):
    return check_model("m", None, encoder, **options)


def test_a_sound_model_is_described_in_words(tmp_path):
    encoder = load(
        tmp_path,
        {**tiny_models.TINY, "quick_gelu": True},
        preprocess_cfg={"resize_mode": "squash", "std": [0.5] * 3},
    )
    report = check(encoder, sha256=encoder.sha256)
    assert report.activation == "QuickGELU"
    assert report.preprocessing.startswith("squash bicubic to 32 x 32")
    assert "std (0.5, 0.5, 0.5)" in report.preprocessing
    assert report.tokenizer.startswith("SimpleTokenizer of 49408 tokens, vocabulary ")
    assert report.context_length == 12
    assert report.logit_scale == pytest.approx(1 / 0.07)
    assert report.notes == ()


def test_the_logit_scale_is_that_of_the_weights_whatever_the_precision(tmp_path):
    config = {**tiny_models.TINY, "vision_cfg": {**tiny_models.TINY["vision_cfg"], "head_width": 32}}
    state = tiny_models.random_state(config)
    state["logit_scale"].fill_(4.6051702)
    folder = tiny_models.save_folder(state, tmp_path, "weights.pt", config)
    for precision in ("fp32", "bf16"):
        assert check(load_encoder(str(folder), precision=precision)).logit_scale == pytest.approx(
            100, rel=1e-6
        )


def test_weights_of_another_hash_than_was_asked_for_are_refused(tmp_path):
    with pytest.raises(Refusal, match=r"the weights of m have SHA-256 [0-9a-f]{64}, needed 0{64}"):
        check(load(tmp_path), sha256="0" * 64)


def test_an_encoder_that_was_put_together_in_memory_cannot_be_checked(tmp_path):
    with pytest.raises(ValueError, match="put together in memory, needed one of load_encoder"):
        check(dataclasses.replace(load(tmp_path), traits=None))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1000.0, -1000.0])
def test_a_logit_scale_that_is_no_positive_number_is_refused(tmp_path, value):
    with pytest.raises(Refusal, match=r"logit scale .*, needed a positive number"):
        check(load(tmp_path, change=lambda state: state["logit_scale"].fill_(value)))


@pytest.mark.parametrize(
    ("vocabulary", "line"),
    [
        (1214, "tokens up to 49407, its text tower knows 1214"),
        (49407, "tokens up to 49407, its text tower knows 49407"),
    ],
)
def test_a_tokenizer_that_knows_more_words_than_the_text_tower_is_refused(tmp_path, vocabulary, line):
    config = {**tiny_models.TINY, "text_cfg": {**tiny_models.TINY["text_cfg"], "vocab_size": vocabulary}}
    with pytest.raises(Refusal, match=f"{line}: it is another model's"):
        check(load(tmp_path, config))


def test_a_text_tower_that_knows_more_words_is_said_to_be_taken_on_trust(tmp_path):
    config = {**tiny_models.TINY, "text_cfg": {**tiny_models.TINY["text_cfg"], "vocab_size": 49416}}
    (note,) = check(load(tmp_path, config)).notes
    assert note.startswith("the text tower knows 49416 tokens and the tokenizer has 49408")


@pytest.mark.parametrize("length", [11, 13])
def test_a_tokenizer_of_another_context_length_is_refused(tmp_path, length):
    encoder = load(tmp_path)
    longer = dataclasses.replace(
        encoder, tokenize=lambda texts: encoder.traits.tokenizer(texts, context_length=length)
    )
    with pytest.raises(Refusal, match=f"gives {length} tokens, its text tower takes 12: mend context_length"):
        check(longer)


def test_a_text_tower_that_reads_at_another_token_than_the_tokenizer_ends_with_is_refused(tmp_path):
    text = {**tiny_models.TINY["text_cfg"], "pool_type": "eos", "eos_id": 7}
    with pytest.raises(Refusal, match="reads texts off at token 0, its tokenizer ends them with 49407"):
        check(load(tmp_path / "eos", {**tiny_models.TINY, "text_cfg": text}))
    right = {**text, "eos_id": 49407}
    assert check(load(tmp_path / "right", {**tiny_models.TINY, "text_cfg": right})).notes == ()
    # A special token above the end's is where a tower that reads at the highest number would look.
    text = {**tiny_models.TINY["text_cfg"], "vocab_size": 49409}
    text["tokenizer_kwargs"] = {"additional_special_tokens": ["a"]}
    config = {**tiny_models.TINY, "text_cfg": text}
    state = tiny_models.random_state(
        {**config, "text_cfg": {k: v for k, v in text.items() if k != "tokenizer_kwargs"}}
    )
    folder = tiny_models.save_folder(state, tmp_path / "special", "weights.pt", config)
    with pytest.raises(Refusal, match="reads texts off at token 49408, its tokenizer ends them with 49407"):
        check(load_encoder(str(folder)))


def fill(*names, value=0.0):
    def change(state):
        for name, tensor in state.items():
            if name.startswith(names):
                tensor.fill_(value)

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (fill("visual.", value=float("nan")), "degenerate: .* not finite or have no length"),
        (
            fill("token_embedding", value=float("nan")),
            "degenerate: .* of texts are not finite or have no length",
        ),
        (fill(""), "degenerate: .* not finite or have no length"),
        (fill("visual.proj"), "degenerate: .* not finite or have no length"),
        (fill("text_projection"), "degenerate: .* of texts are not finite or have no length"),
        (fill("visual.conv1"), "degenerate: it embeds all images alike"),
        (fill("token_embedding"), "degenerate: it embeds all texts alike"),
    ],
    ids=["nan-images", "nan-texts", "zero", "zero-images", "zero-texts", "constant-images", "constant-texts"],
)
def test_a_degenerate_model_is_refused_in_a_line(tmp_path, change, line):
    with pytest.raises(Refusal, match=line) as refusal:
        check(load(tmp_path, change=change))
    assert "\n" not in str(refusal.value)


def test_a_model_whose_towers_differ_in_dimension_is_refused_when_checked_and_when_it_embeds(tmp_path):
    import open_clip

    config = {
        **tiny_models.TINY,
        "text_cfg": {**tiny_models.TINY["text_cfg"], "proj_type": "none", "width": 24},
    }
    torch.manual_seed(0)
    state = open_clip.CustomTextCLIP(**config).state_dict()
    folder = tiny_models.save_folder(state, tmp_path, "weights.pt", {**config, "custom_text": True})
    encoder = load_encoder(str(folder))
    with pytest.raises(Refusal, match="embeddings of images have 16 numbers, of texts 24"):
        check(encoder)
    with pytest.raises(Refusal, match="embeds texts in 24 dimensions and pictures in 16"):
        encoder.encode_texts(["a cat"])


def test_random_weights_are_no_reason_to_refuse(transformer):
    assert check_model(str(transformer), None, load_encoder(str(transformer))).notes == ()


def test_a_tower_of_timm_is_loaded_and_says_its_dimension(tmp_path, monkeypatch):
    from open_clip import factory

    config = {
        "embed_dim": 16,
        "vision_cfg": {
            "timm_model_name": "test_vit",
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 160,
        },
        "text_cfg": tiny_models.TINY["text_cfg"],
    }
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny-timm", config)
    import open_clip

    torch.manual_seed(0)
    made = open_clip.create_model("tiny-timm", load_weights=False, pretrained_text=False)
    path = tiny_models.save(made.state_dict(), tmp_path / "weights.pt")
    encoder = load_encoder("tiny-timm", str(path))
    assert encoder.dimension == 16
    assert check_model("tiny-timm", str(path), encoder).activation == "GELU"
