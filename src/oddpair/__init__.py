"""Out-of-distribution splits, unseen object pairs and predictable accuracy for CLIP models."""

__version__ = "0.1.0"
