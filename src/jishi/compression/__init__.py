"""Ways to make a bundle smaller or quicker. One file a way."""
