"""Names of the code that no user should have to read."""

import re
from dataclasses import is_dataclass
from typing import get_args, get_type_hints

from ulens.encodings.table import ENCODINGS
from ulens.planning.parts import MemoryFormat
from ulens.planning.plan import Plan


def _entries(kind: type) -> set[str]:
    """The names of the fields of a dataclass and of those in it."""
    hints = get_type_hints(kind)
    within = [_entries(hint) for hint in hints.values() if is_dataclass(hint)]
    return set(hints).union(*within)


_NAMES = _entries(Plan)
_NAMES |= {name for encoding in ENCODINGS.values() for name in encoding.decoding}
_NAMES |= {*get_args(MemoryFormat), "min_area_px"}
RAW_NAMES = sorted(name for name in _NAMES if "_" in name)


def find_raw_names(text: str) -> list[str]:
    """Return the keys of a plan in a text, and our own files."""
    return [name for name in (*RAW_NAMES, "docs/", "lab-notes") if name in text]


def text_of(page: str) -> str:
    """Return what a browser shows of a page."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    return re.sub(r"<[^>]*>", " ", body)
