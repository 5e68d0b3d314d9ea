"""One file a way to adapt a model."""
