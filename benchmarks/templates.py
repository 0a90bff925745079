"""Templates of prompts: sets of them that have a name, lists, and files with one a line."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from oddpair.benchmarks.evaluation_set import Kind
from oddpair.errors import Refusal
from oddpair.retrieval.vocabulary_file import read_lines

PLACE = "{}"
NAMED = ("openai-imagenet-80", "simple", "class")
_PLACES: dict[Kind, int] = {"pairs": 2}
# No template and no class holds it.
_SENTINEL = "\N{OBJECT REPLACEMENT CHARACTER}"


def named_templates(name: str) -> tuple[str, ...]:
    """Return a set of templates that has a name, each with one ``{}`` where the class's name goes.

    Args:
        name: ``openai-imagenet-80``, the 80 of CLIP (Radford et al., arXiv:2103.00020) as the installed open_clip has
            them; ``simple``, ``a photo of a {}.`` alone; ``class``, the bare name.

    Raises:
        Refusal: If there is no such set, or open_clip does not hold the 80 where they are looked for.

    >>> named_templates("openai-imagenet-80")[:2]
    ('a bad photo of a {}.', 'a photo of many {}.')
    """
    match name:
        case "openai-imagenet-80":
            return _of_open_clip()
        case "simple":
            return ("a photo of a {}.",)
        case "class":
            return (PLACE,)
    raise Refusal(f"there are no templates {name!r}: use {', '.join(NAMED)}, a list, or a file")


def as_template(make: Callable[[str], str]) -> str:
    """Turn a function that makes a prompt of a name into text with ``{}`` for the name.

    Raises:
        ValueError: If the function does more than put the name in one place.

    >>> as_template(lambda name: f"a photo of the {name}.")
    'a photo of the {}.'
    """
    made = make(_SENTINEL)
    if made.count(_SENTINEL) != 1 or PLACE in made:
        raise ValueError(f"{made!r} has no single place for a name")
    template = made.replace(_SENTINEL, PLACE)
    # A function may look at the name, as one that chooses an article does.
    for name in ("egg", "Cats"):
        if make(name) != template.replace(PLACE, name):
            raise ValueError(f"{make(name)!r} is not {template!r} with {name!r} in its place")
    return template


def read_templates(path: Path) -> tuple[str, ...]:
    """Read a file with one template a line; empty lines and lines that begin with ``#`` are passed over.

    Raises:
        Refusal: If the file cannot be read or has no template.
    """
    lines = read_lines(path, remedy="give a file with one template a line")
    found = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not found:
        raise Refusal(f"{path} has no template: write one a line, with {PLACE} where the name goes")
    return found


def check_templates(templates: Sequence[str], kind: Kind, where: str) -> None:
    """Refuse templates that have not as many places as a kind of task has names.

    Args:
        templates: The templates.
        kind: Kind of the task; ``pairs`` has two names, the others one.
        where: File and place, for the message.

    Raises:
        Refusal: If one has more or fewer, or is given twice.
    """
    needed = _PLACES.get(kind, 1)
    for template in templates:
        if template.count(PLACE) != needed:
            raise Refusal(
                f"{where}: template {template!r} has {template.count(PLACE)} times {PLACE}, a task of kind {kind} needs "
                f"{needed}"
            )
        if templates.count(template) > 1:
            raise Refusal(f"{where}: template {template!r} is given twice: leave one out")


@cache
def _of_open_clip() -> tuple[str, ...]:
    # This one file is run on its own: with the package come torch and seconds of waiting.
    package = importlib.util.find_spec("open_clip")
    path = Path(package.origin).parent / "zero_shot_metadata.py" if package and package.origin else None
    spec = importlib.util.spec_from_file_location("_open_clip_templates", path) if path else None
    if spec is None or spec.loader is None or path is None or not path.is_file():
        raise Refusal("open_clip is not installed with its templates: give a file with one template a line")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, "OPENAI_IMAGENET_TEMPLATES", ())
    if len(found) != 80:
        raise Refusal(f"{path} holds {len(found)} templates, needed 80: give a file with one template a line")
    return tuple(as_template(make) for make in found)
