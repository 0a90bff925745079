"""First passes: products of a block of rows with all tests, approximate, each with a bound on its error.

A product ``x q`` of rows that are stored as ``x + dx`` and ``q + dq`` is off by at most ``|dx| |q + dq| + |x| |dq|``,
with what the sum itself rounds on top. The lengths of ``dx`` and ``dq`` are measured for each row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.kernel.candidates import PART
from oddpair.retrieval.kernel.quantise import make_signs, quantise
from oddpair.retrieval.unit_rows import UNIT_TOLERANCE

if TYPE_CHECKING:
    import torch

    from oddpair.retrieval.scan import FirstPass

# A tile of 512 rows and so many tests stays in a core's cache.
TESTS_PER_TILE = 1024
_ROWS_PER_BLOCK = 512
# Few tests leave room for more rows.
_MOST_ROWS = 4096
_PRODUCTS_PER_TILE = 1 << 19
# Rows are of length 1, nearly.
_LONGEST = 1 + UNIT_TOLERANCE
# What float32 does to the rotation, to measured lengths, to a bound while it is compared and to a score when it is
# rounded; each is below 2e-6.
ROUNDING = 1e-5
_MEASURED = 1 + 1e-4
# Below so many tests rounding the rows costs more than it saves.
_FEW_TESTS = 64


class Approximate(NamedTuple):
    """A block of rows as a first pass multiplies it.

    Attributes:
        values: What is multiplied, shape ``(n, width)``.
        scale: Of each row's products, float32, shape ``(n,)``.
        slack: The row's part of the bound, float32, shape ``(n,)``.
    """

    values: torch.Tensor
    scale: NDArray[np.float32]
    slack: NDArray[np.float32]


class Pass(Protocol):
    """One way of multiplying, with the tests in its own layout.

    Attributes:
        scale: Of each test, float32, shape ``(m,)``.
        slack: The test's part of the bound, float32, shape ``(m,)``.
    """

    @property
    def scale(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def slack(self) -> NDArray[np.float32]: ...  # noqa: D102

    def approximate(self, rows: NDArray[np.float32]) -> Approximate:
        """Round a block of rows, float32 of shape ``(n, d)``."""
        ...

    def multiply(self, block: Approximate, tile: int, space: dict[str, Any]) -> NDArray[Any]:
        """Multiply with one tile of tests; shape ``(n, c)``, ``c`` a multiple of 32, in memory kept in ``space``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Pass:
    """Rows of 8 bits, rotated first; sums are exact."""

    signs: NDArray[np.float32]
    scale: NDArray[np.float32]
    slack: NDArray[np.float32]
    tiles: tuple[torch.Tensor, ...]
    longest: float

    def approximate(self, rows: NDArray[np.float32]) -> Approximate:
        """Round a block of rows."""
        import torch

        found = quantise(rows, self.signs)
        slack = found.error * np.float32(_MEASURED * self.longest) + np.float32(ROUNDING)
        return Approximate(torch.from_numpy(found.values), found.scale, slack)

    def multiply(self, block: Approximate, tile: int, space: dict[str, Any]) -> NDArray[Any]:
        """Multiply with one tile of tests."""
        import torch

        tests = self.tiles[tile]
        out = _kept(space, "int32", len(block.values), tests.shape[1], torch.int32)
        found: NDArray[Any] = torch._int_mm(block.values, tests, out=out).numpy()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class BfloatPass:
    """Rows of 16 bits, 8 of them significant; so is the product."""

    scale: NDArray[np.float32]
    slack: NDArray[np.float32]
    tiles: tuple[torch.Tensor, ...]
    longest: float

    def approximate(self, rows: NDArray[np.float32]) -> Approximate:
        """Round a block of rows."""
        import torch

        exact = torch.from_numpy(rows)
        rounded = exact.bfloat16()
        again = rounded.float()
        error = torch.linalg.vector_norm(exact - again, dim=1).numpy()
        largest = torch.linalg.vector_norm(again, dim=1).numpy() * (_MEASURED * self.longest)
        slack = error * np.float32(_MEASURED * self.longest) + bfloat_sum_error(rows.shape[1], largest)
        return Approximate(rounded, np.ones(len(rows), dtype=np.float32), slack)

    def multiply(self, block: Approximate, tile: int, space: dict[str, Any]) -> NDArray[Any]:
        """Multiply with one tile of tests."""
        import torch

        tests = self.tiles[tile]
        short = _kept(space, "bfloat16", len(block.values), tests.shape[1], torch.bfloat16)
        out = _kept(space, "float32", len(block.values), tests.shape[1], torch.float32)
        found: NDArray[Any] = out.copy_(torch.mm(block.values, tests, out=short)).numpy()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatPass:
    """Rows as they are; ``packed`` tells that the tests lie as oneDNN reads them."""

    scale: NDArray[np.float32]
    slack: NDArray[np.float32]
    tiles: tuple[torch.Tensor, ...]
    packed: bool

    def approximate(self, rows: NDArray[np.float32]) -> Approximate:
        """Take a block of rows."""
        import torch

        slack = np.full(len(rows), float_sum_error(rows.shape[1]) + ROUNDING, dtype=np.float32)
        return Approximate(torch.from_numpy(rows), np.ones(len(rows), dtype=np.float32), slack)

    def multiply(self, block: Approximate, tile: int, space: dict[str, Any]) -> NDArray[Any]:
        """Multiply with one tile of tests."""
        import torch

        tests = self.tiles[tile]
        if not self.packed:
            out = _kept(space, "float32", len(block.values), tests.shape[1], torch.float32)
            # Not torch's product, which some settings of torch allow to be one of fewer bits.
            return np.matmul(block.values.numpy(), tests.numpy(), out=out.numpy())
        found: NDArray[Any] = torch.ops.mkldnn._linear_pointwise(
            block.values, tests, None, "none", [], ""
        ).numpy()
        return found


