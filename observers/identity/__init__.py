"""Likeness of the person: cosine similarity of dlib's face embeddings (CSIM)."""
