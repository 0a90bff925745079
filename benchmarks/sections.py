"""Strict YAML: a key that is given twice, is unknown or holds another type is refused with its file and place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oddpair.errors import Refusal
from oddpair.retrieval.near_names import suggest
from oddpair.retrieval.vocabulary_file import read_lines

if TYPE_CHECKING:
    import yaml

# Far above any list of classes; a file that is larger is another file.
_MOST_CHARACTERS = 8_000_000
# Of a number that counts something by hand.
_MOST = 1_000_000
_NEEDED: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A mapping of a YAML file.

    Attributes:
        where: The file and the place in it, for messages.
        values: What stands there.
    """

    where: str
    values: Mapping[str, Any]

    def __iter__(self) -> Iterator[str]:
        """Keys, in the order of the file."""
        return iter(self.values)

    def expect(self, *known: str) -> None:
        """Refuse any key but these.

        Raises:
            Refusal: If there is another, with the nearest of these.
        """
        for key in self.values:
            if key not in known:
                raise Refusal(f"{self.where}: unknown key '{key}'{suggest(key, known)}")

    def text(self, key: str, default: Any = _NEEDED) -> str:
        """Return a text, which may not be empty."""
        value = self._take(key, default)
        if not isinstance(value, str) or (not value and key in self.values):
            raise self._refuse(key, value, "a text")
        return self._whole_letters(key, value)

    def texts(self, key: str, default: Any = _NEEDED, *, distinct: bool = True) -> tuple[str, ...]:
        """Return a list of texts, none of them empty or, where they are to be distinct, given twice."""
        value = self._take(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
            raise self._refuse(key, value, "a list of texts")
        seen: set[str] = set()
        for item in value:
            if distinct and item in seen:
                raise Refusal(f"{self.where}: {key} names {item!r} twice: leave one out")
            seen.add(self._whole_letters(key, item))
        return tuple(value)

    def whole(self, key: str) -> int:
        """Return a whole number from 1 to a million."""
        value = self._take(key, _NEEDED)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
            raise self._refuse(key, value, f"a whole number from 1 to {_MOST:,}")
        return value

    def flag(self, key: str, default: Any = _NEEDED) -> bool:
        """Return true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self._refuse(key, value, "true or false")
        return value

    def section(self, key: str, default: Any = _NEEDED) -> Section:
        """Return a mapping."""
        value = self._take(key, default)
        if not isinstance(value, Mapping):
            raise self._refuse(key, value, "names with what each stands for")
        for name in value:
            if not isinstance(name, str) or not name:
                raise Refusal(f"{self.where}: {key} has the name {name!r}, a text was expected: quote it")
            self._whole_letters(key, name)
        return Section(where=f"{self.where}: {key}", values=value)

    def sections(self, key: str, default: Any = _NEEDED) -> dict[str, Section]:
        """Return a mapping of mappings."""
        outer = self.section(key, default)
        return {name: outer.section(name) for name in outer}

    def _take(self, key: str, default: Any) -> Any:
        value = self.values.get(key, default)
        if value is _NEEDED:
            raise Refusal(f"{self.where}: '{key}' is missing")
        return value

    def _whole_letters(self, key: str, text: str) -> str:
        r"""Refuse half a letter of UTF-16, which YAML and JSON can write as ``\ud800`` and no file can hold."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Refusal(
                f"{self.where}: {key} holds half a letter ({text[error.start]!a}): write the whole one"
            ) from error
        return text

    def _refuse(self, key: str, value: object, needed: str) -> Refusal:
        told = repr(value)
        return Refusal(
            f"{self.where}: {key} is {told if len(told) <= 60 else told[:57] + '...'}, {needed} was expected"
        )


def read_section(path: Path) -> Section:
    """Read a YAML file that holds a mapping.

    Raises:
        Refusal: If there is no such file, it is no YAML, holds no mapping, or gives a key twice.
    """
    import yaml

    text = "\n".join(read_lines(path, remedy="give a YAML file"))
    if len(text) > _MOST_CHARACTERS:
        raise Refusal(
            f"{path} has more than {_MOST_CHARACTERS:,} characters: give a YAML file of a benchmark"
        )
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise Refusal(f"{path} holds no mapping: begin each line with a key and a colon")
        _refuse_repeats(path, node)
        values = loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refusal(f"{path} is no YAML ({' '.join(str(error).split())}): mend it") from error
    finally:
        loader.dispose()
    stranger = next((key for key in values if not isinstance(key, str)), None)
    if stranger is not None:
        raise Refusal(f"{path}: the key {stranger!r} is no text: quote it")
    return Section(where=str(path), values=values)


def _refuse_repeats(path: Path, node: yaml.Node) -> None:
    """Refuse what YAML's loader would resolve in silence: the last of equal keys wins."""
    import yaml

    # Aliases make one node stand in several places; each is looked at once.
    seen: set[int] = set()
    left: list[yaml.Node] = [node]
    while left:
        here = left.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, yaml.SequenceNode):
            left += here.value
        elif isinstance(here, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in here.value:
                if isinstance(key, yaml.ScalarNode) and key.value in keys:
                    raise Refusal(
                        f"{path} line {key.start_mark.line + 1} gives the key '{key.value}' once more"
                    )
                keys.add(str(key.value))
                left.append(value)
