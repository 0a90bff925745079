"""Labels by hand, and how far people agree."""
