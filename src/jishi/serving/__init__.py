"""A bundle answering over HTTP."""
