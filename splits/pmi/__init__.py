"""Pairs in bands of PMI, at equal single counts."""
