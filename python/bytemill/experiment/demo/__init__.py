"""The demo: the whole pipeline in one command, on text that is part of every Python installation."""
