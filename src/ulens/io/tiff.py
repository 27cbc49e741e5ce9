"""TIFF files: read as microscopes and ImageJ write them, written as OME-TIFF."""

import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ulens.errors import FileError, OutputError
from ulens.image import Image
from ulens.io.atomic import write_file

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
_WRITABLE = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


def read_tiff(path: Path) -> Image:
    """Read a TIFF file with its axes and pixel size.

    Parameters
    ----------
    path : 8-, 16- or 32-bit integer or float TIFF, BigTIFF, ImageJ or OME-TIFF

    Returns
    -------
    pixels in the file's dtype (bits become uint8 0 and 1); color samples are axis C, alpha
    is dropped, axes of length one except Y and X are dropped, pages without meaning are
    axis T

    Raises
    ------
    FileError : pages are missing, differ in size or have axes other than TCZYX

    Notes
    -----
    Palettes and inverting look-up tables are for display (ImageJ stores them with intensities
    and masks), so the stored values are returned.
    """
    with tifffile.TiffFile(path) as tif:
        check_page_chain(tif, path)
        series = only_series(tif, path)
        data, axes = series.asarray(), series.axes
        num_alpha = sum(kind in (1, 2) for kind in tif.pages.first.extrasamples)
        spacing_um = read_spacing_um(tif)
    if num_alpha and "S" in axes:
        samples = axes.index("S")
        data = np.take(data, range(data.shape[samples] - num_alpha), axis=samples)
    data, axes = _in_standard_order(data, axes, path)
    if data.dtype == bool:
        data = data.astype(np.uint8)
    return Image(data=data, axes=axes, spacing_um=spacing_um, source=path)


def write_tiff(path: Path, image: Image, description: str = "") -> None:
    """Write a deflate-compressed OME-TIFF that appears complete or not at all.

    Parameters
    ----------
    path : file to write; an existing one is replaced once the new one is on disk
    image : integers up to 32 bits or float32/float64; axes of length one except Y and X are
        not kept, since OME does not tell them from absent ones
    description : for the reader, in the OME metadata

    Raises
    ------
    OutputError : the file cannot be written (the old one is kept) or OME has no such dtype

    Notes
    -----
    OME rather than ImageJ, which has no 32-bit integers for labels. The resolution tags carry
    the pixel size too, for programs that do not read OME.
    """
    path = Path(path)
    if image.data.dtype.name not in _WRITABLE:
        raise OutputError(
            f"{path} cannot hold {image.data.dtype} pixels; OME-TIFF takes {', '.join(_WRITABLE)}; "
            "convert with .astype()"
        )
    encoded = BytesIO()
    tifffile.imwrite(
        encoded,
        image.data,
        ome=True,
        photometric="minisblack",
        compression="zlib",
        **size_tags(image.axes, image.spacing_um, description),
    )
    write_file(path, encoded.getvalue())


def size_tags(
    axes: str, spacing_um: tuple[float, float] | None, description: str = ""
) -> dict[str, Any]:
    """Return what tells tifffile the axes, the pixel size and a description."""
    metadata: dict[str, Any] = {"axes": axes}
    if description:
        metadata["Description"] = description
    if spacing_um is None:
        return {"metadata": metadata}
    size_y, size_x = (float(size) for size in spacing_um)
    metadata |= {"PhysicalSizeX": size_x, "PhysicalSizeXUnit": "µm"}
    metadata |= {"PhysicalSizeY": size_y, "PhysicalSizeYUnit": "µm"}
    per_cm = (1e4 / size_x, 1e4 / size_y)
    if max(per_cm) >= 2**32:  # more than the tags hold
        return {"metadata": metadata}
    return {"metadata": metadata, "resolution": per_cm, "resolutionunit": "CENTIMETER"}


def check_page_chain(tif: tifffile.TiffFile, path: Path) -> None:
    """Raise FileError when the list of pages breaks off.

    tifffile only logs that and returns the pages before the break.
    """
    tif.filehandle.seek(tif.pages.next_page_offset or 0)
    pointer = tif.filehandle.read(tif.tiff.offsetsize)
    if len(pointer) < tif.tiff.offsetsize or any(pointer):
        raise FileError(
            f"{path} is truncated after {len(tif.pages)} pages; copy it again from its source"
        )


