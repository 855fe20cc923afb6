"""The leaderboards as a static site: pages that load nothing, from a folder or a server."""
