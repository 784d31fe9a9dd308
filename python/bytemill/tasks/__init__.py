"""The training tasks: each defines its rows, its loss and the parameters to train."""
