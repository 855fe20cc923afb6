"""The leaderboards as pages that need no server."""
