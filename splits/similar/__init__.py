"""Which rows are too near to test images."""
