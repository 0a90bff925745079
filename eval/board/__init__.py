"""The leaderboard: what it says of its entries, from committed files alone."""
