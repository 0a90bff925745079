"""Zero-shot classification as CLIP_benchmark does it: its loop, written again, since it asks for older libraries.

Like its command with ``--no_amp``: the model and its own transform by ``create_model_and_transforms``, pictures by
webdataset through a DataLoader, the prompts of one class at a time, logits in float32, the same three metrics.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import open_clip
import torch
import webdataset
from sklearn.metrics import balanced_accuracy_score
from torch.nn import functional

BATCH = 64
CORES = 2


def load_pictures(folder: Path, transform: Any) -> Any:
    """Read batches of pictures and labels of a set in its webdataset layout."""
    shards = int((folder / "test" / "nshards.txt").read_text())
    rows = webdataset.WebDataset(
        f"{folder}/test/{{0..{shards - 1}}}.tar", nodesplitter=lambda source: source, shardshuffle=False
    )
    rows = rows.decode(webdataset.autodecode.ImageHandler("pil", extensions=["webp", "png", "jpg", "jpeg"]))
    rows = rows.to_tuple(["webp", "png", "jpg", "jpeg"], "cls").map_tuple(transform, None)
    return torch.utils.data.DataLoader(rows.batched(BATCH), batch_size=None, shuffle=False, num_workers=CORES)


def embed_classes(model: Any, tokenize: Any, names: list[str], templates: list[str]) -> torch.Tensor:
    """Embed the prompts of one class after the other, shape ``(d, classes)``."""
    found = []
    for name in names:
        tokens = tokenize([template.replace("{}", name) for template in templates])
        vector = functional.normalize(model.encode_text(tokens), dim=-1).mean(dim=0)
        found.append(vector / vector.norm())
    return torch.stack(found, dim=1)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("model", type=Path)
    options.add_argument("set", type=Path)
    options.add_argument("prompts", type=Path, help="JSON of names and templates")
    options.add_argument("out", type=Path)
    asked = options.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(CORES)
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{asked.model}")
    model.eval()
    tokenize = open_clip.get_tokenizer(f"local-dir:{asked.model}")
    prompts = json.loads(asked.prompts.read_text())
    logits, targets = [], []
    with torch.no_grad():
        classifier = embed_classes(model, tokenize, prompts["names"], prompts["templates"])
        for pictures, labels in load_pictures(asked.set, transform):
            rows = functional.normalize(model.encode_image(pictures), dim=-1)
            logits.append((100.0 * rows @ classifier).float())
            targets.append(torch.as_tensor(labels))
    scores, target = torch.cat(logits), torch.cat(targets)
    right = scores.topk(5, 1)[1].eq(target[:, None])
    metrics = {
        "acc1": float(right[:, :1].sum()) / len(target),
        "acc5": float(right.sum()) / len(target),
        "mean_per_class_recall": float(balanced_accuracy_score(target, scores.argmax(dim=1))),
    }
    asked.out.write_text(json.dumps(metrics))


if __name__ == "__main__":
    main()
