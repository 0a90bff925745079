"""The published figures made again from the published tables."""
