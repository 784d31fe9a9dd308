"""The settings of a run: their sections, their defaults, and writing them as TOML."""
