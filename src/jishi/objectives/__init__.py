"""One file a training objective."""
