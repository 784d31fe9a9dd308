"""The target value of untrained positions, shared by data, model, tasks and evaluation."""

__all__ = ["IGNORED_TARGET"]

IGNORED_TARGET = -100
"""A target that adds no loss, as in PyTorch."""
