"""Measures of a model on data."""
