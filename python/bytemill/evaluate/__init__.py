"""Evaluation of models: losses, benchmarks, answers and judges."""
