"""The target of positions that are not trained; data, model, tasks and evaluation share it."""

__all__ = ["IGNORED_TARGET"]

IGNORED_TARGET = -100
"""A target that costs no loss, as everywhere in PyTorch."""
