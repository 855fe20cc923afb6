"""SyncNet: audio-visual synchronisation, LSE-D, LSE-C and the offset."""
