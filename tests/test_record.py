from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from ulens.errors import SettingError
from ulens.record import read_record


@dataclass(frozen=True, kw_only=True)
class Inner:
    shares: tuple[float, float] = (0.0, 1.0)
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outer:
    number: int
    share: float = 0.5
    is_on: bool = False
    kind: Literal["a", "b"] = "a"
    length: int | None = None
    inner: Inner = Inner()
    more: dict[str, Any] = field(default_factory=dict)


def test_a_record_is_read_with_what_is_in_it():
    read = read_record(
        Outer,
        {"number": 3, "share": 1, "inner": {"shares": [0, 2], "names": ["x", "y"]}, "length": None},
        "thing",
    )
    assert read == Outer(number=3, share=1.0, inner=Inner(shares=(0.0, 2.0), names=("x", "y")))
    assert isinstance(read.share, float)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], r"thing is \[\]; it needs to be an object with named entries"),
        ({}, "thing: number missing; add it"),
        ({"number": 1, "nubmer": 2}, "thing: unknown entries nubmer; it takes inner, is_on"),
        ({"number": 1.5}, "thing.number is 1.5; it needs to be a whole number"),
        ({"number": True}, "thing.number is True; it needs to be a whole number"),
        ({"number": None}, "thing.number is None; it needs to be a whole number"),
        ({"number": 1, "share": "x"}, "thing.share is 'x'; it needs to be a number"),
        ({"number": 1, "share": True}, "thing.share is True; it needs to be a number"),
        ({"number": 1, "share": float("nan")}, "thing.share is nan; it needs to be finite"),
        ({"number": 1, "share": 10**400}, "it needs to be finite"),
        ({"number": 1, "is_on": 1}, "thing.is_on is 1; it needs to be true or false"),
        ({"number": 1, "kind": "c"}, "thing.kind is 'c'; it takes a or b"),
        ({"number": 1, "kind": []}, r"thing.kind is \[\]; it takes a or b"),
        ({"number": 1, "length": "3"}, "thing.length is '3'; it needs to be a whole number"),
        ({"number": 1, "inner": 3}, "thing.inner is 3; it needs to be an object"),
        ({"number": 1, "inner": {"x": 3}}, "thing.inner: unknown entries x"),
        ({"number": 1, "inner": {"shares": [1]}}, r"shares is \[1\]; it needs to be a list of 2"),
        ({"number": 1, "inner": {"shares": ["a", 1]}}, "shares is 'a'; it needs to be a number"),
        ({"number": 1, "inner": {"names": "xy"}}, "names is 'xy'; it needs to be a list"),
        ({"number": 1, "more": []}, "thing.more is"),
    ],
)
def test_what_does_not_fit_is_named(entries, message):
    with pytest.raises(SettingError, match=message):
        read_record(Outer, entries, "thing")
