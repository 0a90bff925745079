"""The miniature world that the suite draws itself: ground truth is known because it was planted."""
