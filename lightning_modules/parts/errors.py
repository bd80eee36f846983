"""What the readers raise. The platform knows it by its attributes `problem` and `remedy`."""


class DataError(ValueError):
    """The recordings cannot be read, or cannot be used as asked.

    Both arguments go to `super().__init__`, so that the error survives pickling on its way out of a Ray
    worker.

    Args:
        problem: What is wrong: the value, the expectation, the file or session it came from.
        remedy: What to do now.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n{self.remedy}"
