"""Names that strangers gave, made harmless to show: what steers a terminal becomes visible."""

import re

# C0 and C1 but for tab and line feed, and what turns the direction of writing
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def make_visible(text: str) -> str:
    r"""Return a text in which each control character is written as its number.

    Examples
    --------
    >>> make_visible("\x1b[2Jcell.tif")
    '\\x1b[2Jcell.tif'
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
