"""Sizes of pixels, and steps between slices and frames, as TIFF files tell them and are told."""

import math
from typing import Any

import tifffile

from ulens.image import Steps
from ulens.io.made_by import MadeBy

_UM_PER_UNIT = {
    **dict.fromkeys(("µm", "μm", "\\u00b5m", "um", "micron", "microns", "micrometer"), 1.0),
    **dict.fromkeys(("Å", "angstrom"), 1e-4),
    **dict.fromkeys(("in", "inch", "inches"), 25_400.0),
    "pm": 1e-6,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
}
# as OME-Zarr writes them
_LONG_UNITS = {
    "picometer": 1e-6, "nanometer": 1e-3, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6,
}  # fmt: skip
# Writers without a pixel size store a printing resolution (72…1200 dots per inch).
_PRINTING_UM = 20.0
_SECONDS_PER_UNIT = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond"), 1e-3),
    **dict.fromkeys(("µs", "μs", "us", "microsecond"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond"), 1e-9),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day"), 86_400.0),
}


def read_sizes(tif: tifffile.TiffFile, number: int = 0) -> tuple[tuple[float, float] | None, Steps]:
    """Return the (y, x) pixel size in µm, or None, and the steps, as far as the file tells.

    Parameters
    ----------
    number : of the series in the file
    """
    if tif.is_ome:
        return _ome_sizes(_ome_pixels(tif, number))
    if tif.is_lsm:
        return _lsm_sizes(tif.lsm_metadata or {})
    tags = tif.pages.first.tags
    if tif.is_imagej:
        return _imagej_sizes(tags, tif.imagej_metadata or {})
    unit_tag = tags.get("ResolutionUnit")
    um_per_unit = {2: 25_400.0, 3: 1e4}.get(int(unit_tag.value)) if unit_tag else None
    spacing_um = _per_resolution(tags, um_per_unit)
    return spacing_um if spacing_um and max(spacing_um) < _PRINTING_UM else None, Steps()


def read_channel_names(tif: tifffile.TiffFile, number: int = 0) -> tuple[str, ...]:
    """Return the names of the channels of a series; nothing where the file does not tell them."""
    if tif.is_lsm:
        colors = (tif.lsm_metadata or {}).get("ChannelColors", {})
        return tuple(map(str, colors.get("ColorNames", ())))
    if not tif.is_ome:
        return ()
    found = _ome_pixels(tif, number).get("Channel", ())
    channels = found if isinstance(found, list | tuple) else [found]
    names = tuple(str((each or {}).get("Name", "")) for each in channels)
    return names if any(names) else ()


def size_tags(
    axes: str,
    spacing_um: tuple[float, float] | None,
    steps: Steps,
    description: str = "",
    made_by: MadeBy | None = None,
) -> dict[str, Any]:
    """Return what tifffile needs to write the axes, sizes, a description and what made it."""
    metadata: dict[str, Any] = {"axes": axes}
    if description:
        metadata["Description"] = description
    if made_by is not None:
        metadata["MapAnnotation"] = made_by.entries()
    if steps.z_um is not None:
        metadata |= {"PhysicalSizeZ": float(steps.z_um), "PhysicalSizeZUnit": "µm"}
    if steps.t_seconds is not None:
        metadata |= {"TimeIncrement": float(steps.t_seconds), "TimeIncrementUnit": "s"}
    if spacing_um is None:
        return {"metadata": metadata}
    size_y, size_x = (float(size) for size in spacing_um)
    metadata |= {"PhysicalSizeX": size_x, "PhysicalSizeXUnit": "µm"}
    metadata |= {"PhysicalSizeY": size_y, "PhysicalSizeYUnit": "µm"}
    per_cm = (1e4 / size_x, 1e4 / size_y)
    if max(per_cm) >= 2**32:  # more than the tags hold
        return {"metadata": metadata}
    return {"metadata": metadata, "resolution": per_cm, "resolutionunit": "CENTIMETER"}


def in_um(size: float, unit: str | None) -> float:
    """Return a length in µm; NaN where the unit is not known.

    Examples
    --------
    >>> in_um(2, "nm"), in_um(2, "micrometer"), in_um(2, None)
    (0.002, 2.0, nan)
    """
    return size * _UM_PER_UNIT.get(unit or "", _LONG_UNITS.get(unit or "", math.nan))


def in_seconds(time: float, unit: str | None) -> float:
    """Return a time in seconds; NaN where the unit is not known.

    Examples
    --------
    >>> in_seconds(2, "min"), in_seconds(2, None)
    (120.0, nan)
    """
    return time * _SECONDS_PER_UNIT.get(unit or "", math.nan)


def if_positive(size: float) -> float | None:
    """Return a size, or None where it is no size.

    Examples
    --------
    >>> if_positive(2.0), if_positive(0.0), if_positive(math.nan)
    (2.0, None, None)
    """
    return size if math.isfinite(size) and size > 0 else None


def both(size_y: float, size_x: float) -> tuple[float, float] | None:
    """Return the (y, x) pixel size, or None where either is no size."""
    y, x = if_positive(size_y), if_positive(size_x)
    return None if y is None or x is None else (y, x)


def _ome_pixels(tif: tifffile.TiffFile, number: int) -> dict[str, Any]:
    """Return what OME metadata tell of the pixels of a series."""
    found = tifffile.xml2dict(tif.ome_metadata or "").get("OME", {}).get("Image", {})
    images = found if isinstance(found, list) else [found]
    return images[min(number, len(images) - 1)].get("Pixels", {})


def _ome_sizes(pixels: dict[str, Any]) -> tuple[tuple[float, float] | None, Steps]:
    z, y, x = (
        in_um(
            float(pixels.get(f"PhysicalSize{axis}", math.nan)),
            str(pixels.get(f"PhysicalSize{axis}Unit", "µm")),
        )
        for axis in "ZYX"
    )
    time = float(pixels.get("TimeIncrement", math.nan))
    seconds = in_seconds(time, str(pixels.get("TimeIncrementUnit", "s")))
    return both(y, x), Steps(z_um=if_positive(z), t_seconds=if_positive(seconds))


def _imagej_sizes(tags: Any, metadata: dict[str, Any]) -> tuple[tuple[float, float] | None, Steps]:
    unit = str(metadata.get("unit", "")).strip().lower()
    z_um = in_um(float(metadata.get("spacing", math.nan)), unit)
    interval = float(metadata.get("finterval", math.nan))
    seconds = in_seconds(interval, str(metadata.get("tunit", "s")))
    return (
        _per_resolution(tags, _UM_PER_UNIT.get(unit)),
        Steps(z_um=if_positive(z_um), t_seconds=if_positive(seconds)),
    )


def _lsm_sizes(metadata: dict[str, Any]) -> tuple[tuple[float, float] | None, Steps]:
    z, y, x = (1e6 * float(metadata.get(f"VoxelSize{axis}", math.nan)) for axis in "ZYX")
    seconds = float(metadata.get("TimeIntervall", math.nan))  # so the format spells it
    return both(y, x), Steps(z_um=if_positive(z), t_seconds=if_positive(seconds))


def _per_resolution(tags: Any, um_per_unit: float | None) -> tuple[float, float] | None:
    resolutions = [tags.get(name) for name in ("YResolution", "XResolution")]
    if um_per_unit is None or None in resolutions:
        return None
    pixels, units = zip(*(tag.value for tag in resolutions), strict=True)
    if 0 in pixels:
        return None
    y, x = (um_per_unit * u / p for u, p in zip(units, pixels, strict=True))
    return both(y, x)
