"""Mixtures, controls and subsets that a curator draws."""
