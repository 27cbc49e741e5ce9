"""How settings are given on the command line, which is made from their dataclasses."""

from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import Parameter, Token

from ulens.planning.durations import parse_duration


def _by(parse: Callable[[str], Any]) -> Callable[[Any, Sequence[Token]], Any]:
    return lambda kind, tokens: parse(tokens[0].value)


def list_by(parse: Callable[[str], tuple[Any, ...]], metavar: str) -> Parameter:
    """Return how a tuple is given that `parse` makes of a text with commas."""
    return Parameter(
        metavar=metavar,
        negative="",
        converter=_by(parse),
        n_tokens=1,
        show_default=lambda values: ",".join(map(str, values)),
    )


OUT = Parameter(alias="-o")
FLAG = Parameter(negative="", show_default=False)
"""An option without a value, and without a --no- twin."""
SEVERAL = Parameter(negative="")
"""A tuple, without a way to give none."""
REPEATED = Parameter(negative="", show_default=False)
"""An option that is given once for each of several values."""
TIME = Parameter(
    name="--time",
    metavar="TIME",
    converter=_by(parse_duration),
    show_default=lambda seconds: None if seconds is None else f"{seconds:g}s",
)
FROM_PYTHON_ALONE = Parameter(parse=False)
EACH_AN_OPTION = Parameter(name="*")
"""Of a dataclass of settings."""
