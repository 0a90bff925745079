"""What compiled loops need and Python has no words for: many bytes looked at as one, at any address.

Compiled loops are kept on disk, and are not compiled again when only this file changes: delete their files then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

WINDOW = 64


def instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make an instruction of a function that writes it down for the compiler."""
    return cast("Callable[..., Any]", intrinsic(function))


@instruction
def find_in_words(typing: Any, address: Any) -> Any:
    """Say of 64 bytes which are of words: letters, digits and all that is not ASCII; bit ``i`` speaks of byte ``i``."""
    lanes = ir.VectorType(ir.IntType(8), WINDOW)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        text = _load(builder, arguments[0], lanes)
        letter = _is_below(builder, builder.sub(builder.or_(text, _all(lanes, 0x20)), _all(lanes, 0x61)), 26)
        digit = _is_below(builder, builder.sub(text, _all(lanes, 0x30)), 10)
        other = builder.not_(_is_below(builder, text, 0x80))
        return builder.bitcast(builder.or_(builder.or_(letter, digit), other), ir.IntType(WINDOW))

    return types.uint64(types.int64), generate


@instruction
def find_not_ascii(typing: Any, address: Any) -> Any:
    """Say of 64 bytes which are not ASCII."""
    lanes = ir.VectorType(ir.IntType(8), WINDOW)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        other = builder.not_(_is_below(builder, _load(builder, arguments[0], lanes), 0x80))
        return builder.bitcast(other, ir.IntType(WINDOW))

    return types.uint64(types.int64), generate


@instruction
def read_byte(typing: Any, address: Any) -> Any:
    """Read a byte."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(builder, arguments[0], ir.IntType(8))

    return types.uint8(types.int64), generate


@instruction
def read_eight(typing: Any, address: Any) -> Any:
    """Read 8 bytes as a number; the first is the lowest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(builder, arguments[0], ir.IntType(64))

    return types.uint64(types.int64), generate


@instruction
def count_zeros(typing: Any, bits: Any) -> Any:
    """Count the zeros below the lowest one; 64 if there is none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


def _load(builder: Any, address: Any, kind: Any) -> Any:
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=1)


def _all(lanes: Any, value: int) -> Any:
    return ir.Constant(lanes, [value] * lanes.count)


def _is_below(builder: Any, values: Any, top: int) -> Any:
    return builder.icmp_unsigned("<", values, _all(values.type, top))
