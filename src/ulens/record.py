"""Records from JSON: dataclasses whose every entry is checked when they are read."""

import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ulens.errors import SettingError

Record = TypeVar("Record")


def read_record(kind: type[Record], entries: object, name: str) -> Record:
    """Build a dataclass from what JSON holds.

    Parameters
    ----------
    kind : a dataclass; its fields are bool, int, float, str, Literal, None, dict, tuples of these,
        or dataclasses in turn
    entries : the JSON object, with a value for each field that has no default
    name : of the record, for errors

    Raises
    ------
    SettingError : an entry is unknown, missing, of the wrong type, NaN or infinite; or the
        dataclass itself refuses a value

    Examples
    --------
    >>> from ulens.augment.geometry import GeometrySettings
    >>> read_record(GeometrySettings, {"scale": [0.8, 1.25]}, "geometry").scale
    (0.8, 1.25)
    """
    assert is_dataclass(kind)
    if not isinstance(entries, Mapping):
        raise SettingError(f"{name} is {entries!r}; it needs to be an object with named entries")
    known = {field.name: field for field in fields(kind)}
    if unknown := sorted(set(entries) - set(known)):
        raise SettingError(
            f"{name}: unknown entries {', '.join(unknown)}; it takes {', '.join(sorted(known))}"
        )
    has_none = (MISSING, MISSING)
    missing = [
        each.name
        for each in known.values()
        if (each.default, each.default_factory) == has_none and each.name not in entries
    ]
    if missing:
        raise SettingError(f"{name}: {', '.join(missing)} missing; add it")
    hints = get_type_hints(kind)
    values = {each: _read(hints[each], entries[each], f"{name}.{each}") for each in entries}
    return kind(**values)


def _read(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        return read_record(hint, value, name)  # type: ignore[arg-type]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (other,) = (each for each in arguments if each is not NoneType)
        return None if value is None else _read(other, value, name)
    if origin is Literal:
        if value not in arguments:
            raise SettingError(f"{name} is {value!r}; it takes {' or '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        return _read_tuple(arguments, value, name)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) > sys.float_info.max or math.isnan(value):
            raise SettingError(f"{name} is {value}; it needs to be finite")
        return float(value)
    kind, what = _KINDS[origin or hint]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise SettingError(f"{name} is {value!r}; it needs to be {what}")
    return value


def _read_tuple(arguments: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    is_open = arguments[-1] is ...
    if not isinstance(value, list | tuple) or not (is_open or len(value) == len(arguments)):
        length = "" if is_open else f" of {len(arguments)}"
        raise SettingError(f"{name} is {value!r}; it needs to be a list{length}")
    hints = arguments[:1] * len(value) if is_open else arguments
    return tuple(_read(hint, each, name) for hint, each in zip(hints, value, strict=True))


_KINDS: dict[Any, tuple[type, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    str: (str, "a text"),
    dict: (dict, "an object with named entries"),
}
