"""Files to arrays to crops. Knows nothing of lips."""
