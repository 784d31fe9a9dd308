"""What the machine has, and what training uses of it."""
