"""How a model's two towers are run: packed on the CPU where they can be, else as open_clip runs them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from oddpair.errors import Refusal
from oddpair.retrieval.packed import PackedImageTower, PackedTextTower, pack_image_tower, pack_text_tower

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]
Result = TypeVar("Result")
Tower = TypeVar("Tower", PackedImageTower, PackedTextTower)

TEXTURE_STAGES = 4
# Packed fp32 is the same function, 1e-7 apart; bf16 leaves 0.999 of most models.
_LEAST_COSINE = {"fp32": 1 - 1e-5, "bf16": 0.99}
# What calls of torch's private operators end in where it has them no more, or in another form.
_OTHER_TORCH = (AttributeError, TypeError, RuntimeError)
# What a product in float32 may be wrong by, as a share of the largest.
_FLOAT32_ERROR = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Towers:
    """The two towers of a model, ready to run on one device in one precision.

    Attributes:
        model: The model in evaluation mode; what runs packed is taken out of it.
        device: Where it is.
        dtype: Of its weights.
        packed_image: The image tower, if it runs packed.
        packed_text: The text tower, if it runs packed.
    """

    model: Any
    device: str
    dtype: torch.dtype
    packed_image: PackedImageTower | None
    packed_text: PackedTextTower | None

    def embed_images(self, batch: torch.Tensor, *, textures: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed normalised pictures, and describe the channels of early stages.

        Args:
            batch: Shape ``(n, 3, height, width)``, float32, on the device.
            textures: Whether to describe channels; without, ``c`` is 0.

        Returns:
            Features ``(n, d)`` and mean and deviation of every channel in up to four stages, ``(n, c)``, in
            float32 and on the CPU.
        """
        import torch

        if self.packed_image is not None:
            with _matrices("highest", self.device):
                stages = _early_stages(len(self.packed_image.blocks)) if textures else ()
                features, tokens = self.packed_image(batch, stages)
                return features, _describe_tokens(tokens) if textures else features[:, :0]
        with self._plainly():
            batch = batch.to(self.dtype)
            if not textures:
                features = self.model.encode_image(batch).float().cpu()
                return features, features[:, :0]
            found = self.model.visual.forward_intermediates(batch)
            maps = found["image_intermediates"]
            early = [maps[stage].float().flatten(2) for stage in _early_stages(len(maps))]
            channels = torch.cat([f(stage) for stage in early for f in (_mean, _deviation)], dim=1)
            return found["image_features"].float().cpu(), channels.cpu()

    @property
    def dimension(self) -> int:
        """Length of a picture's embedding."""
        import torch

        told = getattr(self.model.visual, "output_dim", None)
        if told is not None:
            return int(told)
        # Towers of timm do not say.
        with torch.inference_mode():
            picture = _probe_picture(self.model).to(self.device)
            return int(self.embed_images(picture, textures=False)[0].shape[1])

    def embed_texts(self, batch: torch.Tensor) -> torch.Tensor:
        """Embed tokenised texts of shape ``(n, length)`` as features ``(n, d)``, float32, on the CPU."""
        if self.packed_text is not None:
            with _matrices("highest", self.device):
                return self.packed_text(batch)
        with self._plainly():
            features: torch.Tensor = self.model.encode_text(batch.to(self.device)).float().cpu()
            return features

    def lengths(self, texts: torch.Tensor) -> torch.Tensor:
        """Say to how many tokens each text, shape ``(n, context)``, can be cut without a change: shape ``(n,)``."""
        if self.packed_text is not None:
            return self.packed_text.lengths(texts)
        return texts.new_full((len(texts),), texts.shape[1])

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        from open_clip.modified_resnet import ModifiedResNet

        # A ResNet's time is in its convolutions, which oneDNN does in any case.
        exact = isinstance(self.model.visual, ModifiedResNet) or not _medium_is_exact()
        with _matrices("highest" if exact else "medium", self.device):
            yield


