"""Pixels to what an encoder takes: resized, cropped and normalised, fast or exactly as open_clip does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from oddpair.retrieval.pictures import BadPicture, Pixels

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """How a model wants its pictures, and whether open_clip's own pixels are needed to the last grey level.

    Attributes:
        size: Height and width of the input, pixels.
        mean: Of each channel, from 0 to 1.
        std: Of each channel, from 0 to 1.
        interpolation: ``bicubic`` or ``bilinear``.
        resize_mode: ``shortest`` (fill the input and crop the centre), ``longest`` (fit and pad) or ``squash``.
        fill_color: Grey level of the padding.
        exact: Whether Pillow resizes, as in open_clip. Otherwise torch does where it can: several times
            faster, at most 2 of 255 grey levels apart.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    resize_mode: str
    fill_color: int
    exact: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, exact: bool = False) -> Preprocess:
        """Read a model's ``visual.preprocess_cfg``; what it leaves out is open_clip's default.

        Args:
            config: As open_clip keeps it.
            exact: Whether open_clip's own pixels are needed.
        """
        from open_clip.transform import PreprocessCfg

        fields = set(PreprocessCfg.__dataclass_fields__)
        whole = PreprocessCfg(**{key: value for key, value in config.items() if key in fields})
        height, width = whole.input_size[1:]
        return cls(
            size=(int(height), int(width)),
            mean=_three(whole.mean),
            std=_three(whole.std),
            interpolation="bilinear" if whole.interpolation == "bilinear" else "bicubic",
            resize_mode=whole.resize_mode,
            fill_color=whole.fill_color,
            exact=exact,
        )

    @property
    def fast(self) -> bool:
        """Whether torch resizes: only what fills a square input has a fast way, and only if Pillow's pixels need not be met."""
        return not self.exact and self.resize_mode == "shortest" and self.size[0] == self.size[1]

    def resize(self, pixels: Pixels) -> torch.Tensor:
        """Bring a picture to the size of the input.

        Args:
            pixels: Shape ``(height, width, 3)``.

        Returns:
            Shape ``(3, *size)``, uint8.

        Raises:
            BadPicture: If the picture is so narrow that nothing is left of it when its longer side fits.
            ValueError: If the pixels have another shape or type.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ValueError(
                f"pixels are {pixels.dtype} of shape {pixels.shape}, needed are uint8 of shape (height, width, 3)"
            )
        # Pillow 13 resizes tall pictures down before across, other versions and torch all of them across
        # first: where contrast is strong, rounding in between makes that tens of grey levels.
        tall = pixels.shape[0] >= 2 * pixels.shape[1]
        if self.fast and not tall:
            return _resize_with_torch(pixels, self.size[0], self.interpolation)
        import torch

        try:
            resized = _open_clip_geometry(self)(Image.fromarray(pixels))
        except ValueError as error:
            raise BadPicture(
                f"{pixels.shape[1]} x {pixels.shape[0]} pixels: too narrow to fit by its longer side"
            ) from error
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).contiguous()

    def normalise(self, batch: torch.Tensor) -> torch.Tensor:
        """Turn grey levels into the floats that the model takes: on the processor, those of open_clip to the bit.

        Args:
            batch: What `resize` gave, stacked: uint8, shape ``(n, 3, height, width)``, on any device.

        Returns:
            The same shape, float32, on the same device.
        """
        import torch

        mean, std = (
            torch.tensor(each, dtype=torch.float32, device=batch.device).view(3, 1, 1)
            for each in (self.mean, self.std)
        )
        if batch.device.type != "cpu":
            return batch.float().div_(255).sub_(mean).div_(std)
        # numpy asks for huge pages and torch does not: three times faster on a new batch.
        floats = torch.from_numpy(np.empty(batch.shape, dtype=np.float32))
        # One picture at a time stays in the cache.
        for levels, found in zip(batch, floats, strict=True):
            found.copy_(levels).div_(255).sub_(mean).div_(std)
        return floats

    def describe(self) -> str:
        """Say in one line how pictures become input, for a manifest: equal lines, equal input."""
        height, width = self.size
        by = "torch" if self.fast else "Pillow"
        return (
            f"{self.resize_mode} {self.interpolation} to {height} x {width} by {by}, fill {self.fill_color}, "
            f"mean {self.mean}, std {self.std}"
        )


def _resize_with_torch(pixels: Pixels, size: int, interpolation: str) -> torch.Tensor:
    """Resize the shorter side to the size and crop the centre, with the roundings of torchvision."""
    import torch

    height, width = pixels.shape[:2]
    short = min(height, width)
    tall, wide = int(size * height / short), int(size * width / short)
    # A view of rows of pixels: torch is fastest where the channels of a pixel lie side by side.
    whole = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)[np.newaxis]
    resized = torch.nn.functional.interpolate(whole, size=(tall, wide), mode=interpolation, antialias=True)
    top, left = round((tall - size) / 2), round((wide - size) / 2)
    return resized[0, :, top : top + size, left : left + size].contiguous()


@lru_cache(maxsize=8)
def _open_clip_geometry(preprocess: Preprocess) -> Callable[[Image.Image], Image.Image]:
    """Take from open_clip's transform what happens before pixels become numbers."""
    from open_clip.transform import image_transform
    from torchvision.transforms import Compose, ToTensor

    whole = image_transform(
        preprocess.size,
        is_train=False,
        mean=preprocess.mean,
        std=preprocess.std,
        resize_mode=preprocess.resize_mode,
        interpolation=preprocess.interpolation,
        fill_color=preprocess.fill_color,
    )
    geometry: Callable[[Image.Image], Image.Image] = Compose(
        list(takewhile(lambda step: not isinstance(step, ToTensor), whole.transforms))
    )
    return geometry


def _three(values: float | tuple[float, ...]) -> tuple[float, ...]:
    return tuple(map(float, values)) if isinstance(values, list | tuple) else (float(values),) * 3
