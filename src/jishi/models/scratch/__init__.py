"""Designs trained from scratch: one file each, the file's name is the design's name, its `DESIGN` what it is."""
