"""Records from JSON: dataclasses whose every entry is checked when they are read."""

import json
import math
import reprlib
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib.metadata import version
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ulens.errors import SettingError

Record = TypeVar("Record")

_DEEPEST = 64
_NUM_SHOWN = 20
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def read_json(data: bytes, name: str) -> Any:
    """Return what JSON holds.

    Parameters
    ----------
    data : as text in UTF-8, with or without a mark of that
    name : of the file, for errors

    Raises
    ------
    SettingError : it is no JSON, or nested more deeply than any file of ulens

    Examples
    --------
    >>> read_json(b'{"a": [1]}', "a.json")
    {'a': [1]}
    """
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except RecursionError:
        content = None
        is_deep = True
    except ValueError as error:  # also of text that is not UTF-8, and of integers without end
        raise SettingError(f"{name} is no JSON ({error})") from error
    else:
        is_deep = _is_deep(content)
    if is_deep:
        raise SettingError(
            f"{name} is nested more than {_DEEPEST} levels deep; no file of ulens is"
        )
    return content


def show(value: object) -> str:
    """Return a value for a message, cut where it is long.

    Examples
    --------
    >>> show([0] * 1000)
    '[0, 0, 0, 0, 0, 0, ...]'
    """
    try:
        return _SHORT.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return f"an integer of {value.bit_length()} bits"  # type: ignore[attr-defined]


def read_record(kind: type[Record], entries: object, name: str) -> Record:
    """Build a dataclass from what JSON holds.

    Parameters
    ----------
    kind : a dataclass; its fields are bool, int, float, str, Literal, None, dict, tuples of these,
        or dataclasses in turn; whole numbers have 64 bits
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
        raise SettingError(
            f"{name} is {show(entries)}; it needs to be an object with named entries"
        )
    known = {field.name: field for field in fields(kind)}
    if unknown := sorted(set(entries) - set(known)):
        more = f" and {len(unknown) - _NUM_SHOWN} more" if len(unknown) > _NUM_SHOWN else ""
        raise SettingError(
            f"{name}: unknown entries {', '.join(map(_shorten, unknown[:_NUM_SHOWN]))}{more}; it "
            f"takes {', '.join(sorted(known)) or 'none'}. They are misspelt, or of a newer ulens "
            f"than this {version('ulens')}"
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
    if hint is Any:
        return value
    if origin in (Union, UnionType):
        (other,) = (each for each in arguments if each is not NoneType)
        return None if value is None else _read(other, value, name)
    if origin is Literal:
        # 1 == 1.0 == True, but these are no names
        if not any(value == each and type(value) is type(each) for each in arguments):
            takes = " or ".join(map(str, arguments))
            raise SettingError(f"{name} is {show(value)}; it takes {takes}")
        return value
    if origin is tuple:
        return _read_tuple(arguments, value, name)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) > sys.float_info.max or math.isnan(value):
            raise SettingError(f"{name} is {show(value)}; it needs to be finite")
        return float(value)
    kind, what = _KINDS[origin or hint]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise SettingError(f"{name} is {show(value)}; it needs to be {what}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise SettingError(f"{name} is {show(value)}; it needs to be a whole number of 64 bits")
    if isinstance(value, dict) and arguments:
        return {key: _read(arguments[1], value[key], f"{name}.{_shorten(key)}") for key in value}
    return value


def _read_tuple(arguments: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    is_open = arguments[-1] is ...
    if not isinstance(value, list | tuple) or not (is_open or len(value) == len(arguments)):
        length = "" if is_open else f" of {len(arguments)}"
        raise SettingError(f"{name} is {show(value)}; it needs to be a list{length}")
    hints = arguments[:1] * len(value) if is_open else arguments
    return tuple(_read(hint, each, name) for hint, each in zip(hints, value, strict=True))


def _shorten(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:80]}..."


def _is_deep(content: object) -> bool:
    level = [content]
    for _ in range(_DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


_KINDS: dict[Any, tuple[type, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    str: (str, "a text"),
    dict: (dict, "an object with named entries"),
}
