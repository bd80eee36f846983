"""What Tune must not pickle."""

from typing import Any


class Unsaved:
    """Left out of Tune's snapshots, which nobody restores: locks and open files cannot be pickled."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Unsaved":
        return self
