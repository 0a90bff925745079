"""Recipes: each a YAML file that documents its keys, and beside it the file of code that carries it out."""
