"""The one training loop and what it is made of.

`config` is free of torch, so that a command can read and refuse settings at once; everything else
here is imported by its own name (`from bytemill.train.loop import fit`) and brings torch along.
"""
