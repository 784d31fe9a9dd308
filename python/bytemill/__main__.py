"""Run the command line as `python -m bytemill`."""

from bytemill.cli import main

if __name__ == "__main__":
    main()
