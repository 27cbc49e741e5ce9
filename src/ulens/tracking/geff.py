"""Tracks as a graph in the Graph Exchange File Format: https://liveimagetrackingtools.org/geff.

A node for every object in every frame, an edge to what it is in the next frame, to its daughters,
or to itself after a gap. The package geff does the writing; it is optional, since it brings zarr.
"""

import importlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import skimage as ski

from ulens.errors import OutputError, SettingError
from ulens.tracking.lineage import Lineage, Link, join_gaps


def check_package() -> None:
    """Raise SettingError where the package geff is missing."""
    _import("geff")


def is_geff(path: Path) -> bool:
    """Return whether a folder holds a graph."""
    attributes = [path / name for name in (".zattrs", "zarr.json")]
    return any(each.is_file() and '"geff"' in each.read_text("utf-8") for each in attributes)


def write_geff(
    path: Path,
    masks: Iterable[tuple[int, np.ndarray]],
    lineage: Lineage,
    *,
    spacing_um: tuple[float, float] | None = None,
) -> None:
    """Write the graph of all objects, a zarr folder; an old one is replaced.

    Parameters
    ----------
    path : folder, by custom with the suffix .geff
    masks : frame and its (Y, X) integer labels, in order, which agree with the tracks
    lineage : the tracks
    spacing_um : (y, x) pixel size in µm, or None where it is unknown

    Raises
    ------
    SettingError : the package geff is missing
    OutputError : what the system says

    Notes
    -----
    Nodes have the frame t, the centroid y and x (px), the area (px) and the label, the number of
    the track. A tracklet goes on over gaps, where the challenge begins a new track, up to a
    division; a lineage is all that descends from one object.
    """
    nodes = _measure(masks)
    place = {node: i for i, node in enumerate(zip(nodes["t"], nodes["label"], strict=True))}
    edges = [(place[link.source], place[link.target]) for link in _all_links(lineage)]
    for name, of_track in (("tracklet", join_gaps(lineage)), ("lineage", _ancestors(lineage))):
        nodes[name] = [of_track[label] for label in nodes["label"]]
    try:
        _import("geff.core_io").write_arrays(
            path,
            node_ids=np.arange(len(place), dtype=np.uint64),
            node_props={
                name: {
                    "values": np.array(values, float if name in "yx" else np.int64),
                    "missing": None,
                }
                for name, values in nodes.items()
            },
            edge_ids=np.array(edges, np.uint64).reshape(-1, 2),
            edge_props={},
            metadata=_describe(spacing_um),
            overwrite=True,
        )
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error}); choose another folder") from error


def _measure(masks: Iterable[tuple[int, np.ndarray]]) -> dict[str, list[Any]]:
    """Return frame, centroid, area and label of all objects, in the order of the frames."""
    nodes: dict[str, list[Any]] = {name: [] for name in ("t", "y", "x", "area", "label")}
    for frame, mask in masks:
        found = ski.measure.regionprops_table(mask, properties=("centroid", "area", "label"))
        nodes["t"] += [frame] * len(found["label"])
        for name, column in zip(("y", "x", "area", "label"), found.values(), strict=True):
            nodes[name] += column.tolist()
    return nodes


def _all_links(lineage: Lineage) -> list[Link]:
    within = [
        Link((frame, track.label), (frame + 1, track.label))
        for track in lineage.tracks
        for frame in range(track.start, track.end)
    ]
    return within + lineage.parent_links()


def _ancestors(lineage: Lineage) -> dict[int, int]:
    """Return the first ancestor of every track."""
    first: dict[int, int] = {}
    for track in sorted(lineage.tracks, key=lambda track: track.start):  # parents come first
        first[track.label] = first[track.parent] if track.parent else track.label
    return first


def _describe(spacing_um: tuple[float, float] | None) -> Any:
    spec = _import("geff_spec")
    scales: list[dict[str, Any]] = [{}, {}]
    if spacing_um is not None:
        scales = [{"scale": size, "scaled_unit": "micrometer"} for size in spacing_um]
    space = [
        spec.Axis(name=name, type="space", unit="pixel", **scale)
        for name, scale in zip("yx", scales, strict=True)
    ]
    return spec.GeffMetadata(
        directed=True,
        axes=[spec.Axis(name="t", type="time", unit="frame"), *space],
        node_props_metadata={},
        edge_props_metadata={},
        track_node_props={"tracklet": "tracklet", "lineage": "lineage"},
    )


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SettingError(
            f"graphs of tracks need the package geff ({error}); install it with "
            "pip install geff, or leave geff (--geff) out"
        ) from error
