"""What neurosweep raises: every error says what is wrong and what to do about it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class NeurosweepError(Exception):
    """A problem and its remedy.

    Both go to `super().__init__`, so that the error survives pickling on its way out of a Ray worker.

    Args:
        problem: What is wrong: the value, the expectation, where it came from.
        remedy: What to do now, as a command or a change where there is one.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n{self.remedy}" if self.remedy else self.problem


def numbered(problems: Sequence[str]) -> str:
    """List problems, a line each."""
    return "\n".join(f"  {number}. {problem}" for number, problem in enumerate(problems, start=1))


class ConfigError(NeurosweepError):
    """The configuration cannot be run as written."""

    exit_code = 2

    @classmethod
    def collect(cls, problems: Sequence[str], remedy: str) -> "ConfigError":
        """Make one error of several problems, so that a user mends them in one go."""
        if len(problems) == 1:
            return cls(problems[0], remedy)
        return cls(f"{len(problems)} problems with the configuration:\n{numbered(problems)}", remedy)


class DataError(NeurosweepError):
    """The recordings cannot be read, or do not fit the model."""

    exit_code = 2


@contextmanager
def as_data_error(what: str, remedy: str) -> Iterator[None]:
    """Make a `DataError` of whatever a lab's own function raises, with its own problem and remedy where it has them.

    Args:
        what: What went wrong, if the error does not say; its type and text follow.
        remedy: What to do then.

    Raises:
        DataError: In place of any other error.
    """
    try:
        yield
    except Exception as error:
        problem = getattr(error, "problem", None) or f"{what}: {type(error).__name__}: {error}"
        raise DataError(problem, getattr(error, "remedy", None) or remedy) from error


class SweepExistsError(NeurosweepError):
    """A sweep of this name exists already, or another driver is running it."""

    exit_code = 2


class SweepNotFoundError(NeurosweepError):
    """No sweep of this name in this storage."""

    exit_code = 2


class ResourceError(NeurosweepError):
    """The cluster does not have what the trials ask for."""

    exit_code = 2


class ClusterLostError(NeurosweepError):
    """The Ray cluster died while a sweep ran on it."""


class TrackingError(NeurosweepError):
    """The MLflow server or store cannot be used."""


class StorageError(NeurosweepError):
    """The sweep's folder cannot be written."""
