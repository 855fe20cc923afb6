"""SyncNet: how well lips and speech fit in time."""
