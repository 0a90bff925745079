"""The arithmetic of exact search: first passes whose error is bounded, and what settles their candidates."""
