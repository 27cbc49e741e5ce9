"""TIFF files: read as microscopes and ImageJ write them, written as OME-TIFF."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import tifffile

from ulens.errors import FileError, OutputError
from ulens.image import Image, Steps
from ulens.io.atomic import write_file
from ulens.io.axes import Axes, find_axes, in_standard_order
from ulens.io.made_by import MadeBy
from ulens.io.need import check_image_memory
from ulens.io.orientation import describe_turn, known_orientation, turn, turn_sides
from ulens.io.reading import BY_FILE, Reading, choose_scene
from ulens.io.sizes import read_channel_names, read_sizes, size_tags
from ulens.io.tiff_parts import (
    check_claim,
    check_companions,
    check_page_chain,
    check_parts,
    damaged_page,
)

_WRITABLE = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")
_NO_BRIGHTNESS = {
    tifffile.PHOTOMETRIC[name]
    for name in ("SEPARATED", "YCBCR", "CIELAB", "ICCLAB", "ITULAB", "LOGL", "LOGLUV", "CFA")
}
_CONVERTED = 6, 7, 33007, 34892  # JPEG, which is decoded to red, green and blue
_SOURCES = {
    "ome": "OME metadata",
    "imagej": "ImageJ metadata",
    "shaped": "metadata by tifffile",
    "lsm": "LSM metadata",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TiffImage:
    """The one image of an open TIFF, all of whose parts are there.

    Parameters
    ----------
    series : its pages, at full resolution
    axes : what they mean
    num_alpha : how many of the last channels are alpha
    orientation : by which stored pixels are turned, see `ulens.io.orientation`
    white : the largest grey value where the file says that 0 is white, else None
    spacing_um : (y, x) size of turned pixels in µm, or None where the file does not say
    steps : between slices and frames
    channel_names : as far as the file tells
    """

    series: tifffile.TiffPageSeries
    axes: Axes
    num_alpha: int
    orientation: int
    white: int | None
    spacing_um: tuple[float, float] | None
    steps: Steps
    channel_names: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was guessed or changed, for the user to know."""
        inverted = (
            ()
            if self.white is None
            else ("grey values inverted, as viewers do, since the file says that 0 is white",)
        )
        return (*self.axes.notes, *inverted, *describe_turn(self.orientation))

    def as_shown(self, stored: np.ndarray) -> np.ndarray:
        """Return stored values as grey values from dark to bright."""
        if self.white is None:
            return stored
        # of signed integers ~ turns the lowest into the highest
        return ~stored if stored.dtype.kind in "bi" else stored.dtype.type(self.white) - stored


@contextmanager
def open_tiff(
    path: Path, reading: Reading = BY_FILE, *, is_label: bool = False
) -> Iterator[TiffImage]:
    """Open a TIFF and find out what it holds; nothing is decoded.

    Parameters
    ----------
    path : 8-, 16- or 32-bit integer or float TIFF, BigTIFF, ImageJ or OME-TIFF
    reading : its axes as the user says, see `find_axes`, and the scene
    is_label : values are numbers, whatever a viewer makes of them

    Raises
    ------
    FileError : pages, tiles or companion files are missing, pages differ in size, or the axes are
        not known
    SettingError : `reading` does not fit
    """
    with tifffile.TiffFile(path) as tif:
        check_companions(tif, path)
        check_page_chain(tif, path)
        series = _choose_series(tif, reading.scene, path)
        number = tif.series.index(series)
        check_parts(series, path)
        check_claim(series, path)
        page = series.keyframe
        source = _SOURCES.get(series.kind)
        if source is None and len(series) > 1:
            source = f"{series.kind} metadata"
        if page.photometric in _NO_BRIGHTNESS and page.compression not in _CONVERTED:
            kind = tifffile.PHOTOMETRIC(page.photometric).name
            raise FileError(
                f"{path} holds colors as {kind} and not as red, green and blue; its numbers do not "
                "say how bright a pixel is: save it as RGB"
            )
        orientation = page.tags.get("Orientation")
        turned_by = known_orientation(orientation.value if orientation else 1)
        is_inverted = (
            page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
            and series.dtype.kind in "bui"
            and not is_label
        )
        spacing_um, steps = read_sizes(tif, number)
        found = find_axes(series.axes, series.shape, path, asked=reading.axes, source=source)
        has_samples = ("S", "C") in zip(series.axes, found.stored, strict=True)
        yield TiffImage(
            series=series,
            axes=found,
            num_alpha=sum(kind in (1, 2) for kind in page.extrasamples) if has_samples else 0,
            orientation=turned_by,
            white=2**page.bitspersample - 1 if is_inverted else None,
            spacing_um=spacing_um and turn_sides(spacing_um, turned_by),
            steps=steps,
            channel_names=read_channel_names(tif, number),
        )


