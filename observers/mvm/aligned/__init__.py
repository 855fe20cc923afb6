"""MVM on the words of sentences, each in the frames around it (ACC aligned)."""
