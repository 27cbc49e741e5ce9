"""Strategies for what must never end in a traceback: records and files, anything changed."""

import copy
import json
import zlib

from hypothesis import strategies as st

PNG_START = b"\x89PNG\r\n\x1a\n"
NASTY_VALUES = [
    None, True, False, 0, -1, 1, 40, 10**5, 10**9, 2**63, 2**70, 10**400, 0.5, -0.0, 1e308,
    -1e308, float("nan"), float("inf"), "", "a", "\x1b[2J", "=1+1", "../..", [], [0], [[]],
    [None] * 3, ["a", "b"], [1e308, -1e308], {}, {"a": 1}, {"": {}},
]  # fmt: skip
ANY_JSON = st.sampled_from(NASTY_VALUES) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def places(record, path=()):
    """Yield the way to each entry of a record, lists and objects in it included."""
    inside = record.items() if isinstance(record, dict) else enumerate(record)
    for key, value in inside:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


@st.composite
def changed_records(draw, record):
    """A record of which one or two entries have another value, are missing, or are new."""
    changed = copy.deepcopy(record)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(sorted(places(changed), key=str)))
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        kind = draw(st.sampled_from(["value", "value", "value", "missing", "new"]))
        if kind == "value":
            parent[path[-1]] = copy.deepcopy(draw(ANY_JSON))
        elif kind == "missing":
            del parent[path[-1]]
        elif isinstance(parent, dict):
            parent[draw(st.text(max_size=5))] = copy.deepcopy(draw(ANY_JSON))
        if not changed:
            break
    return changed


def encoded(record) -> bytes:
    """Its JSON, with NaN and infinity as Python writes them."""
    return json.dumps(record).encode()


@st.composite
def changed_bytes(draw, content, within=None):
    """A file of which up to four bytes are others, and which may end too soon.

    `within`: only so many at its start are changed.
    """
    changed = bytearray(content)
    last = min(within or len(changed), len(changed)) - 1
    for _ in range(draw(st.integers(1, 4))):
        changed[draw(st.integers(0, last))] = draw(st.integers(0, 255))
    is_cut = draw(st.integers(0, 9)) == 0
    return bytes(changed[: draw(st.integers(0, last))] if is_cut else changed)


def mend_png(data):
    """Write the checksums that chunks need, so that what they hold is read."""
    parts, start = [data[:8]], 8
    while start + 12 <= len(data):
        end = min(start + 8 + int.from_bytes(data[start : start + 4]), len(data) - 4)
        checksum = zlib.crc32(data[start + 4 : end])
        parts.append(data[start:end] + checksum.to_bytes(4))
        start = end + 4
    return b"".join(parts)
