"""How often concepts and pairs of them occur in captions and in pictures, and what that says."""
