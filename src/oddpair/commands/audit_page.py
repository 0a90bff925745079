"""The page of an audit: one file, readable without a script, whose script finds and orders the pictures behind it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from oddpair.commands.audit_parts import show_parts
from oddpair.commands.audit_pictures import KINDS, ConfusedRow, Gallery, Near, Shown
from oddpair.commands.board_template import read_part, read_template
from oddpair.eval.auditing.found import Audit
from oddpair.html_style import STYLE

_ANSWERS = {
    "out": "out of distribution",
    "in": "in distribution",
    "open": "undecided",
    "not audited": "not audited",
}
_ASPECTS = {
    "copies": ("Copies", "copies"),
    "style": ("Style", "styles"),
    "similarity": ("Similarity", "similarity"),
    "concepts": ("Concepts", "concepts"),
    "pairs": ("Object pairs", "pairs"),
}
_STATUS = {
    "seen": "seen together",
    "text-unseen": "together in pictures alone",
    "unseen": "never together",
    "unsupported": "too rare to tell",
    "single": "no pair",
}


def render_audit(audit: Audit, gallery: Gallery, commands: Mapping[str, str]) -> str:
    """Return the page of an audit, the same bytes for the same audit.

    Whatever captions, uids and labels say is shown as text; the page loads nothing, and its policy lets no script run but
    its own.

    Args:
        audit: What was found, rounded.
        gallery: Pictures to look at.
        commands: What makes the split of each removal, by its name.
    """
    script, style = read_part("audit.js"), STYLE + read_part("audit.css")
    sections = list(show_parts(audit, commands))
    cards = [_describe(image) for image in gallery.images]
    there = {kind for image in gallery.images for kind in image.kinds}
    return read_template("audit.html").render(
        audit=audit,
        judgements=[
            {
                "name": _ASPECTS[each.aspect][0],
                "href": f"#{_ASPECTS[each.aspect][1] if each.answer != 'not audited' else 'left-out'}",
                "answer": each.answer.replace(" ", "-"),
                "told": _ANSWERS[each.answer],
                "text": each.text,
            }
            for each in audit.judgements
        ],
        sections=sections,
        citation=_cite(audit),
        cards=cards,
        kinds=[(kind, title) for kind, (title, _) in KINDS.items() if kind in there],
        styles=sorted({card["style"] for card in cards if card["style"]}),
        confused=[_describe_row(row) for row in gallery.confused],
        policy=(
            f"default-src 'none'; script-src {_hash(script)}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
            "form-action 'none'"
        ),
        script=Markup(script),  # noqa: S704  a file of the package
        style=Markup(style),  # noqa: S704  a file of the package
    )


def _cite(audit: Audit) -> str:
    """Return what a paper needs to name the audit by: the verdict and the hashes behind it."""
    hashes = ", ".join(f"{name} {value[:16]}" for name, value in audit.hashes.items())
    return f"{audit.verdict} (oddpair audit; {hashes})"


def _describe(image: Shown) -> dict[str, Any]:
    facts = image.facts
    known = [
        ("style", _tell_style(facts)),
        ("objects", _STATUS.get(facts["status"]) if facts["status"] else None),
        (
            "reference",
            None if facts["reference_score"] is None else f"{facts['reference_score']:.4f}",
        ),
    ]
    return {
        "kinds": [KINDS[kind][0] for kind in image.kinds],
        "sorts": " ".join(image.kinds),
        "uid": image.uid,
        "caption": facts["caption"] or "",
        "score": f"{facts['score']:.4f}",
        "style": facts["label"] or facts["style"] or "",
        "concepts": [
            (name, "not counted" if count is None else f"{count:,}") for name, count in image.counts
        ],
        "words": " | ".join(name for name, _ in image.counts).casefold(),
        "facts": [(name, value) for name, value in known if value],
        "source": _source(image.picture),
        "near": [_describe_near(row) for row in image.near],
    }


def _tell_style(facts: Mapping[str, Any]) -> str | None:
    label, style = facts["label"], facts["style"]
    return f"{style}, labelled {label}" if label and style and label != style else label or style


def _describe_near(row: Near) -> dict[str, Any]:
    reason = row.reason and f"{row.reason}" + (f", {row.bits} bits apart" if row.bits is not None else "")
    return {
        "uid": row.uid,
        "caption": row.caption,
        "score": "" if row.score is None else f"{row.score:.4f}",
        "reason": reason,
        "source": _source(row.picture),
    }


def _describe_row(row: ConfusedRow) -> dict[str, Any]:
    return {"uid": row.uid, "label": row.label, "sorted": row.sorted_as, "source": _source(row.picture)}


def _source(picture: bytes | None) -> str:
    return "" if picture is None else f"data:image/jpeg;base64,{base64.b64encode(picture).decode('ascii')}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