def read_tiff(path: Path, reading: Reading = BY_FILE, *, is_label: bool = False) -> Image:
    """Read a TIFF file with its axes and pixel size.

    Parameters
    ----------
    path, reading, is_label : as `open_tiff`

    Returns
    -------
    pixels in the file's dtype (bits become uint8 0 and 1), turned and from dark to bright as
    viewers show them; color samples are axis C, alpha is dropped, axes of length one except Y and
    X are dropped

    Raises
    ------
    UlensError : as `open_tiff`; FileError also names a page that is damaged

    Notes
    -----
    Palettes are for display (ImageJ stores them with intensities), so the stored values are
    returned. So are those of labels whose file says that 0 is white: ImageJ stores masks so, and
    tifffile all images of bits.
    """
    with open_tiff(path, reading, is_label=is_label) as content:
        series = content.series
        check_image_memory(
            path,
            series.shape,
            series.dtype.itemsize,
            "crop it, or segment it alone, with a name that ends in .zarr or .tif as out, which "
            "reads it piece by piece",
        )
        try:
            data = content.series.asarray()
        except MemoryError:
            raise
        except Exception as error:  # decoders raise errors of many kinds for damaged pages
            number = damaged_page(content.series)
            if number is None:
                raise
            raise FileError(
                f"page {number} of {len(content.series)} of {path} cannot be read "
                f"({str(error) or type(error).__name__}); it is damaged: copy the file again from "
                "its source"
            ) from error
    if content.num_alpha:
        samples = content.axes.stored.index("C")
        data = np.take(data, range(data.shape[samples] - content.num_alpha), axis=samples)
    data, letters = in_standard_order(content.as_shown(data), content.axes.stored)
    if data.dtype == bool:
        data = data.astype(np.uint8)
    return Image(
        data=np.ascontiguousarray(turn(data, content.orientation)),
        axes=letters,
        spacing_um=content.spacing_um,
        source=path,
        steps=content.steps,
        channel_names=content.channel_names,
        axes_from=content.axes.found,
        notes=content.notes,
    )


def write_tiff(
    path: Path, image: Image, description: str = "", made_by: MadeBy | None = None
) -> None:
    """Write a deflate-compressed OME-TIFF that appears complete or not at all.

    Parameters
    ----------
    path : file to write; an existing one is replaced once the new one is on disk
    image : integers up to 32 bits or float32/float64; axes of length one except Y and X are
        not kept, since OME does not tell them from absent ones
    description : for the reader, in the OME metadata
    made_by : what made it, there too, as a map annotation

    Raises
    ------
    OutputError : the file cannot be written (the old one is kept) or OME has no such dtype

    Notes
    -----
    OME rather than ImageJ, which has no 32-bit integers for labels: it opens them as 32-bit floats,
    exact up to 2^24. The resolution tags carry the pixel size too, for programs that do not read
    OME; ImageJ shows it in µm.
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
        **size_tags(image.axes, image.spacing_um, image.steps, description, made_by),
    )
    write_file(path, encoded.getvalue())


def _choose_series(
    tif: tifffile.TiffFile, asked: str | None, path: Path
) -> tifffile.TiffPageSeries:
    """Return an image of a file at full resolution: the only one, or that which is asked for."""
    series = [one for one in tif.series if not one.keyframe.is_reduced] or list(tif.series)
    return series[choose_scene([(one.name, one.shape) for one in series], asked, path)]
