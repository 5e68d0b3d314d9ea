"""Models that travel in registry packages: one file each, the file's name is the model's name, its `SOURCES` where it lies."""

from jishi.models.embedded._source import folder, listing, names

__all__ = ["folder", "listing", "names"]
