"""The whole path, end to end, on a world that the suite draws itself."""
