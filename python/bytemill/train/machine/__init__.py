"""The machine: its hardware and software, and which of it training uses."""
