"""Turn prompts into the class vectors of a zero-shot classifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.zero_shot import class_vectors
from oddpair.retrieval.encoder import Encoder


def embed_classes(encoder: Encoder, prompts: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Embed the prompts of every class and average them.

    Args:
        encoder: The model.
        prompts: As many prompts for each class, shape ``(n_classes, n_templates)``.

    Returns:
        Unit rows, shape ``(n_classes, d)``.

    Raises:
        ValueError: If there is no class, or classes have different numbers of prompts.
    """
    numbers = {len(of_class) for of_class in prompts}
    if len(numbers) != 1:
        raise ValueError(f"classes have {sorted(numbers)} prompts, all must have the same number")
    rows = encoder.encode_texts([prompt for of_class in prompts for prompt in of_class])
    return class_vectors(rows.reshape(len(prompts), numbers.pop(), -1))
