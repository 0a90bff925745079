"""Objects pasted into pictures, nothing else of which changes."""
