"""Lists of names that are given by their own name instead of a file."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from oddpair.errors import Refusal

_COCO = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, "
    "parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, "
    "handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, "
    "surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, "
    "broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, "
    "laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, "
    "scissors, teddy bear, hair drier, toothbrush"
)
_VOC = (
    "aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse, motorbike, person, "
    "pottedplant, sheep, sofa, train, tvmonitor"
)
# Other spellings that captions use; no synonyms, which are a user's choice.
_WRITTEN = {
    "aeroplane": ("airplane",),
    "airplane": ("aeroplane",),
    "diningtable": ("dining table",),
    "pottedplant": ("potted plant",),
    "tvmonitor": ("tv monitor",),
    "tv": ("television",),
    "donut": ("doughnut",),
    "hair drier": ("hair dryer",),
}
BUILT_IN = ("imagenet", "coco", "voc")


def built_in_names(source: str) -> list[tuple[str, ...]]:
    """Give the names of a built-in list, each with its other spellings.

    ``imagenet`` holds the 1,000 class names that the installed open_clip makes its zero-shot classifier of; two of
    them occur twice. ``coco`` holds the 80 classes of the detection task (Lin et al., arXiv 1405.0312), ``voc`` the
    20 of Pascal VOC 2012.

    Raises:
        Refusal: If open_clip does not hold the names where they are looked for.

    >>> built_in_names("voc")[10]
    ('diningtable', 'dining table')
    """
    if source == "imagenet":
        return [(name,) for name in _open_clip_names()]
    names = {"coco": _COCO, "voc": _VOC}[source].split(", ")
    return [(name, *_WRITTEN.get(name, ())) for name in names]


def _open_clip_names() -> tuple[str, ...]:
    # This one file is run on its own: with the package come torch and seconds of waiting.
    package = importlib.util.find_spec("open_clip")
    origin = package.origin if package else None
    path = Path(origin).parent / "zero_shot_metadata.py" if origin else None
    if path is None or not path.is_file():
        raise Refusal(
            "open_clip is not installed with its class names: give a file with the names of ImageNet's classes"
        )
    spec = importlib.util.spec_from_file_location("_open_clip_zero_shot_metadata", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = getattr(module, "IMAGENET_CLASSNAMES", ())
    if len(names) != 1000:
        raise Refusal(
            f"{path} holds {len(names)} names of ImageNet's classes, needed 1,000: give a file with the names"
        )
    return tuple(names)
