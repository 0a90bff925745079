"""Samples of several concepts: unseen sets predicted from single counts, and accuracy against PMI."""
