"""Attestations: a maintainer ran the weights of a submission again, and the answers were the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.submission.agreement import Agreement
from oddpair.eval.submission.entry import Entry

FORMAT = 1
# Another processor, or a GPU, turns an answer where two classes are all but tied.
LEAST_AGREEMENT = 0.99
FEWEST = 100
_FIELDS = ("entry", "format", "package", "seed", "submission", "tasks", "weights")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What a second run found.

    Attributes:
        entry: Name of the submission's folder.
        submission: sha256 of the ``submission.json`` whose weights were run.
        weights: sha256 of the weights.
        seed: Of the draw of pictures, kept secret until the run had ended.
        tasks: How far answers agree, by task.
        package: The oddpair that ran, as `oddpair.eval.run_record.describe_package`.
    """

    entry: str
    submission: str
    weights: str
    seed: str
    tasks: Mapping[str, Agreement]
    package: Mapping[str, Any]

    @property
    def holds(self) -> bool:
        """Whether enough answers of each task were compared, and all but one in a hundred are the same."""
        each = self.tasks.values()
        return bool(self.tasks) and all(one.n >= FEWEST and one.agree >= LEAST_AGREEMENT for one in each)


def write_attestation(path: Path, attestation: Attestation) -> None:
    """Write an attestation as strict JSON."""
    files.write_json(path, {"format": FORMAT, **asdict(attestation)})


def read_attestation(path: Path) -> Attestation:
    """Read an attestation.

    Raises:
        Refusal: If the file is none, or of another format.
    """
    found = files.read_json(path)
    try:
        if not isinstance(found, dict) or sorted(found) != sorted(_FIELDS) or found.pop("format") != FORMAT:
            raise ValueError(f"it needs exactly {', '.join(_FIELDS)}, format {FORMAT}")
        tasks = {name: _agreement(name, each) for name, each in found.pop("tasks").items()}
        if not all(isinstance(found[name], str) for name in ("entry", "submission", "weights", "seed")):
            raise ValueError("a name or a hash is no text")
        return Attestation(**found, tasks=tasks)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refusal(f"{path} is no attestation ({error}): run oddpair reproduce again") from error


def reproduced(folder: Path, entries: Iterable[Entry]) -> frozenset[str]:
    """Return the entries that maintainers have reproduced as they stand, every task of them.

    Args:
        folder: Holds ``NAME.json`` for entries; it may be missing.
        entries: The entries.

    Raises:
        Refusal: If an attestation cannot be read.
    """
    return frozenset(
        entry.submission.name
        for entry in entries
        if (path := folder / f"{entry.submission.name}.json").is_file()
        and _is_of(read_attestation(path), entry)
    )


def _is_of(attestation: Attestation, entry: Entry) -> bool:
    # Another submission.json under the same name was not run.
    same = (attestation.entry, attestation.submission) == (entry.submission.name, entry.sha256)
    return same and attestation.holds and set(attestation.tasks) == set(entry.tasks)


def _agreement(name: str, told: Mapping[str, Any]) -> Agreement:
    found = Agreement(**told)
    numbers = (found.agree, found.largest_difference)
    is_number = all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers)
    if type(found.n) is not int or not is_number or found.n < 1 or not 0 <= found.agree <= 1:
        raise ValueError(f"{name} has {dict(told)}")
    return found
