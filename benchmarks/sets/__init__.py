"""Readers of evaluation sets on disk, one layout a file."""
