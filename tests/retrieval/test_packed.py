import open_clip
import pytest
import torch

from oddpair.retrieval.packed import LENGTH_STEP, pack_image_tower, pack_text_tower

VISION = {"image_size": 32, "patch_size": 8, "layers": 4, "width": 192, "head_width": 48}
TEXT = {"context_length": 21, "vocab_size": 100, "width": 128, "heads": 2, "layers": 3}
END = 99


def make_model(kind=open_clip.CLIP, *, vision=None, text=None, **options):
    torch.manual_seed(3)
    model = kind(
        embed_dim=24, vision_cfg={**VISION, **(vision or {})}, text_cfg={**TEXT, **(text or {})}, **options
    )
    # New models have norms that change nothing and biases of 0, which would hide a forgotten one.
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 and parameter.numel() > 1:
            parameter.data += 0.1 * torch.randn(len(parameter)) * ("weight" in name or "bias" in name)
    return model.eval()


def make_texts(ends, context=TEXT["context_length"]):
    """Texts of random words whose end token stands at the given places."""
    texts = torch.zeros((len(ends), context), dtype=torch.int64)
    for row, end in enumerate(ends):
        texts[row, :end] = torch.randint(1, END, (end,))
        texts[row, end] = END
    return texts


def pack_image(model, dtype=torch.float32):
    tower = pack_image_tower(model.visual, dtype)
    assert tower is not None
    return tower


def pack_text(model, dtype=torch.float32):
    tower = pack_text_tower(model, dtype)
    assert tower is not None
    return tower


def cosines(rows, others):
    return torch.nn.functional.cosine_similarity(rows.double(), others.double())


MODELS = {
    "gelu": {},
    "gelu by tanh": {
        "vision": {"act_kwargs": {"approximate": "tanh"}},
        "text": {"act_kwargs": {"approximate": "tanh"}},
    },
    "quick gelu": {"quick_gelu": True},
    "float32 norms": {"cast_dtype": torch.bfloat16},
    "no first norm": {"vision": {"no_ln_pre": True}},
    "norms of another epsilon": {
        "vision": {"norm_kwargs": {"eps": 1e-2}},
        "text": {"norm_kwargs": {"eps": 1e-2}},
    },
    "text tower of its own": {"kind": open_clip.CustomTextCLIP},
    "oblong": {"vision": {"image_size": (24, 40)}},
    "one layer": {"vision": {"layers": 1}, "text": {"layers": 1}},
}


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
@torch.inference_mode()
def test_a_packed_image_tower_is_the_same_function_and_shows_the_same_stages(options):
    model = make_model(**options)
    height, width = model.visual.image_size
    pictures = torch.randn((5, 3, height, width))
    stages = tuple(range(len(model.visual.transformer.resblocks) - 1))
    features, tokens = pack_image(model)(pictures, stages)
    needed = model.visual.forward_intermediates(pictures)
    torch.testing.assert_close(features, needed["image_features"], rtol=1e-5, atol=1e-5)
    assert len(tokens) == len(stages)
    for found, whole in zip(tokens, needed["image_intermediates"], strict=False):
        torch.testing.assert_close(found, whole.flatten(2).transpose(1, 2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
@torch.inference_mode()
def test_a_packed_text_tower_is_the_same_function_of_texts_cut_behind_their_end(options):
    model = make_model(**options)
    tower = pack_text(model)
    texts = make_texts([0, 1, 6, 7, 8, 15, 16, 20])
    needed = model.encode_text(texts)
    assert tower.lengths(texts).tolist() == [8, 8, 8, 8, 16, 16, 21, 21]
    torch.testing.assert_close(tower(texts), needed, rtol=1e-5, atol=1e-5)
    for row, length in enumerate(tower.lengths(texts).tolist()):
        found = tower(texts[row : row + 1, :length])
        torch.testing.assert_close(found, needed[row : row + 1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
@torch.inference_mode()
def test_in_bf16_every_cosine_is_above_0_999(options):
    model = make_model(**options)
    pictures = torch.randn((5, 3, *model.visual.image_size))
    texts = make_texts([3, 9, 20])
    image = pack_image(model, torch.bfloat16)(pictures, (0,))[0]
    text = pack_text(model, torch.bfloat16)(texts)
    assert image.dtype == text.dtype == torch.float32
    assert cosines(image, model.encode_image(pictures)).min() > 0.999
    assert cosines(text, model.encode_text(texts)).min() > 0.999


def test_the_end_of_a_text_is_never_cut_off():
    tower = pack_text(make_model())
    ends = torch.arange(TEXT["context_length"])
    lengths = tower.lengths(make_texts(ends.tolist()))
    assert (lengths > ends).all()
    assert (lengths <= TEXT["context_length"]).all()
    assert ((lengths - ends <= LENGTH_STEP) | (lengths == TEXT["context_length"])).all()


@pytest.mark.parametrize(
    "vision",
    [
        {"layers": (1, 1, 1, 1), "width": 32},
        {"attentional_pool": True, "attn_pooler_heads": 4},
        {"pool_type": "avg"},
        {"ls_init_value": 0.1},
        {"qk_norm": True},
        {"image_size": 36},
        {"width": 96},
        {"timm_model_name": "vit_tiny_patch16_224"},
    ],
    ids=str,
)
def test_an_image_tower_of_another_kind_is_left_alone(vision):
    assert pack_image_tower(make_model(vision=vision).visual, torch.float32) is None


@pytest.mark.parametrize(
    "text",
    [
        {"pool_type": "last"},
        {"pool_type": "eos"},
        {"no_causal_mask": True},
        {"embed_cls": True},
        {"proj_type": "none", "width": 128},
        {"proj_bias": True},
        {"ls_init_value": 0.1},
        {"scale_heads": True},
        {"width": 64},
    ],
    ids=str,
)
def test_a_text_tower_of_another_kind_is_left_alone(text):
    assert pack_text_tower(make_model(open_clip.CustomTextCLIP, text=text), torch.float32) is None


def test_a_processor_without_bf16_products_packs_float32_alone(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    model = make_model()
    assert pack_image_tower(model.visual, torch.bfloat16) is None
    assert pack_text_tower(model, torch.bfloat16) is None
    assert pack_image_tower(model.visual, torch.float32) is not None
