"""One file a way to learn from rows without labels."""
