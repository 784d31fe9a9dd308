"""The exceptions that bytemill raises for faults in its input, and the check that many callers share."""

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
    """Base of every fault that bytemill finds in what it was given; its text says what would be right."""


class FormatError(BytemillError, ValueError):
    """A file is damaged, or is not of the format it should be of; names file and place."""


class DataError(BytemillError, ValueError):
    """Rows, documents or token ids cannot be used as asked."""


class ConfigError(BytemillError, ValueError):
    """A setting is unknown or has a value that cannot work; names the setting."""


class CheckpointError(BytemillError, RuntimeError):
    """A checkpoint is cut short, or belongs to another run, model or data set."""


class ArgumentError(BytemillError, ValueError):
    """An argument has a value that can never work; names it and what is allowed."""


class ServiceError(BytemillError, RuntimeError):
    """A server cannot be reached, or gives no usable answer; names it."""


class DivergedError(BytemillError, ArithmeticError):
    """The loss or the gradient is no number; names the step and where its batches began."""


class Interrupted(Exception):  # noqa: N818 - an interruption is no error: everything was saved
    """A signal ended a run after everything had been saved.

    Attributes:
        exit_code: 130 after SIGINT, 143 after SIGTERM: what the command should exit with.
    """

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def refuse_negative(**numbers: int | None) -> None:
    """Refuse negative numbers by name, where the core knows only numbers from 0 up.

    >>> refuse_negative(seed=0, threads=-1)
    Traceback (most recent call last):
    bytemill.errors.ArgumentError: threads is -1, expected at least 0
    """
    for name, number in numbers.items():
        if number is not None and number < 0:
            raise ArgumentError(f"{name} is {number}, expected at least 0")
