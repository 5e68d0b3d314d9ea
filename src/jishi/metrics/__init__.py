"""Metrics as pure functions of numbers."""
