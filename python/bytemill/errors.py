"""The exceptions that bytemill raises for errors in its input, and a check for negative numbers."""

__all__ = [
    "ArgumentError",
    "BytemillError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DivergedError",
    "FormatError",
    "Interrupted",
    "ServiceError",
    "refuse_negative",
]


class BytemillError(Exception):
    """Base class of all errors that bytemill finds in its input; the message says what would be right."""


class FormatError(BytemillError, ValueError):
    """A file is damaged or has the wrong format; the message names the file and the place."""


class DataError(BytemillError, ValueError):
    """Rows, documents or token ids cannot be used as requested."""


class ConfigError(BytemillError, ValueError):
    """A setting is unknown or has an invalid value; the message names the setting."""


class CheckpointError(BytemillError, RuntimeError):
    """A checkpoint is truncated, or belongs to another run, model or data set."""


class ArgumentError(BytemillError, ValueError):
    """An argument has an invalid value; the message names the argument and the allowed values."""


class ServiceError(BytemillError, RuntimeError):
    """A server cannot be reached or sends no usable answer; the message names the server."""


class DivergedError(BytemillError, ArithmeticError):
    """The loss or the gradient is NaN or infinite; the message names the step and where its batches began."""


class Interrupted(Exception):  # noqa: N818 - an interruption is not an error: everything was saved
    """A signal stopped a run after everything was saved.

    Attributes:
        exit_code: The exit code for the command: 130 after SIGINT, 143 after SIGTERM.
    """

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def refuse_negative(**numbers: int | None) -> None:
    """Raise ArgumentError for a negative number; the core accepts only unsigned integers.

    >>> refuse_negative(seed=0, threads=-1)
    Traceback (most recent call last):
    bytemill.errors.ArgumentError: threads is -1, expected at least 0
    """
    for name, number in numbers.items():
        if number is not None and number < 0:
            raise ArgumentError(f"{name} is {number}, expected at least 0")
