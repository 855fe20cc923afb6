"""Leaderboards: records of systems, and the tables and pages built from them."""
