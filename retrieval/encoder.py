"""CLIP encoders: any open_clip model, ready to embed pictures and texts in batches of one shape."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.decoding import prepare_in_order
from oddpair.retrieval.model_traits import ModelTraits
from oddpair.retrieval.models import identify_model, load_model

# The folder of the encoder that the suite ships, which callers of `load_encoder` ask for.
from oddpair.retrieval.models import reference_folder as reference_folder
from oddpair.retrieval.pictures import Pixels
from oddpair.retrieval.preprocess import Preprocess
from oddpair.retrieval.texture import measure_pixels
from oddpair.retrieval.towers import Precision, Towers, make_towers

if TYPE_CHECKING:
    import torch

# More are no faster on a processor, and one query costs a whole batch.
BATCH = 32
GPU_BATCH = 256
# Threads decode while a device computes, but resized pictures of only so many batches wait.
BATCHES_AHEAD = 3

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedFiles:
    """What became of some picture files.

    Attributes:
        image: Unit rows, float32, shape ``(kept, d)``.
        texture: Texture rows, float32, shape ``(kept, t)``.
        kept: Positions of the files that are pictures, shape ``(kept,)``.
        bad: Position of each other file, and the reason.
    """

    image: NDArray[np.float32]
    texture: NDArray[np.float32]
    kept: NDArray[np.int64]
    bad: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A picture that waits for its batch: at the model's input size, since full ones would fill the memory."""

    resized: torch.Tensor
    pixels: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A CLIP model ready to embed pictures and texts.

    Attributes:
        name: What the user called it.
        sha256: Of its weights, hex; empty for an untrained architecture.
        dimension: Length of an embedding.
        towers: What computes.
        preprocess: Pixels to input.
        tokenize: Texts to tokens, shape ``(n, context)``.
        traits: What loading the model has shown; ``None`` for one put together in memory.
    """

    name: str
    sha256: str
    dimension: int
    towers: Towers
    preprocess: Preprocess
    tokenize: Callable[[list[str]], torch.Tensor]
    traits: ModelTraits | None = None

    def encode_pictures(
        self, pictures: Iterable[Pixels], *, textures: bool = True
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed RGB pictures, and describe their texture.

        The texture of a picture is the mean and the standard deviation of every channel in four stages of
        the image tower before its last, what a drawing technique changes and what the last layer has
        learned to ignore, and behind them the statistics of its pixels at full resolution. Batches have a
        fixed shape (the last is padded), so a picture's numbers do not depend on its neighbours.

        Args:
            pictures: RGB pixels of any size, uint8, shape ``(height, width, 3)``, at least one picture; each
                is let go before the next is asked for.
            textures: Whether to describe textures; without, ``t`` is 0.

        Returns:
            Unit rows of shape ``(n, d)`` and texture rows of shape ``(n, t)``, both float32.

        Raises:
            ValueError: If there is no picture.

        References:
            Channel statistics as style: Huang and Belongie, ICCV 2017.
        """
        ready = (self._prepare(picture, textures=textures) for picture in pictures)
        batches = [self._encode_batch(part, textures=textures) for part in _batches(ready, self._batch)]
        if not batches:
            raise ValueError("no picture to embed")
        image, texture = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        return image, texture

    def encode_files(
        self,
        files: Iterable[bytes],
        *,
        textures: bool = True,
        threads: int = 0,
        before: Callable[[int], None] | None = None,
        after: Callable[[int], None] | None = None,
    ) -> Iterator[EncodedFiles]:
        """Decode picture files and embed them, as `encode_pictures` does, batch by batch: nothing piles up.

        Args:
            files: Encoded pictures; none is as good as any number.
            textures: Whether to describe textures; without, ``t`` is 0.
            threads: That decode while the model computes, which pays beside a GPU; with 0 the caller's own does.
            before: Called with the position of each file just before it is decoded, by the thread that
                decodes it: the last word on what killed a process.
            after: Likewise just after: what kills a process from then on is not that file.

        Yields:
            Rows of the files that are pictures, in their order, and the reasons of the others; at least once, if
            only to tell the shapes.
        """
        kept: list[int] = []
        bad: list[tuple[int, str]] = []

        def pictures() -> Iterator[_Ready]:
            prepared = prepare_in_order(
                files,
                functools.partial(self._prepare, textures=textures),
                threads=threads,
                ahead=BATCHES_AHEAD * self._batch,
                before=before,
                after=after,
            )
            for position, found in enumerate(prepared):
                if isinstance(found, str):
                    bad.append((position, found))
                else:
                    kept.append(position)
                    yield found

        def take(image: NDArray[np.float32], texture: NDArray[np.float32]) -> EncodedFiles:
            part = EncodedFiles(
                image=image, texture=texture, kept=np.array(kept, dtype=np.int64), bad=tuple(bad)
            )
            kept.clear()
            bad.clear()
            return part

        encoded: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        for part in _batches(pictures(), self._batch):
            encoded = self._encode_batch(part, textures=textures)
            yield take(*encoded)
        if encoded is None:
            # A blank picture tells the shapes of the empty arrays.
            blank = self._prepare(np.zeros((8, 8, 3), dtype=np.uint8), textures=textures)
            image, texture = self._encode_batch([blank], textures=textures)
            yield take(image[:0], texture[:0])
        elif bad:
            image, texture = encoded
            yield take(image[:0], texture[:0])

    def encode_texts(
        self, texts: Sequence[str], *, after: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Embed texts: unit rows, float32, shape ``(n, d)``; equal texts get equal rows.

        Args:
            texts: At least one; what is longer than the model's context is cut.
            after: Called after each batch with the number of texts embedded so far.

        Returns:
            Shape ``(n, d)``.

        Raises:
            ValueError: If there is no text.
        """
        import torch

        if not texts:
            raise ValueError("no text to embed")
        unique = sorted(set(texts))
        tokens = self.tokenize(unique)
        lengths = self.towers.lengths(tokens)
        rows = np.empty((len(unique), self.dimension), dtype=np.float32)
        done = 0
        with torch.inference_mode():
            # By length: a caption of ten words costs a fraction of a full context.
            for length in sorted(set(lengths.tolist())):
                for places in (lengths == length).nonzero()[:, 0].split(self._batch):
                    part = tokens[places, :length]
                    batch = torch.cat([part, part[:1].expand(self._batch - len(part), -1)])
                    found = _unit(self.towers.embed_texts(batch)[: len(part)])
                    if found.shape[1] != self.dimension:
                        raise Refusal(
                            f"model '{self.name}' embeds texts in {found.shape[1]} dimensions and pictures in "
                            f"{self.dimension}: its configuration is not the weights' own"
                        )
                    rows[places] = found
                    done += len(part)
                    if after is not None:
                        after(done)
        place = {text: row for row, text in enumerate(unique)}
        asked: NDArray[np.float32] = rows[[place[text] for text in texts]]
        return asked

    @property
    def _batch(self) -> int:
        return BATCH if self.towers.device == "cpu" else GPU_BATCH

    def _prepare(self, picture: Pixels, *, textures: bool) -> _Ready:
        pixels = measure_pixels(picture) if textures else np.empty(0, dtype=np.float32)
        return _Ready(resized=self.preprocess.resize(picture), pixels=pixels)

    def _encode_batch(
        self, part: list[_Ready], *, textures: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        with torch.inference_mode():
            resized = [picture.resized for picture in part]
            batch = torch.stack(resized + [torch.zeros_like(resized[0])] * (self._batch - len(part)))
            features, channels = self.towers.embed_images(self._normalise(batch), textures=textures)
            pixels = np.stack([picture.pixels for picture in part])
            return _unit(features[: len(part)]), np.hstack([channels[: len(part)].numpy(), pixels])

    def _normalise(self, batch: torch.Tensor) -> torch.Tensor:
        if self.towers.device == "cpu":
            return self.preprocess.normalise(batch)
        # There, since grey levels travel in a quarter of the time.
        floats = batch.to(self.towers.device).float()
        mean, std = (
            floats.new_tensor(each).view(3, 1, 1) for each in (self.preprocess.mean, self.preprocess.std)
        )
        return floats.div_(255).sub_(mean).div_(std)


def load_encoder(
    model: str,
    pretrained: str | None = None,
    *,
    precision: Precision = "fp32",
    exact: bool = False,
    device: str = "cpu",
) -> Encoder:
    """Load an encoder from disk, without the network.

    Args:
        model: As for `oddpair.retrieval.models.load_model`: ``reference``, a folder, ``hf-hub:ORG/NAME`` or an
            open_clip architecture.
        pretrained: Likewise: weights of an architecture, a file or a tag whose weights are on disk already.
        precision: ``fp32``, or ``bf16``: twice as fast where the processor or GPU computes in it, with
            cosines above 0.999 to the fp32 rows.
        exact: Whether pictures are resized exactly as open_clip does it; otherwise faster, and at most 2 of
            255 grey levels apart.
        device: ``cpu``, or what torch calls a GPU, such as ``cuda``.

    Returns:
        The encoder, in evaluation mode.

    Raises:
        Refusal: If there is no such model, folder or weights, the weights do not fit or are damaged, or the
            model does not bear bf16.
    """
    loaded = load_model(model, pretrained)
    towers = make_towers(loaded.model, model, precision=precision, device=device)
    return Encoder(
        name=model,
        sha256=loaded.sha256,
        dimension=towers.dimension,
        preprocess=Preprocess.from_config(loaded.model.visual.preprocess_cfg, exact=exact),
        tokenize=loaded.tokenize,
        towers=towers,
        traits=loaded.traits,
    )


def identify_encoder(
    model: str, pretrained: str | None = None, *, precision: Precision = "fp32", exact: bool = False
) -> dict[str, str]:
    """Say what embeddings of an encoder depend on, by hashing its files and without loading it.

    Args:
        model: As for `load_encoder`.
        pretrained: Likewise.
        precision: Likewise.
        exact: Likewise.

    Returns:
        Names and hashes, settings, and the versions of the libraries that run it.

    Raises:
        Refusal: If a file of the model is missing.
    """
    settings = {"precision": precision, "resizing": "exact" if exact else "fast"}
    # Exact resizing is open_clip's transform, which is torchvision's.
    libraries = ("torch", "open_clip_torch", "pillow", "simplejpeg", *(["torchvision"] if exact else []))
    return {**identify_model(model, pretrained), **settings, **{name: version(name) for name in libraries}}


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    whole = iter(items)
    while part := list(islice(whole, size)):
        yield part


def _unit(rows: torch.Tensor) -> NDArray[np.float32]:
    import torch

    unit: NDArray[np.float32] = torch.nn.functional.normalize(rows, dim=1).numpy()
    # NaN is not close to 1 either.
    if not (np.abs(np.linalg.norm(unit, axis=1) - 1) < 1e-3).all():
        raise Refusal(
            "the model gives embeddings that are not finite or have no length: its weights are damaged"
        )
    return unit
