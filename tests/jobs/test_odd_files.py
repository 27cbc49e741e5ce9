"""What jobs make of odd files: axes as the user says, notes, and no end by one bad file."""

import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr

from brightness import events_of, make_bundle, make_image, notes_of
from odd_files import pixels, sparse_tiff, turned, untagged, white_is_zero, with_sizes
from ulens.annotated.samples import read_annotated
from ulens.bundle import save_bundle
from ulens.errors import DataError, FileError, SettingError
from ulens.io.files import list_images, other_files, read_image
from ulens.io.frames import check_frames
from ulens.io.raster import read_raster
from ulens.io.reading import Reading
from ulens.jobs.evaluate import evaluate
from ulens.jobs.planning import TrainSettings
from ulens.jobs.segment import segment
from ulens.jobs.train import Message, run_training


@pytest.fixture
def model(tmp_path):
    save_bundle(make_bundle(), tmp_path / "cells.model")
    return tmp_path / "cells.model"


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def wrongly_tagged(path, data):
    """Planes that OME metadata take for channels."""
    tifffile.imwrite(path, data, ome=True, photometric="minisblack", metadata={"axes": "CYX"})
    return path


@pytest.mark.parametrize("out", ["out", "out.tif", "out.zarr"])
def test_axes_of_small_and_large_segmentations(model, images, tmp_path, out):
    path = wrongly_tagged(images / "a.tif", make_image(3, 48, 64))
    (written,) = segment(model, path, tmp_path / out, axes="ZYX")
    if out == "out.zarr":
        labels = zarr.open_array(written / "0", mode="r")[:]
    else:
        labels = read_image(written).data
        assert read_image(written).axes == "ZYX"
    np.testing.assert_array_equal(labels > 0, make_image(3, 48, 64) > 100)


def test_steps_are_those_of_the_image(model, images, tmp_path):
    path = with_sizes(images / "a.tif", make_image(2, 3, 48, 64), "TZYX", "imagej")
    steps = read_image(path).steps
    assert steps.z_um is not None
    segment(model, path, tmp_path / "out")
    segment(model, path, tmp_path / "large.tif")
    for labels in (tmp_path / "out" / "a.tif", tmp_path / "large.tif"):
        assert read_image(labels).steps == steps


def test_what_was_guessed_or_changed_is_told_once(model, images, tmp_path):
    for name in ("a.tif", "b.tif"):
        white_is_zero(images / name, 255 - make_image(48, 64))
    untagged(images / "c.tif", make_image(2, 48, 64))
    turned(images / "d.png", make_image(48, 64), 3)
    notes = notes_of(events_of(model, images, tmp_path / "out"))
    assert [note for note in notes if "0 is white" in note] == [
        "a.tif: grey values inverted, as viewers do, since the file says that 0 is white"
    ]
    assert any(note.startswith("c.tif: 2 pages without axes, taken as frames") for note in notes)
    assert any(note.startswith("d.png: turned as its orientation tag says (3)") for note in notes)
    large = list(events_of(model, images / "c.tif", tmp_path / "large.tif"))
    assert any(event.note and "without axes, taken as frames" in event.note for event in large)


def test_axes_and_notes_of_annotated_images(images, tmp_path):
    labels = tmp_path / "labels"
    labels.mkdir()
    label = np.zeros((64, 64), np.uint8)
    label[8:20, 8:20], label[30:50, 30:50] = 1, 2
    for name in ("a", "b"):
        untagged(images / f"{name}.tif", pixels(64, 64, 2))
        PIL.Image.fromarray(label).save(labels / f"{name}.png")
    annotated = read_annotated(images, labels, labels_are="instances")
    assert [sample.image.shape for sample in annotated.samples] == [(2, 64, 64)] * 2
    (note,) = annotated.notes
    assert note.startswith("a.tif, b.tif: 64 pages of 64×2 px without axes, taken as 64×64 px")
    settings = TrainSettings(
        images, labels, out=tmp_path / "m", steps=1, plan_only=True, labels_are="instances"
    )
    assert Message(note) in list(run_training(settings))
    asked = read_annotated(images, labels, reading=Reading(axes="YXC"), labels_are="instances")
    assert asked.notes == ()
    with pytest.raises(SettingError, match="name 4 dimensions"):
        read_annotated(images, labels, reading=Reading(axes="TZYX"))


