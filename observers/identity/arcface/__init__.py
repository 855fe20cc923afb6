"""Likeness of the person by ArcFace: cosine similarity of the embeddings that most papers print as CSIM."""
