"""Values of strangers' JSON with the file and place where they stand, for refusals that show nothing of the stranger's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from oddpair.errors import Refusal
from oddpair.eval.submission.words import show

# Whole numbers up to here are the same in every language that reads JSON.
MOST = 2**53
_REMEDY = "make the submission again with oddpair submit"
_TOLD = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A value in a file.

    Attributes:
        where: The file.
        path: The place in it, such as ``tasks[0].metrics.top1``; empty for the whole.
        value: What stands there, as `oddpair.files.parse_json` reads it.
    """

    where: str
    path: str
    value: Any

    def refuse(self, problem: str) -> Refusal:
        """Return the refusal for a problem of this value."""
        return Refusal(f"{self.where}: {self.path or 'it'} {problem}: {_REMEDY}")

    def need(self, needed: str) -> Refusal:
        """Return the refusal of another value than is needed."""
        return self.refuse(f"is {_tell(self.value)}, needed {needed}")

    def items(self, *, most: int) -> dict[str, Field]:
        """Return what a mapping of any keys holds; the keys are still to be checked."""
        if not isinstance(self.value, dict):
            raise self.need("a mapping")
        if len(self.value) > most:
            raise self.refuse(f"has {len(self.value):,} keys, at most {most:,} are taken")
        return {
            key: Field(where=self.where, path=self._join(key), value=each) for key, each in self.value.items()
        }

    def fields(self, *names: str) -> dict[str, Field]:
        """Return what a mapping of exactly these keys holds."""
        if not isinstance(self.value, dict):
            raise self.need(f"a mapping of {', '.join(names)}")
        missing = [name for name in names if name not in self.value]
        extra = sorted(key for key in self.value if key not in names)
        if missing:
            raise self.refuse(f"has no {missing[0]}")
        if extra:
            raise self.refuse(f"has the key {_tell(extra[0])}, there are {', '.join(names)} alone")
        return self.items(most=len(names))

    def rows(self, *, most: int) -> list[Field]:
        """Return what a list holds."""
        if not isinstance(self.value, list):
            raise self.need("a list")
        if len(self.value) > most:
            raise self.refuse(f"has {len(self.value):,} items, at most {most:,} are taken")
        return [
            Field(where=self.where, path=f"{self.path}[{index}]", value=each)
            for index, each in enumerate(self.value)
        ]

    def text(self) -> str:
        """Return a text, of whatever characters."""
        if not isinstance(self.value, str):
            raise self.need("a text")
        return self.value

    def match(self, pattern: re.Pattern[str], needed: str) -> str:
        """Return a text of a pattern."""
        if not isinstance(self.value, str) or not pattern.fullmatch(self.value):
            raise self.need(needed)
        return self.value

    def whole(self, *, least: int, most: int = MOST) -> int:
        """Return a whole number; true and false are none, nor is 1.0."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not least <= self.value <= most:
            raise self.need(f"a whole number from {least:,} to {most:,}")
        return self.value

    def share(self) -> float:
        """Return a number from 0 to 1."""
        if (
            isinstance(self.value, bool)
            or not isinstance(self.value, int | float)
            or not 0 <= self.value <= 1
        ):
            raise self.need("a number from 0 to 1")
        return float(self.value)

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            raise self.need("true or false")
        return self.value

    def _join(self, key: str) -> str:
        # A stranger's key is shown in plain letters, and no longer than any of ours.
        told = key if re.fullmatch(r"[A-Za-z0-9_@/.-]{1,60}", key) else _tell(key)
        return f"{self.path}.{told}" if self.path else told


def _tell(value: object) -> str:
    """Return a stranger's value for a message: short, and of plain letters."""
    match value:
        case dict():
            return f"a mapping of {len(value):,} keys"
        case list():
            return f"a list of {len(value):,}"
        case None | True | False:
            return {None: "null", True: "true", False: "false"}[value]
        case str() if len(value) > _TOLD:
            return f"a text of {len(value):,} characters ({show(value[:_TOLD])} ...)"
        case str():
            return show(value)
        case int() if abs(value) > MOST:
            return f"a number of {value.bit_length():,} bits"
        case _:
            return str(value)