def only_series(tif: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    """Return the image of a file at full resolution, or raise FileError where it holds several."""
    series = [one for one in tif.series if not one.keyframe.is_reduced] or list(tif.series)
    if len(series) > 1:
        shapes = ", ".join("×".join(map(str, one.shape)) for one in series[:4])
        raise FileError(
            f"{path} holds {len(series)} separate images (sizes {shapes}); need one image or one "
            "stack of equal pages; save each as its own file"
        )
    return series[0]


def _in_standard_order(data: np.ndarray, axes: str, path: Path) -> tuple[np.ndarray, str]:
    """Return the pixels and letters of TCZYX in that order."""
    singles = tuple(
        i for i, (letter, size) in enumerate(zip(axes, data.shape, strict=True))
        if size == 1 and letter not in "YX"
    )  # fmt: skip
    data = data.squeeze(singles)
    letters = "".join(letter for i, letter in enumerate(axes) if i not in singles)
    # S = color samples; I and Q = pages whose meaning the file does not tell
    named = letters.replace("S", "C").replace("I", "T").replace("Q", "T")
    if len(set(named)) < len(named) or not set("YX") <= set(named) <= set("TCZYX"):
        raise FileError(
            f"{path} has axes {letters} of sizes {data.shape}; need Y and X and at most one each "
            "of T, C and Z; save it as an ImageJ hyperstack or OME-TIFF"
        )
    order = sorted(range(len(named)), key=lambda i: "TCZYX".index(named[i]))
    data = np.ascontiguousarray(data.transpose(order))
    return data, "".join(named[i] for i in order)


def read_spacing_um(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    """Return the (y, x) pixel size in µm, or None where the file does not tell."""
    if tif.is_ome:
        return _ome_spacing_um(tif.ome_metadata or "")
    tags = tif.pages.first.tags
    if tif.is_imagej:
        unit = str((tif.imagej_metadata or {}).get("unit", "")).strip()
        return _per_resolution(tags, _UM_PER_UNIT.get(unit.lower()))
    unit_tag = tags.get("ResolutionUnit")
    um_per_unit = {2: 25_400.0, 3: 1e4}.get(int(unit_tag.value)) if unit_tag else None
    spacing_um = _per_resolution(tags, um_per_unit)
    return spacing_um if spacing_um and max(spacing_um) < _PRINTING_UM else None


def in_um(size: float, unit: str | None) -> float:
    """Return a length in µm; NaN where the unit is not known.

    Examples
    --------
    >>> in_um(2, "nm"), in_um(2, "micrometer"), in_um(2, None)
    (0.002, 2.0, nan)
    """
    return size * _UM_PER_UNIT.get(unit or "", _LONG_UNITS.get(unit or "", math.nan))


def _ome_spacing_um(xml: str) -> tuple[float, float] | None:
    images = tifffile.xml2dict(xml).get("OME", {}).get("Image", {})
    pixels = (images[0] if isinstance(images, list) else images).get("Pixels", {})
    sizes = []
    for axis in "YX":
        unit = str(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        sizes.append(in_um(float(pixels.get(f"PhysicalSize{axis}", math.nan)), unit))
    return _if_positive(sizes[0], sizes[1])


def _per_resolution(tags: Any, um_per_unit: float | None) -> tuple[float, float] | None:
    resolutions = [tags.get(name) for name in ("YResolution", "XResolution")]
    if um_per_unit is None or None in resolutions:
        return None
    pixels, units = zip(*(tag.value for tag in resolutions), strict=True)
    if 0 in pixels:
        return None
    return _if_positive(*(um_per_unit * u / p for u, p in zip(units, pixels, strict=True)))


def _if_positive(size_y: float, size_x: float) -> tuple[float, float] | None:
    known = all(math.isfinite(size) and size > 0 for size in (size_y, size_x))
    return (size_y, size_x) if known else None
