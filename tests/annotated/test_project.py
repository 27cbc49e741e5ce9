"""A project's folder: labels and boxes on disk, and what a training reads of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ulens.annotated.project import (
    Annotation,
    Box,
    labels_file,
    read_annotation,
    write_boxes,
    write_labels,
)
from ulens.annotated.project_images import (
    Record,
    is_project,
    list_planes,
    write_record,
)
from ulens.annotated.samples import read_annotated
from ulens.errors import DataError, LabelError, SettingError
from ulens.image import Image
from ulens.io.tiff import write_tiff
from ulens.labels.meaning import IGNORED, LabelsAre

SHAPE = 24, 32
labels = arrays(np.int32, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 5, 70_000]))
sides = st.integers(-5, 40)
boxes = st.lists(st.builds(Box, sides, sides, sides, sides), max_size=3).map(tuple)


def begin(root: Path, *names: str, labels_are: LabelsAre = "instances") -> Path:
    """Make images, and a project beside them."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    for name in names:
        data = rng.integers(0, 255, SHAPE).astype(np.uint8)
        write_tiff(root / "images" / f"{name}.tif", Image(data=data, axes="YX"))
    (root / "project").mkdir()
    write_record(root / "project", Record(images="../images", labels_are=labels_are))
    return root / "project"


@given(labels, boxes)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, painted, drawn) -> None:
    folder = tmp_path_factory.mktemp("project")
    drawn = tuple(box.within(SHAPE) for box in drawn)
    write_labels(folder, "a", painted)
    write_boxes(folder, "a", drawn)
    found = read_annotation(folder, "a", SHAPE)
    np.testing.assert_array_equal(found.labels, painted)
    assert found.boxes == drawn
    # an ordinary TIFF, which any program opens
    np.testing.assert_array_equal(tifffile.imread(labels_file(folder, "a")), painted)


@given(labels, boxes)
def test_outside_of_the_boxes_nothing_is_background(painted, drawn) -> None:
    drawn = tuple(box.within(SHAPE) for box in drawn)
    truth = Annotation(labels=painted, boxes=drawn).truth()
    np.testing.assert_array_equal(truth[painted > 0], painted[painted > 0])
    inside = np.zeros(SHAPE, bool)
    for top, left, bottom, right in drawn:
        inside[top:bottom, left:right] = True
    assert (truth[inside & (painted == 0)] == 0).all()
    assert (truth[~inside & (painted == 0)] == IGNORED).all()


def test_a_training_reads_what_is_annotated_and_no_more(tmp_path: Path) -> None:
    folder = begin(tmp_path, "a", "b", "c")
    painted = np.zeros(SHAPE, int)
    painted[2:6, 2:6], painted[10:14, 10:14] = 3, 9
    write_labels(folder, "b", painted)
    write_boxes(folder, "b", [Box(0, 0, 12, 16)])
    write_labels(folder, "c", np.zeros(SHAPE, int))
    write_boxes(folder, "c", [])
    annotated = read_annotated(folder)
    (sample,) = annotated.samples
    assert sample.name == "b"
    assert annotated.labels_are == "instances"
    assert (sample.label == 1).sum() == (sample.label == 2).sum() == 16
    assert (sample.label == IGNORED).sum() == 24 * 32 - 12 * 16 - 16 + 2 * 4


def test_classes_keep_their_values(tmp_path: Path) -> None:
    folder = begin(tmp_path, "a", labels_are="classes")
    painted = np.zeros(SHAPE, int)
    painted[2:6, 2:6], painted[10:14, 10:14] = 2, 4
    write_labels(folder, "a", painted)
    annotated = read_annotated(folder)
    assert annotated.class_values == (2, 4)
    assert set(np.unique(annotated.samples[0].label)) == {IGNORED, 0, 1}


def test_each_plane_of_a_stack_has_labels_of_its_own(tmp_path: Path) -> None:
    folder = begin(tmp_path, "a")
    stack = Image(data=np.arange(3 * 24 * 32, dtype=np.uint16).reshape(3, *SHAPE), axes="ZYX")
    write_tiff(tmp_path / "images" / "s.tif", stack)
    names = [plane.name for plane in list_planes(folder)]
    assert names == ["a", "s_z000", "s_z001", "s_z002"]
    painted = np.zeros(SHAPE, int)
    painted[3:9, 3:9] = 1
    write_labels(folder, "s_z001", painted)
    write_boxes(folder, "s_z001", [Box(0, 0, *SHAPE)])
    (sample,) = read_annotated(folder).samples
    np.testing.assert_array_equal(sample.image[0], stack.data[1])


def test_nothing_annotated_and_no_background_are_told(tmp_path: Path) -> None:
    folder = begin(tmp_path, "a")
    with pytest.raises(LabelError, match=r"nothing is annotated in .*project; paint some"):
        read_annotated(folder)
    write_labels(folder, "a", np.ones(SHAPE, int))
    with pytest.raises(LabelError, match="annotated as background; mark at least one box"):
        read_annotated(folder)


def test_labels_of_another_size_are_told(tmp_path: Path) -> None:
    folder = begin(tmp_path, "a")
    write_labels(folder, "a", np.ones((5, 5), int))
    with pytest.raises(LabelError, match="another size than its image, 24×32"):
        read_annotated(folder)


def test_two_images_of_one_name_are_told(tmp_path: Path) -> None:
    folder = begin(tmp_path, "a")
    (tmp_path / "images" / "a.png").write_bytes((tmp_path / "images" / "a.tif").read_bytes())
    (tmp_path / "images" / "a.tiff").write_bytes((tmp_path / "images" / "a.tif").read_bytes())
    with pytest.raises(DataError, match=r"would both be named a\.tif; rename"):
        read_annotated(folder)


def test_images_that_are_gone_are_told(tmp_path: Path) -> None:
    folder = begin(tmp_path, "a")
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="which is not there; move them back"):
        read_annotated(folder)


@pytest.mark.parametrize("options", [{"frames": "0"}, {"ignore": 3}, {"labels_are": "classes"}])
def test_a_project_is_not_read_otherwise(tmp_path: Path, options) -> None:
    with pytest.raises(SettingError, match=f"{next(iter(options))} is given, but a project knows"):
        read_annotated(begin(tmp_path, "a"), **options)


@pytest.mark.parametrize(
    "entries",
    [
        {},
        {"boxes": 3},
        {"boxes": [[1, 2, 3]]},
        {"boxes": [[0, 0, 1, 1e400]]},
        {"boxes": [], "x": 0},
    ],
)
def test_damaged_boxes_are_told(tmp_path: Path, entries) -> None:
    folder = begin(tmp_path, "a")
    write_boxes(folder, "a", [])
    (folder / "labels" / "a.json").write_text(json.dumps(entries))
    with pytest.raises(SettingError, match=r"a\.json"):
        read_annotation(folder, "a", SHAPE)


def test_only_a_folder_with_its_record_is_a_project(tmp_path: Path) -> None:
    assert not is_project(tmp_path)
    assert is_project(begin(tmp_path, "a"))


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"images": 3}', '{"images": "a", "labels_are": "cells"}']
)
def test_a_damaged_record_is_told(tmp_path: Path, text: str) -> None:
    folder = begin(tmp_path, "a")
    (folder / "project.json").write_text(text)
    with pytest.raises(SettingError, match=r"project\.json"):
        read_annotated(folder)
