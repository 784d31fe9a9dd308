"""The files of a run: its folder, checkpoints and logs."""