def rows_per_block(tests: int) -> int:
    """Return how many corpus rows are multiplied at a time: 512, or more if there are few tests.

    >>> rows_per_block(50_000), rows_per_block(500)
    (512, 1048)
    """
    return int(np.clip(_PRODUCTS_PER_TILE // tests, _ROWS_PER_BLOCK, _MOST_ROWS))


def float_sum_error(d: int) -> float:
    """Return the most that a float32 dot product of unit rows is off, in any order, with or without fused steps.

    Half a unit in the last place for each product and for each sum, and as much again to be safe.

    >>> round(float_sum_error(512), 6)
    6.1e-05
    """
    return d * 2.0**-23 * _LONGEST**2


def bfloat_sum_error(d: int, largest: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the most that a bf16 product is off beyond its rows' own rounding.

    The sum is one of float32, whose instruction may round twice a step. The result is rounded to 8 bits: by 2^-9 at
    most below 1, and just above it by what it is above.

    Args:
        d: Dimension.
        largest: Product of the lengths of both rounded rows, below 1.01, shape ``(n,)``.
    """
    sums = 2 * float_sum_error(d)
    result = np.maximum(2.0**-9, largest + sums - 1) + sums + ROUNDING
    found: NDArray[np.float32] = result.astype(np.float32)
    return found


def make_pass(tests: NDArray[np.float32], kind: FirstPass) -> Pass:
    """Lay tests out for a first pass; ``"auto"`` is the fastest that this machine has the instructions for.

    Args:
        tests: Unit rows, float32, shape ``(m, d)``.
        kind: Which.

    Returns:
        The pass. It holds tests of zeros behind the last one, where their number is no multiple of 32.

    Raises:
        Refusal: If int8 is asked for where it is not exact.
        ValueError: If there is no such first pass.
    """
    import torch

    if kind not in ("auto", "float32", "bfloat16", "int8"):
        raise ValueError(f"found first pass {kind!r}, needed auto, float32, bfloat16 or int8")
    if kind == "int8" and not _multiplies_bytes():
        # Some processors let sums of two products overflow, and no bound would hold.
        raise Refusal(
            "first pass int8: this processor or torch multiplies bytes inexactly or not: choose auto"
        )
    m, d = tests.shape
    if kind == "auto":
        kind = choose_first_pass() if m >= _FEW_TESTS else "float32"
    padded = np.zeros((-(-m // PART) * PART, d), dtype=np.float32)
    padded[:m] = tests
    if kind == "int8":
        signs = make_signs(d)
        found = quantise(padded, signs)
        return Int8Pass(
            signs=signs,
            scale=found.scale[:m],
            slack=found.error[:m] * np.float32(_MEASURED * _LONGEST),
            tiles=tuple(part.T for part in torch.split(torch.from_numpy(found.values), TESTS_PER_TILE)),
            longest=_LONGEST + float(found.error.max()),
        )
    exact = torch.from_numpy(padded)
    ones = np.ones(m, dtype=np.float32)
    if kind == "bfloat16":
        rounded = exact.bfloat16()
        again = rounded.float()
        error = torch.linalg.vector_norm(exact - again, dim=1).numpy()
        return BfloatPass(
            scale=ones,
            slack=error[:m] * np.float32(_MEASURED * _LONGEST),
            tiles=tuple(part.T for part in torch.split(rounded, TESTS_PER_TILE)),
            longest=float(torch.linalg.vector_norm(again, dim=1).max()),
        )
    parts = torch.split(exact, TESTS_PER_TILE)
    packed = _packs()
    if packed:
        tiles = tuple(
            torch.ops.mkldnn._reorder_linear_weight(part.contiguous(), rows_per_block(m)) for part in parts
        )
    else:
        tiles = tuple(part.T for part in parts)
    return FloatPass(scale=ones, slack=np.zeros(m, dtype=np.float32), tiles=tiles, packed=packed)


def choose_first_pass() -> Literal["float32", "bfloat16", "int8"]:
    """Return the fastest first pass that this processor has instructions for and this torch can run."""
    verdicts = dict(explain_first_pass())
    if verdicts["int8"] == "ok":
        return "int8"
    return "bfloat16" if verdicts["bfloat16"] == "ok" else "float32"


def explain_first_pass() -> tuple[tuple[str, str], ...]:
    """Say of each first pass ``"ok"``, or why it is not chosen here."""
    import torch

    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    bytes_fast = has.get("avx512_vnni") or has.get("amx_int8")
    words_fast = has.get("avx512_bf16") or has.get("amx_bf16")
    if not bytes_fast:
        int8 = "no AVX512-VNNI or AMX instructions"
    else:
        int8 = "ok" if _multiplies_bytes() else "this torch has no torch._int_mm for the processor"
    bfloat16 = "ok" if words_fast else "no AVX512-BF16 or AMX instructions"
    float32 = "ok" if _packs() else "slower: this torch has no packed products"
    return ("int8", int8), ("bfloat16", bfloat16), ("float32", float32)


def _multiplies_bytes() -> bool:
    import torch

    left = torch.arange(-128, 128, dtype=torch.int16).to(torch.int8).view(4, 64)
    right = torch.roll(left, 5, 1).T
    try:
        found = torch._int_mm(left, right)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return torch.equal(found, left.int() @ right.int())


def _packs() -> bool:
    """Whether oneDNN's packed product is there, and is one of float32: some machines were told to use less."""
    import torch

    rows = torch.linspace(-1, 1, 64 * 32).sin().view(32, 64)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(rows, 32)
        found = torch.ops.mkldnn._linear_pointwise(rows, packed, None, "none", [], "")
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    exact = rows.double() @ rows.double().T
    lengths = torch.linalg.vector_norm(rows, dim=1)
    return bool(((found - exact).abs() <= float_sum_error(64) * lengths[:, None] * lengths).all())


def _kept(space: dict[str, Any], name: str, rows: int, width: int, dtype: torch.dtype) -> torch.Tensor:
    """Return memory for a tile that the thread's last ones have warmed."""
    import torch

    held = space.get(name)
    if held is None or held.numel() < rows * width:
        held = space[name] = torch.empty(rows * width, dtype=dtype)
    found: torch.Tensor = held[: rows * width].view(rows, width)
    return found
