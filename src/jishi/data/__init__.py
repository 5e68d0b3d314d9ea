"""Rows in, canonical rows out: sources, splits, reports, fingerprints."""
