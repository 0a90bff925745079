import dataclasses

import open_clip
import pytest
import torch

from oddpair.errors import Refusal
from oddpair.retrieval import towers as towers_module
from oddpair.retrieval.towers import make_towers

VISION = {"image_size": 32, "patch_size": 8, "layers": 5, "width": 128, "head_width": 32}
TEXT = {"context_length": 16, "vocab_size": 100, "width": 128, "heads": 2, "layers": 2}
RESNET = {"image_size": 64, "layers": (1, 1, 1, 1), "width": 16}
TIMM = {"image_size": 224, "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "avg"}
AVERAGE = {**VISION, "pool_type": "avg"}


def make_model(vision, kind=open_clip.CLIP):
    torch.manual_seed(1)
    return kind(embed_dim=24, vision_cfg=vision, text_cfg=TEXT).eval()


def make_pictures(model, n=4):
    size = model.visual.image_size
    height, width = size if isinstance(size, tuple) else (size, size)
    return torch.randn((n, 3, height, width), generator=torch.Generator().manual_seed(2))


def make_texts():
    texts = torch.zeros((3, 16), dtype=torch.int64)
    for row, end in enumerate((2, 9, 15)):
        texts[row, :end], texts[row, end] = torch.arange(1, end + 1), 99
    return texts


def cosines(rows, others):
    return torch.nn.functional.cosine_similarity(rows.double(), others.double())


@pytest.mark.parametrize("device", ["cpu", "cpu:0"], ids=["here", "as on a GPU"])
@pytest.mark.parametrize(("precision", "least"), [("fp32", 1 - 1e-6), ("bf16", 0.999)])
@pytest.mark.parametrize(
    "vision", [VISION, AVERAGE, RESNET, TIMM], ids=["packed", "average", "resnet", "timm"]
)
@torch.inference_mode()
def test_any_model_gives_the_embeddings_and_channels_of_open_clips_own_code(vision, precision, least, device):
    model = make_model(vision)
    pictures, texts = make_pictures(model), make_texts()
    image, text = model.encode_image(pictures), model.encode_text(texts)
    maps = model.visual.forward_intermediates(pictures)["image_intermediates"]
    towers = make_towers(model, "m", precision=precision, device=device)
    assert (towers.packed_image is not None) == (vision is VISION and device == "cpu")
    found, channels = towers.embed_images(pictures, textures=True)
    alone, none = towers.embed_images(pictures, textures=False)
    assert found.dtype == channels.dtype == torch.float32
    assert none.shape == (4, 0)
    assert cosines(found, image).min() > least
    assert cosines(alone, image).min() > least
    assert cosines(towers.embed_texts(texts), text).min() > least
    # Five stages of a ResNet and the five blocks here show their first, second, third and last but one.
    stages = {5: (0, 1, 2, 3), 12: (0, 3, 7, 10)}[len(maps)]
    early = [maps[stage].flatten(2) for stage in stages]
    needed = torch.cat([part for stage in early for part in (stage.mean(2), stage.std(2))], dim=1)
    tolerance = 1e-5 if precision == "fp32" else 0.05
    torch.testing.assert_close(channels, needed, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("vision", [VISION, AVERAGE], ids=["packed", "plain"])
def test_the_callers_precision_of_products_is_left_as_it_was(vision, monkeypatch):
    model = make_model(vision)
    towers = make_towers(model, "m", precision="fp32", device="cpu")
    monkeypatch.setattr(towers_module, "_describe_tokens", lambda tokens: 1 / 0)
    for level in ("highest", "high"):
        torch.set_float32_matmul_precision(level)
        try:
            towers.embed_images(make_pictures(model), textures=False)
            towers.embed_texts(make_texts())
            if vision is VISION:
                with pytest.raises(ZeroDivisionError):
                    towers.embed_images(make_pictures(model), textures=True)
            assert torch.get_float32_matmul_precision() == level
        finally:
            torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(
    ("vision", "exact", "level"),
    [
        (AVERAGE, True, "medium"),
        (AVERAGE, False, "highest"),
        (RESNET, True, "highest"),
        (VISION, True, "highest"),
    ],
)
def test_products_go_through_onednn_only_where_that_helps_and_keeps_float32(
    vision, exact, level, monkeypatch
):
    monkeypatch.setattr(towers_module, "_medium_is_exact", lambda: exact)
    towers = make_towers(make_model(vision), "m", precision="fp32", device="cpu")
    seen = []
    kind, name = type(towers.model.visual), "forward"
    if towers.packed_image is not None:
        kind, name = type(towers.packed_image), "__call__"
    original = getattr(kind, name)

    def spy(self, *arguments):
        seen.append(torch.get_float32_matmul_precision())
        return original(self, *arguments)

    monkeypatch.setattr(kind, name, spy)
    with torch.inference_mode():
        towers.embed_images(make_pictures(make_model(vision)), textures=False)
    assert seen == [level]


def test_the_measurement_tells_coarse_products_from_float32(monkeypatch):
    measured = towers_module._medium_is_exact.__wrapped__
    plain = torch.Tensor.__matmul__

    def coarse(first, second):
        if first.dtype == torch.float64:
            return plain(first, second)
        return plain(first.bfloat16(), second.bfloat16()).float()

    monkeypatch.setattr(torch.Tensor, "__matmul__", coarse)
    assert not measured()
    monkeypatch.setattr(torch.Tensor, "__matmul__", plain)
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda level: None)
    assert measured()


@pytest.mark.parametrize("part", ["pack_image_tower", "pack_text_tower"])
@torch.inference_mode()
def test_a_packed_tower_that_disagrees_with_open_clip_is_not_used(part, monkeypatch):
    model = make_model(VISION)
    pictures, texts = make_pictures(model), make_texts()
    image, text = model.encode_image(pictures), model.encode_text(texts)
    right = getattr(towers_module, part)

    def wrong(given, dtype):
        tower = right(given, dtype)
        return dataclasses.replace(tower, projection=tower.projection.flip(0))

    monkeypatch.setattr(towers_module, part, wrong)
    towers = make_towers(model, "m", precision="fp32", device="cpu")
    assert (towers.packed_image is None) == (part == "pack_image_tower")
    assert (towers.packed_text is None) == (part == "pack_text_tower")
    assert cosines(towers.embed_images(pictures, textures=False)[0], image).min() > 1 - 1e-6
    assert cosines(towers.embed_texts(texts), text).min() > 1 - 1e-6


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("name", "error"),
    [
        (
            "_reorder_linear_weight",
            AttributeError("'mkldnn' object has no attribute '_reorder_linear_weight'"),
        ),
        ("_reorder_linear_weight", TypeError("takes 3 positional arguments but 2 were given")),
        ("_linear_pointwise", RuntimeError("_linear_pointwise() expected at most 5 argument(s)")),
        ("_linear_pointwise", NotImplementedError("no kernel for the CPU")),
        ("_is_mkldnn_bf16_supported", AttributeError("gone")),
    ],
    ids=["reordering gone", "reordering changed", "product changed", "no kernel", "question gone"],
)
@torch.inference_mode()
def test_a_torch_with_other_private_operators_runs_the_model_as_open_clip_does(
    name, error, precision, monkeypatch
):
    model = make_model(VISION)
    pictures, texts = make_pictures(model), make_texts()
    image, text = model.encode_image(pictures), model.encode_text(texts)

    def other(*arguments):
        raise error

    monkeypatch.setattr(torch.ops.mkldnn, name, other)
    towers = make_towers(model, "m", precision=precision, device="cpu")
    asked = precision == "bf16" or name != "_is_mkldnn_bf16_supported"
    assert (towers.packed_image is None) == (towers.packed_text is None) == asked
    assert cosines(towers.embed_images(pictures, textures=False)[0], image).min() > 0.999
    assert cosines(towers.embed_texts(texts), text).min() > 0.999


def test_layers_that_run_packed_are_not_held_twice():
    model = make_model(VISION)
    whole = sum(parameter.numel() for parameter in model.parameters())
    layers = sum(
        parameter.numel() for part in (model.visual, model) for parameter in part.transformer.parameters()
    )
    make_towers(model, "m", precision="fp32", device="cpu")
    assert sum(parameter.numel() for parameter in model.parameters()) == whole - layers
    own = make_model(VISION, open_clip.CustomTextCLIP)
    make_towers(own, "m", precision="bf16", device="cpu")
    assert not hasattr(own.text, "transformer")


@pytest.mark.parametrize("vision", [VISION, AVERAGE], ids=["packed", "plain"])
def test_a_model_that_does_not_bear_bf16_is_refused(vision):
    model = make_model(vision)
    # A norm takes away what all channels share, but bf16 has rounded the rest to it by then.
    with torch.no_grad():
        model.visual.transformer.resblocks[-1].mlp.c_proj.bias += 3e4
    with pytest.raises(
        Refusal, match=r"bf16 changes the embeddings of model 'm' \(cosine .*, needed 0.99\): use fp32"
    ):
        make_towers(model, "m", precision="bf16", device="cpu")
