"""Submissions to the leaderboard: what one holds, how it is read as data only, and every number computed again."""
