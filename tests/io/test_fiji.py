"""Selections of ImageJ and outlines for it, as ImageJ itself fills them.

`fiji/RoiSet.zip` and what ImageJ 1.53t filled (`fiji/filled.npz`) were made by `fiji/Make.java`.
Where Java is installed and ULENS_IMAGEJ is the path of an ij.jar (on Debian, of the package imagej,
/usr/share/java/ij.jar), ImageJ reads what ulens writes.
"""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ulens.errors import LabelError
from ulens.image import Image
from ulens.io.made_by import MadeBy
from ulens.io.rois import read_rois, write_rois
from ulens.io.segmentations import Targets, write_labels

HERE = Path(__file__).parent / "fiji"
FILLED = dict(np.load(HERE / "filled.npz"))
REFUSED = "spline"
IMAGEJ = Path(os.environ.get("ULENS_IMAGEJ", "/usr/share/java/ij.jar"))
IN_JAVA = ["java", "-Djava.awt.headless=true", "-cp", IMAGEJ]
needs_imagej = pytest.mark.skipif(
    not IMAGEJ.is_file() or shutil.which("java") is None, reason="needs Java and ImageJ's ij.jar"
)


def pick(folder, *names):
    """Save some of the selections as the ROI Manager does."""
    with zipfile.ZipFile(HERE / "RoiSet.zip") as every, zipfile.ZipFile(folder, "w") as some:
        for name in names:
            some.writestr(f"{name}.roi", every.read(f"{name}.roi"))
    return folder


@pytest.mark.parametrize("name", sorted(FILLED.keys() - {REFUSED}))
def test_a_selection_is_filled_as_imagej_fills_it(tmp_path, name):
    labels = read_rois(pick(tmp_path / "a.zip", name), (48, 64))
    np.testing.assert_array_equal(labels, FILLED[name])


def test_a_spline_says_what_to_do(tmp_path):
    with pytest.raises(LabelError, match=r"'spline' is a spline.*Interpolate"):
        read_rois(pick(tmp_path / "a.zip", REFUSED), (48, 64))


def test_positions_are_frames_and_slices(tmp_path):
    labels = read_rois(pick(tmp_path / "a.zip", "placed"), (2, 3, 48, 64), axes="TZYX")
    np.testing.assert_array_equal(labels[1, 2], FILLED["placed"])
    assert labels.sum() == FILLED["placed"].sum()
    for axes in ("ZYX", "TYX"):
        labels = read_rois(pick(tmp_path / "b.zip", "slice"), (5, 48, 64), axes=axes)
        np.testing.assert_array_equal(labels[3], FILLED["slice"])


@needs_imagej
def test_imagej_fills_what_ulens_writes(tmp_path):
    random = np.random.default_rng(0)
    labels = np.kron(random.integers(0, 9, (12, 14)), np.ones((3, 4), int)).astype(np.int32)
    labels[random.random(labels.shape) < 0.1] = 0  # holes, and corners that touch
    labels[labels == 8] = 70_001
    write_rois(tmp_path / "a.zip", labels)
    image = Image(data=labels, axes="YX", spacing_um=(0.5, 0.25))
    made_by = MadeBy(version="1", model="a", weights="0f")
    write_labels(Targets(labels=tmp_path / "labels.tif"), image, labels, made_by=made_by)
    height, width = map(str, labels.shape)
    files = [tmp_path / name for name in ("a.zip", "filled.tif", "labels.tif")]
    told = subprocess.run(
        [*IN_JAVA, HERE / "Fill.java", files[0], width, height, *files[1:]],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    np.testing.assert_array_equal(tifffile.imread(files[1]), labels)
    assert told[0] == "32 70001.0"
    assert told[1] in ("0.25 0.5 µm", "0.25 0.5 ?m", "0.25 0.5 um")  # by the terminal's letters
