"""One file a place to start processes on."""
