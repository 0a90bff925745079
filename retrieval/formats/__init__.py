"""Readers and writers of the layouts that corpora have on disk, one a file."""
