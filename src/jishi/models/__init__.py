"""Base models: embedded, from a folder or a hub, or from scratch."""
