"""Loops compiled by numba, without the interpreter's lock, and kept on disk where there is a place for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

# Sums may be added in any order, which is what lets them run side by side. NaN keeps its meaning.
ANY_ORDER = {"reassoc", "nsz", "contract", "arcp"}


def compiled(flags: set[str] | None = None) -> Callable[[Function], Function]:
    """Compile a function at its first call; ``flags`` are LLVM's, none by default: sums in the order written.

    A function may call others of its own file only: numba does not look whether those of another file changed.
    """

    def compile_later(function: Function) -> Function:
        options: dict[str, Any] = {"nogil": True, "fastmath": flags or False}
        try:
            found = numba.njit(**options, cache=True)(function)
        except RuntimeError:  # no folder that could be written to: compiled in each process
            found = numba.njit(**options)(function)
        return cast("Function", found)

    return compile_later
