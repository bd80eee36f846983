"""Names and values in the form that MLflow accepts."""

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

MAX_KEY, MAX_PARAMETER, MAX_TAG = 250, 6000, 8000
"""MLflow's limits, characters."""

_CUT = " … [cut]"
_ILLEGAL = re.compile(r"[^\w.\- /]", flags=re.ASCII)


def legal_key(name: str) -> str:
    """Return the name as MLflow accepts it; a legal one is returned as it is.

    A changed name carries a hash of the original, so that two of them never become one.
    """
    cleaned = posixpath.normpath(_ILLEGAL.sub("_", name)).lstrip("./") or "metric"
    if cleaned == name and len(name) <= MAX_KEY:
        return name
    suffix = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return cleaned[: MAX_KEY - len(suffix)] + suffix


def parameter_text(value: Any) -> str:
    """Write a parameter; the same value always gives the same text, since MLflow's are write-once."""
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str | bytes)):
        text = json.dumps(value, sort_keys=True, default=str)
    else:
        text = str(value)
    return cut(text, MAX_PARAMETER)


def cut(text: str, limit: int) -> str:
    """Cut a text to a number of characters, visibly."""
    return text if len(text) <= limit else text[: limit - len(_CUT)] + _CUT


def milliseconds(moment: datetime | None) -> int | None:
    """Convert a time to milliseconds since 1970."""
    return None if moment is None else round(moment.timestamp() * 1000)
