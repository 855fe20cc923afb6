"""The leaderboards as a static site: pages that need nothing else, opened from a folder or served from anywhere."""