def test_axes_of_planes_and_their_labels(images, tmp_path):
    data, known = pixels(3, 64, 64), {"labels_are": "instances"}
    labels = np.zeros((3, 64, 64), np.uint8)
    for z in range(3):
        labels[z, 8 + z : 20, 8:20], labels[z, 30:50, 30:50] = 1, 2
    wrongly_tagged(images / "a.tif", data)
    wrongly_tagged(tmp_path / "labels.tif", labels)
    annotated = read_annotated(
        images / "a.tif",
        tmp_path / "labels.tif",
        frames="1-2",
        reading=Reading(axes="ZYX"),
        **known,
    )
    assert [sample.name for sample in annotated.samples] == ["a_z001", "a_z002"]
    predicted = wrongly_tagged(images / "labels.tif", labels)
    scored = evaluate(tmp_path / "labels.tif", predicted, frames="0-1", axes="ZYX", **known)
    assert scored.num_images == 2


def test_evaluation_tells_how_files_were_read(images, tmp_path):
    labels = np.zeros((2, 64, 64), np.uint8)
    labels[:, 8:20, 8:20] = 255
    for name in ("truth.tif", "predicted.tif"):
        untagged(tmp_path / name, labels)
    scored = evaluate(tmp_path / "truth.tif", tmp_path / "predicted.tif")
    told = "truth.tif, predicted.tif: 2 pages without axes, taken as frames (TYX)"
    assert any(note.startswith(told) for note in scored.notes)


def test_axes_of_frames(images):
    path = wrongly_tagged(images / "a.tif", pixels(4, 48, 64))
    assert check_frames([path]).num == 1
    assert check_frames([path], Reading(axes="TYX")).num == 4


def test_no_bad_file_ends_a_folder(model, images, tmp_path, monkeypatch):
    PIL.Image.fromarray(make_image(48, 64)).save(images / "good.png")
    sparse_tiff(images / "sparse.tif")
    untagged(images / "nan.tif", np.full((48, 64), np.nan, np.float32))
    untagged(images / "axes.tif", pixels(2, 3, 48, 64))
    (images / "gone.tif").symlink_to(tmp_path / "nowhere.tif")
    (images / "loop.tif").symlink_to(images / "loop.tif")
    PIL.Image.fromarray(make_image(48, 64)).save(images / "huge.png")

    def read(path, *arguments, **options):
        if path.name == "huge.png":
            raise MemoryError
        return read_raster(path, *arguments, **options)

    monkeypatch.setattr("ulens.io.files.read_raster", read)
    with pytest.raises(DataError) as told:
        segment(model, images, tmp_path / "out")
    message = str(told.value)
    assert message.startswith("6 of 7 images could not be segmented, 1 were:")
    for name in ("sparse.tif", "nan.tif", "axes.tif", "gone.tif", "loop.tif", "huge.png"):
        assert sum(name in line for line in message.splitlines()) == 1, name
    assert [path.name for path in (tmp_path / "out").glob("*.tif")] == ["good.tif"]


def test_axes_that_fit_some_files_end_no_folder(model, images, tmp_path, ulens):
    PIL.Image.fromarray(make_image(48, 64)).save(images / "a.png")
    untagged(images / "b.tif", make_image(2, 48, 64))
    status, _, stderr = ulens("segment", model, images, "-o", tmp_path / "out", "--axes", "ZYX")
    assert status == 1
    assert "1 of 2 images could not be segmented, 1 were" in stderr
    assert "a.png has 2 (48×64); give one letter per dimension" in stderr
    assert read_image(tmp_path / "out" / "b.tif").axes == "ZYX"


def test_a_folder_that_cannot_be_listed_is_told(images, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    for list_files in (list_images, other_files):
        with pytest.raises(
            FileError, match=r"images cannot be listed \(Permission denied\); allow"
        ):
            list_files(images)
