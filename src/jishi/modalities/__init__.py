"""One file a kind of value: text, image."""
