"""The whole pipeline in one command, on text that every Python has."""
