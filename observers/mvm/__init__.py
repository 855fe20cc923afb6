"""MVM: a classifier of 500 spoken words from the lips (ACC)."""
