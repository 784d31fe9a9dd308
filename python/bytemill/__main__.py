"""`python -m bytemill` is the command line."""

from bytemill.cli import main

if __name__ == "__main__":
    main()
