"""Ranks of models, and how sure they are: shared draws, rank intervals, bands, stability, concurrence."""
