"""One file a way to vary training rows so that what they teach stays true."""
