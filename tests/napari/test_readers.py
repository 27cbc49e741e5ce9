"""What napari opens by ulens, and the manifest that says so."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from ulens.annotated.ctc import write_lineage
from ulens.image import Image
from ulens.io.tiff import write_tiff
from ulens.napari.readers import choose_reader, lay_tracks
from ulens.tracking.lineage import Lineage


def squares() -> np.ndarray:
    masks = np.zeros((3, 30, 40), np.uint16)
    masks[0, 5:15, 5:15] = masks[1, 6:16, 6:16] = 1
    masks[2, 3:9, 3:9], masks[2, 12:19, 12:19] = 2, 3
    return masks


def test_the_manifest_is_valid_for_npe2() -> None:
    manifest = str(files("ulens.napari") / "napari.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", manifest], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_result_of_the_challenge_is_labels_and_tracks(tmp_path: Path) -> None:
    folder = tmp_path / "01_RES"
    folder.mkdir()
    for frame, mask in enumerate(squares()):
        write_tiff(folder / f"mask{frame:03d}.tif", Image(data=mask, axes="YX"))
    assert choose_reader(str(folder)) is None
    write_lineage(folder / "res_track.txt", Lineage([(1, 0, 1, 0), (2, 2, 2, 1), (3, 2, 2, 1)]))
    read = choose_reader(str(folder))
    assert read is not None
    (labels, _, labels_kind), (tracks, options, tracks_kind) = read(str(folder))
    assert (labels_kind, tracks_kind) == ("labels", "tracks")
    np.testing.assert_array_equal(labels, squares())
    assert tracks.tolist() == [
        [1, 0, 9.5, 9.5],
        [1, 1, 10.5, 10.5],
        [2, 2, 5.5, 5.5],
        [3, 2, 15, 15],
    ]
    assert options["graph"] == {2: [1], 3: [1]}


def test_parents_without_pixels_are_left_out() -> None:
    lineage = Lineage([(1, 0, 1, 0), (2, 2, 2, 1), (3, 2, 2, 1)])
    _, parents = lay_tracks(squares()[2:], [2], lineage)
    assert parents == {}


def test_labels_are_read_and_images_are_left_to_napari(tmp_path: Path) -> None:
    write_tiff(tmp_path / "labels.tif", Image(data=squares()[2], axes="YX"))
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    write_tiff(tmp_path / "image.tif", Image(data=noise, axes="YX"))
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    assert choose_reader(str(tmp_path / "image.tif")) is None
    assert choose_reader(str(tmp_path / "broken.tif")) is None
    read = choose_reader(str(tmp_path / "labels.tif"))
    assert read is not None
    ((data, _, kind),) = read(str(tmp_path / "labels.tif"))
    assert kind == "labels"
    assert data.dtype == np.int32


@pytest.mark.parametrize("key", ["cells", "membranes"])
def test_napari_opens_what_the_plugin_offers(viewer, key) -> None:
    viewer.open_sample("ulens", key)
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image", "Labels"]


def test_napari_opens_the_widget_by_the_manifest(viewer) -> None:
    _, widget = viewer.window.add_plugin_dock_widget("ulens", "Annotate, train, correct")
    assert type(widget).__name__ == "Seat"
