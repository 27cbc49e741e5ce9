"""Area, position and intensity of every object, and the table of all."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import skimage as ski

from ulens.errors import ShapeError
from ulens.io.atomic import write_file

Row = dict[str, float | str]

_INTENSITIES = ("mean", "min", "max")


def object_table(
    labels: np.ndarray, image: np.ndarray, spacing_um: tuple[float, float] | None
) -> list[Row]:
    """Measure the objects of one image.

    Parameters
    ----------
    labels : (Y, X) integers, 0 = background
    image : (C, Y, X) of any numeric dtype
    spacing_um : (y, x) pixel size in µm, or None where it is unknown

    Returns
    -------
    one row per label, ascending, with the columns that `columns` names; fields in µm are empty
    where the pixel size is unknown

    Raises
    ------
    ShapeError : labels and image differ in size

    Notes
    -----
    Centroids are means of pixel indices: the center of the first pixel is (0, 0), its corner is
    (-0.5, -0.5); the latter is (0, 0) in ImageJ.

    Examples
    --------
    >>> labels, image = np.array([[0, 3, 3]]), np.array([[[9, 1, 2]]])
    >>> row = object_table(labels, image, (0.5, 0.5))[0]
    >>> row["label"], row["area_um2"], row["centroid_x_px"], row["mean_intensity_c0"]
    (3, 0.5, 1.5, 1.5)
    """
    if labels.shape != image.shape[1:]:
        raise ShapeError(
            f"labels have shape {labels.shape}, the image {image.shape}; need (Y, X) and (C, Y, X) "
            "of one size"
        )
    properties = ("label", "area", "centroid", *(f"intensity_{kind}" for kind in _INTENSITIES))
    found = ski.measure.regionprops_table(
        labels.astype(np.int64), np.moveaxis(image, 0, -1).astype(np.float64), properties=properties
    )
    measured = {name: values.tolist() for name, values in found.items()}
    return [
        _row({name: values[i] for name, values in measured.items()}, len(image), spacing_um)
        for i in range(len(measured["label"]))
    ]


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """The objects of all images, one row each; a plane without any has a row without numbers.

    Parameters
    ----------
    path : the CSV file
    """

    path: Path
    _rows: list[Row] = field(default_factory=list)
    _num_channels: list[int] = field(default_factory=lambda: [1])

    def add(
        self,
        image: str,
        plane: str,
        labels: np.ndarray,
        pixels: np.ndarray,
        spacing_um: tuple[float, float] | None,
        warning: str = "",
    ) -> None:
        """Measure the objects of one plane; where there are none, the table says so.

        Parameters
        ----------
        image, plane : names; that of a single plane is empty
        labels, pixels, spacing_um : as in `object_table`
        warning : what makes this plane doubtful, in the last column of all its rows
        """
        self._num_channels.append(len(pixels))
        names: Row = {"image": image, "plane": plane}
        rows = object_table(labels, pixels, spacing_um)
        if not rows:
            rows, warning = [{}], warning or "no objects found"
        self._rows.extend({**names, **row, "warning": warning} for row in rows)

    def write(self) -> None:
        """Write the table, in UTF-8; images with fewer channels leave fields empty.

        Raises
        ------
        OutputError : the file cannot be written
        """
        text = io.StringIO(newline="")
        names = ["image", "plane", *columns(max(self._num_channels)), "warning"]
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: as_cell(row[name]) for name in row} for row in self._rows)
        write_file(self.path, text.getvalue().encode(errors="backslashreplace"))


def as_cell(value: float | str) -> float | str:
    """Return a value for a table; a text that a spreadsheet would compute is marked as text.

    Examples
    --------
    >>> as_cell("=1+1.tif"), as_cell(-3.5), as_cell("-3.5"), as_cell("a.tif")
    ("'=1+1.tif", -3.5, '-3.5', 'a.tif')
    """
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def columns(num_channels: int) -> list[str]:
    """Return the names of the columns; channels are counted from 0.

    Examples
    --------
    >>> columns(1)[-3:]
    ['mean_intensity_c0', 'min_intensity_c0', 'max_intensity_c0']
    """
    geometry = ["label", "area_px", "area_um2"]
    geometry += [f"centroid_{axis}_{unit}" for unit in ("px", "um") for axis in "yx"]
    return geometry + [
        f"{kind}_intensity_c{channel}" for channel in range(num_channels) for kind in _INTENSITIES
    ]


def _row(
    measured: dict[str, float], num_channels: int, spacing_um: tuple[float, float] | None
) -> Row:
    size_y, size_x = spacing_um or (0.0, 0.0)
    area, y, x = measured["area"], measured["centroid-0"], measured["centroid-1"]
    values: list[float | str] = [measured["label"], int(area), area * size_y * size_x]
    values += [y, x, y * size_y, x * size_x]
    values += [
        measured[f"intensity_{kind}-{channel}"]
        for channel in range(num_channels)
        for kind in _INTENSITIES
    ]
    row = dict(zip(columns(num_channels), values, strict=True))
    if spacing_um is None:
        row |= {name: "" for name in row if name.endswith(("_um", "_um2"))}
    return row
