"""Functions that numba compiles, and keeps for the next run where it can."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call; it lets go of the GIL while it runs.

    Notes
    -----
    numba keeps what it compiled beside the module or in the user's folder for caches, and raises
    at import where it may write to neither: then every process compiles anew.
    """
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)
