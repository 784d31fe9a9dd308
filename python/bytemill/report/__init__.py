"""Runs as pages that people read."""
