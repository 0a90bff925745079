"""Effective robustness: accuracy out of distribution beside what a baseline of models would reach."""
