"""An audit made up for the tests of its page, with words that try to break out of it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from oddpair.commands.audit_pictures import ConfusedRow, Gallery, Near, Shown
from oddpair.eval.auditing.found import (
    Accuracy,
    Audit,
    Concepts,
    Decade,
    Distances,
    Duplicates,
    Gap,
    Nearness,
    Pairs,
    Removal,
    Styles,
    StyleShare,
    find_share,
)
from oddpair.eval.auditing.images import SCHEMA
from oddpair.eval.auditing.verdict import judge, write_verdict
from oddpair.eval.intervals import Estimate

HOSTILE = (
    "<script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">",
    "\u202egnp.exe\u2066 \x1b[2J",
    "</script></style><b>bold</b>",
    "'\" onmouseover='document.title=1' x='",
    "{{ 7 * 7 }} {% raw %}",
    "x" * 10_000,
    "line\nend\r\nof lines",
    "",
)
COMMANDS = {
    "style-strict": "oddpair split recipes/style-strict.yaml --out style-strict",
    "gap-pruned": "oddpair split recipes/gap-pruned.yaml --out gap-pruned",
}


def estimate(value: float, low: float, high: float, n: int = 40) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=n, what="a")


def make_audit(*, whole: bool = True) -> Audit:
    """An audit of everything, or of what nothing but two folders of embeddings tells."""
    name = HOSTILE[0] if whole else "val"
    corpus = Distances(
        name="web",
        rows=1234,
        quantiles=tuple(np.linspace(0.51, 0.59, 9).round(4).tolist()),
        histogram=((0.5, 30), (0.52, 10)),
        median=estimate(0.5512, 0.5411, 0.5633),
    )
    reference = Distances(
        name="train",
        rows=99,
        quantiles=tuple(np.linspace(0.31, 0.39, 9).round(4).tolist()),
        histogram=((0.3, 40),),
        median=estimate(0.3512, 0.3411, 0.3633),
    )
    gap = Gap(
        reference=reference,
        nearer=find_share(39, 40),
        difference=estimate(0.2001, 0.1902, -0.1 + 0.4),
        rows=77,
    )
    nearness = Nearness(corpus=corpus, gap=gap if whole else None)
    duplicates = Duplicates(
        found=find_share(3, 40),
        same_bytes=find_share(2, 40),
        same_look=find_share(1, 40),
        near=find_share(0, 40),
        rows=5,
        compared=400,
        unseen=0,
        similarity=None,
        bits=4,
    )
    styles = Styles(
        style="rendition",
        told_by="labels",
        shares_by="labels",
        classes=tuple(
            StyleShare(style=style, test=find_share(test, 40), corpus=find_share(rows, 500))
            for style, test, rows in (("natural", 0, 400), ("rendition", 40, 60), ("ambiguous", 0, 40))
        ),
        finer=(StyleShare(style=HOSTILE[2], test=None, corpus=find_share(60, 500)),),
        corpus=find_share(60, 500),
        at_most=0.1472,
        sorted={"natural": 900, "rendition": 200, "ambiguous": 134},
        precision=find_share(45, 50),
        recall=find_share(45, 48),
        leak_bound=0.0213,
        threshold=0.91,
    )
    concepts = Concepts(
        captions=1230,
        missing=find_share(1, 5),
        tail=find_share(2, 5),
        images_missing=find_share(4, 40),
        images_tail=find_share(9, 40),
        tail_below=10,
        decades=(
            Decade(low=0, high=1, concepts=1, images=4),
            Decade(low=1, high=10, concepts=2, images=9),
            Decade(low=10, high=100, concepts=2, images=27),
        ),
        rarest=((HOSTILE[3], 0, 4), ("cat", 7, 9)),
        unknown=0,
    )
    pairs = Pairs(
        seen=find_share(2, 6),
        unseen_in_captions=find_share(1, 6),
        unseen=find_share(2, 6),
        unsupported=find_share(1, 6),
        samples_seen=find_share(5, 20),
        samples_unseen_in_captions=find_share(3, 20),
        samples_unseen=find_share(11, 20),
        samples_unsupported=find_share(1, 20),
        pictures="content",
        minimum=10,
        listed=((HOSTILE[4], "dog", 30, 40, 0.97, 11),),
    )
    accuracy = Accuracy(
        model="tiny",
        all=estimate(0.61, 0.52, 0.7),
        without=estimate(0.4, 0.3, 0.5),
        explained=estimate(0.21, 0.2, 0.22),
        in_domain="style",
        in_domain_rows=200,
        datasets=5,
        known=None,
    )
    removals = (
        Removal(
            name="style-strict",
            split="natural-strict",
            kind="style-strict",
            rows=1234,
            gone=334,
            left=900,
            why=(("of the test's style, rendition", 200), ("of no certain style", 134)),
        ),
        Removal(
            name="gap-pruned",
            split="gap-pruned-val",
            kind="similarity",
            rows=1234,
            gone=77,
            left=1157,
            why=(("nearer to a test image than train is", 77),),
        ),
    )
    left_out = (
        {}
        if whole
        else {
            "styles": "no hand labels: label some",
            "concepts": "no concepts: give --vocabulary",
            "pairs": "no object pairs: give --vocabulary",
            "accuracy": "no accuracies: give --accuracies",
        }
    )
    judgements = judge(
        nearness=nearness,
        duplicates=duplicates,
        styles=styles if whole else None,
        concepts=concepts if whole else None,
        pairs=pairs if whole else None,
        left_out=left_out,
    )
    told = removals if whole else ()
    return Audit(
        test=name,
        corpus="web",
        tests=40,
        rows=1234,
        hashes={"corpus": "a" * 64, "test": "b" * 64, "encoder": "c" * 64},
        settings={},
        nearness=nearness,
        duplicates=duplicates,
        styles=styles if whole else None,
        concepts=concepts if whole else None,
        pairs=pairs if whole else None,
        accuracy=accuracy if whole else None,
        removals=told,
        left_out=left_out,
        judgements=judgements,
        verdict=write_verdict(name, 40, "web", 1234, judgements, accuracy if whole else None, told),
        images=SCHEMA.empty_table(),
    )


def make_gallery(images: int = 24) -> Gallery:
    """Pictures of a gallery: every hostile word stands as a caption, a uid, a label and a concept."""
    return Gallery(
        images=tuple(_make_image(number) for number in range(images)),
        confused=(ConfusedRow(uid=HOSTILE[1], label=HOSTILE[2], sorted_as="natural", picture=_draw(9)),),
    )


def _make_image(number: int) -> Shown:
    word = HOSTILE[number % len(HOSTILE)] if number < 2 * len(HOSTILE) else f"a caption {number}"
    facts = {
        "caption": word,
        "score": 0.5 + number / 100,
        "reference_score": 0.31,
        "style": "rendition" if number % 2 else "natural",
        "label": word or None,
        "status": ("seen", "unseen", None)[number % 3],
    }
    near = Near(
        uid=f"row-{word}",
        caption=word,
        score=0.5 + number / 100,
        reason="same look" if number == 0 else "",
        bits=2 if number == 0 else None,
        picture=_draw(number) if number % 4 else None,
    )
    return Shown(
        kinds=(("copy", "near") if number == 0 else ("far",) if number % 3 else ("drawn",)),
        uid=f"{number}-{word}",
        facts=facts,
        counts=(("cat", 7), (word or "dog", None)) if number % 2 else (("dog", 12),),
        picture=_draw(number),
        near=(near,),
    )


def _draw(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 18), (seed * 9 % 256, 90, 140)).save(buffer, "JPEG")
    return buffer.getvalue()
