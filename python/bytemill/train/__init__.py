"""The training loop that all tasks share, and its parts.

`config` does not import torch, so a command can check settings quickly. Import everything else by its module
(`from bytemill.train.loop import fit`); these modules import torch.
"""
