"""Names of the code that no user should have to read."""

import re
from dataclasses import fields
from typing import get_args

from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.encodings.table import ENCODINGS
from ulens.planning.plan import MemoryFormat, Plan

_SETTINGS = (Plan, GeometrySettings, IntensitySettings)
_NAMES = {entry.name for settings in _SETTINGS for entry in fields(settings)}
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
