"""Trials of a few steps, the ladder of speed-ups, sweeps of many runs, and the demo."""
