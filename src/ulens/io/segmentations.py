"""Where segmentations go: the files of each image, the folder of all, the table of objects."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ulens.errors import OutputError
from ulens.image import Image
from ulens.io.atomic import LONGEST_NAME
from ulens.io.files import write_tiff
from ulens.io.made_by import MadeBy
from ulens.io.rois import COCO_ENDING, write_rois
from ulens.io.writable import check_parent, check_writable

RoiFormat = Literal["imagej", "geojson", "coco"]
_ROI_ENDINGS: dict[RoiFormat, str] = {
    "imagej": ".zip",
    "geojson": ".geojson",
    "coco": COCO_ENDING,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """The files that are written for one image; None for those not asked for."""

    labels: Path
    maps: Path | None = None
    rois: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them."""
        return tuple(p for p in (self.labels, self.maps, self.rois) if p is not None)


def plan_targets(
    files: list[Path], out: Path, *, maps: str | None, rois: RoiFormat | None
) -> dict[Path, Targets]:
    """Return what is written for each file.

    Parameters
    ----------
    maps : what the network's maps are called, if they are written too
    rois : format of the outlines, if they are written too

    Raises
    ------
    OutputError : one output would be written for two files, or its name is too long
    """
    planned = {
        file: Targets(
            labels=out / f"{file.stem}.tif",
            maps=out / f"{file.stem}_{maps}.tif" if maps else None,
            rois=out / f"{file.stem}{_ROI_ENDINGS[rois]}" if rois else None,
        )
        for file in files
    }
    owners: dict[str, Path] = {}
    for file, targets in planned.items():
        for target in targets.paths:
            if len(os.fsencode(target.name)) > LONGEST_NAME:
                raise OutputError(
                    f"{file.name} would be written to {target.name}, a name of more than the "
                    f"{LONGEST_NAME} bytes that file systems take; give the image a shorter name"
                )
            # macOS and Windows take A.tif and a.tif for the same file
            owner = owners.setdefault(target.name.casefold(), file)
            if owner != file:
                raise OutputError(
                    f"{owner.name} and {file.name} would both be written to {target.name}; "
                    "rename one of them or segment them into two folders"
                )
    return planned


def check_output_folder(out: Path, files: list[Path], overwrite: bool) -> None:
    """Raise OutputError where writing into a folder could damage what is there."""
    if out.resolve() == files[0].parent.resolve():
        raise OutputError(f"output {out} is the folder of the images; choose another")
    check_writable(
        out,
        "output folder",
        is_folder=True,
        replaces="label images that ulens made",
        overwrite=overwrite,
    )


def check_table(table: Path, out: Path, overwrite: bool) -> None:
    """Raise OutputError where the table of objects cannot or may not be written."""
    if table.suffix.lower() != ".csv":
        raise OutputError(f"table {table} does not end in .csv; give it such a name")
    check_writable(table, "table", overwrite=overwrite)
    if table.parent.resolve() != out.resolve():  # which will be made
        check_parent(table, "table")


def write_labels(
    targets: Targets,
    image: Image,
    labels: np.ndarray,
    warning: str = "",
    made_by: MadeBy | None = None,
) -> None:
    """Write the label image, and its outlines if they are asked for.

    Parameters
    ----------
    image : what was segmented; the label image gets its axes, without C, its pixel size and steps
    labels : integers, those axes
    warning : kept as the file's description
    made_by : kept in the file, too
    """
    axes = image.axes.replace("C", "")
    written = replace(image, data=_for_file(labels), axes=axes)
    write_tiff(targets.labels, written, warning, made_by)
    if targets.rois is not None:
        classes = made_by.classes if made_by is not None else {}
        name = image.source.name if image.source is not None else targets.labels.name
        write_rois(targets.rois, labels, axes=axes, classes=classes, image=name)


def write_maps(path: Path, image: Image, maps: np.ndarray) -> None:
    """Write (…, K, …) float32 maps of the network, these on axis C."""
    axes = "".join(axis for axis in "TCZYX" if axis in {*image.axes, "C"})
    write_tiff(path, replace(image, data=maps, axes=axes))


def _for_file(labels: np.ndarray) -> np.ndarray:
    # ImageJ and others open no signed labels; 32 bits they take where 16 do not do
    if labels.dtype != np.int32:
        return labels
    fits = labels.max(initial=0) <= np.iinfo(np.uint16).max
    return labels.astype(np.uint16 if fits else np.uint32)