def make_towers(model: Any, name: str, *, precision: Precision, device: str) -> Towers:
    """Make a model's towers ready, and check what is not open_clip's own arithmetic against it on one input.

    Args:
        model: An open_clip model, float32; it is changed, and belongs to the towers from here on.
        name: What the user called it.
        precision: Of weights and of what lies between layers.
        device: Where to run: ``cpu``, or what torch calls a GPU.

    Returns:
        The towers.

    Raises:
        Refusal: If bf16 arithmetic is too coarse for the model, or its embeddings are not finite.
    """
    import torch

    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    model.eval()
    least = _LEAST_COSINE[precision]
    with torch.inference_mode():
        plain = Towers(model=model, device="cpu", dtype=torch.float32, packed_image=None, packed_text=None)
        image, text = None, None
        if device == "cpu":
            image = _unless_torch_differs(lambda: pack_image_tower(model.visual, dtype))
            text = _unless_torch_differs(lambda: pack_text_tower(model, dtype))
        if image is None and text is None and precision == "fp32":
            return Towers(
                model=model.to(device), device=device, dtype=dtype, packed_image=None, packed_text=None
            )
        picture = _probe_picture(model)
        plain_image = plain.embed_images(picture, textures=False)[0]
        if not plain_image.isfinite().all() or not plain_image.norm() > 0:
            raise Refusal(
                f"model '{name}' is degenerate: its embeddings are not finite or have no length, its weights are damaged"
            )
        if image is not None and not _agrees(lambda tower: tower(picture, ())[0], image, plain_image, least):
            image = None
        if text is not None:
            words = _probe_text(text)
            if not _agrees(lambda tower: tower(words), text, plain.embed_texts(words), least):
                text = None
        _drop_packed(model, image=image is not None, text=text is not None)
        towers = Towers(
            model=model.to(device=device, dtype=dtype),
            device=device,
            dtype=dtype,
            packed_image=image,
            packed_text=text,
        )
        found = _cosine(towers.embed_images(picture.to(device), textures=False)[0], plain_image)
        if not found >= least:
            raise Refusal(
                f"{precision} changes the embeddings of model '{name}' (cosine {found:.3f}, needed {least}): "
                "use fp32, or check its weights"
            )
    return towers


def _unless_torch_differs(work: Callable[[], Result]) -> Result | None:
    try:
        return work()
    except _OTHER_TORCH:
        return None


def _agrees(embed: Callable[[Tower], torch.Tensor], tower: Tower, needed: torch.Tensor, least: float) -> bool:
    found = _unless_torch_differs(lambda: embed(tower))
    return found is not None and _cosine(found, needed) >= least


def _drop_packed(model: Any, *, image: bool, text: bool) -> None:
    """Let go of the layers whose weights are held a second time, in oneDNN's layout."""
    if image:
        del model.visual.transformer
    if text:
        owner = model if hasattr(model, "transformer") else model.text
        del owner.transformer


def _probe_picture(model: Any) -> torch.Tensor:
    import torch

    size = model.visual.image_size
    height, width = size if isinstance(size, tuple | list) else (size, size)
    noise = torch.randn((1, 3, height, width), generator=torch.Generator().manual_seed(0))
    return noise.clamp(-2, 2)


def _probe_text(tower: PackedTextTower) -> torch.Tensor:
    import torch

    highest, context = len(tower.words) - 1, len(tower.positions)
    texts = torch.zeros((1, context), dtype=torch.int64)
    end = context // 2
    texts[0, :end] = torch.randint(1, highest, (end,), generator=torch.Generator().manual_seed(0))
    texts[0, end] = highest
    return texts


def _cosine(rows: torch.Tensor, others: torch.Tensor) -> float:
    import torch

    return float(torch.nn.functional.cosine_similarity(rows.double(), others.double()).min())


def _early_stages(stages: int) -> tuple[int, ...]:
    """Choose up to four stages, evenly from the first to the last but one."""
    places = np.linspace(0, max(stages - 2, 0), TEXTURE_STAGES).tolist()
    return tuple(sorted({round(place) for place in places}))


def _mean(channels: torch.Tensor) -> torch.Tensor:
    return channels.mean(dim=2)


def _deviation(channels: torch.Tensor) -> torch.Tensor:
    return channels.std(dim=2)


def _describe_tokens(stages: list[torch.Tensor]) -> torch.Tensor:
    """Give the mean and deviation of each channel over tokens that lie one after the other."""
    import torch

    described = []
    for stage in stages:
        tokens = stage.float()
        mean = tokens.mean(dim=1)
        # torch's own std is 25 times as slow over this axis.
        squares = (tokens - mean[:, None]).square_().sum(dim=1)
        described += [mean, (squares / (tokens.shape[1] - 1)).sqrt_()]
    return torch.cat(described, dim=1)


@contextmanager
def _matrices(level: str, device: str) -> Iterator[None]:
    """Set how float32 products are computed, for as long as it lasts; on a GPU never in TF32."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest" if device != "cpu" else level)
    try:
        if device == "cpu":
            yield
        else:
            with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
                yield
    finally:
        torch.set_float32_matmul_precision(before)


@functools.cache
def _medium_is_exact() -> bool:
    """Measure whether ``medium``, which hands products to oneDNN, keeps float32's digits on this processor.

    It does with AVX-512, about twice as fast as torch's default; processors with AMX may round to bfloat16.
    """
    import torch

    rng = torch.Generator().manual_seed(0)
    first, second = (torch.randn((512, 512), generator=rng) for _ in range(2))
    with _matrices("medium", "cpu"):
        found = first @ second
    needed = first.double() @ second.double()
    return bool((found - needed).abs().max() <= _FLOAT32_ERROR * needed.abs().max())
