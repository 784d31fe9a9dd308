"""The settings of a run: sections, defaults, and settings as TOML."""
