"""``oddpair verify`` of an audit: everything that its card says, found again from the inputs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.commands.audit import hash_tables, run_audit
from oddpair.commands.audit_inputs import open_audited, tell_hashes
from oddpair.commands.given import SOURCES, Given, merge_given, read_sources_file
from oddpair.errors import Refusal
from oddpair.eval.auditing.asked import Asked
from oddpair.eval.auditing.card import as_card, compare_cards, hash_table, read_card


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAudit:
    """An audit whose card was found again.

    Attributes:
        card: The card.
        changed: Files beside it that are not those that it names.
        inputs: Hashes of inputs that are not those that it names, a line each.
        differences: Everything else in which the card that was found differs, a line each.
    """

    card: dict[str, Any]
    changed: tuple[str, ...]
    inputs: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether everything is as the card says."""
        return not (self.changed or self.inputs or self.differences)


def verify_audit(folder: Path, given: Given, *, workers: int) -> VerifiedAudit:
    """Carry out an audit again, from the inputs alone, and compare it with its card.

    Args:
        folder: Folder that ``oddpair audit`` wrote; nothing is written there.
        given: Where the inputs are; what is not given is where the audit found it.
        workers: Processes.

    Returns:
        What was found.

    Raises:
        Refusal: If the card cannot be read, or the inputs cannot be opened.
    """
    card = read_card(folder)
    asked, name = _read_asked(folder, card), str(card.get("test"))
    changed = tuple(
        sorted(told for told, digest in card["files"].items() if _find_hash(folder / told) != digest)
    )
    given = merge_given(given, read_sources_file(folder / SOURCES))
    if not given.corpus or len(given.tests) != 1:
        raise Refusal(
            f"{folder} does not say where its inputs are: give --corpus PATH and --tests {name}=PATH"
        )
    # Under the name that it had, whatever its folder is called by now.
    given = replace(given, tests={name: next(iter(given.tests.values()))})
    with tempfile.TemporaryDirectory() as work:
        # Embeddings lie beside the audit, and are made there again if they are gone.
        inputs, _ = open_audited(given, folder, workers=workers)
        hashes = tell_hashes(inputs, name, given.accuracies)
        found = run_audit(inputs, name, asked, Path(work), table=given.accuracies, hashes=hashes)
        again = as_card(found.audit, hash_tables(found))
    lines = list(compare_cards(card, again))
    return VerifiedAudit(
        card=card,
        changed=changed,
        inputs=tuple(line for line in lines if line.startswith("hashes.")),
        differences=tuple(line for line in lines if not line.startswith("hashes.")),
    )


def _read_asked(folder: Path, card: dict[str, Any]) -> Asked:
    settings: Any = card.get("settings")
    try:
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in dict(settings).items()
        }
        return Asked(**values)
    except (TypeError, ValueError) as error:
        raise Refusal(
            f"{folder}: its card has no settings that an audit has: make the audit again"
        ) from error


def _find_hash(path: Path) -> str:
    try:
        return hash_table(files.read_table(path))
    except Refusal:
        return ""
