"""Conformer: a character-level lip reader, teacher-forced as published (WER2), or with free decoding."""
