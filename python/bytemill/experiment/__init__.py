"""Experiments of several runs: sweeps, ladders, dry runs and the demo."""
