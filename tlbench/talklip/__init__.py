"""The reference generator, TalkLip: its networks, what it learns from, how it is trained and how it speaks."""
