"""The static site of leaderboards: pages that need nothing else, opened from a folder or served by any server."""
