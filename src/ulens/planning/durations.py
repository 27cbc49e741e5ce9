"""Lengths of time, as people write them."""

import re

from ulens.errors import SettingError


def parse_duration(text: str) -> float:
    """Return the seconds in a duration such as ``20min``, ``90s``, ``1h`` or ``1h30min``.

    Examples
    --------
    >>> parse_duration("1h30min")
    5400.0
    """
    number = r"(\d+(?:\.\d+)?)\s*"
    pattern = rf"(?:{number}h)?\s*(?:{number}m(?:in)?)?\s*(?:{number}s(?:ec)?)?"
    match = re.fullmatch(pattern, text.strip().lower())
    parts = match.groups() if match else ()
    hours, minutes, seconds = (float(part or 0) for part in parts or (0, 0, 0))
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise SettingError(f"time is {text!r}; write it like 20min, 90s, 1h or 1h30min")
    return total
