"""Sweeps: many runs from one settings file, and a comparison of their results."""
