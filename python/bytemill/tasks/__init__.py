"""What is trained: each task brings its rows, its loss and which parameters learn."""
