"""A person's project: opened beside its images, its states, its rounds."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from ulens.annotated.project import (
    Annotation,
    Box,
    boxes_file,
    labels_file,
    write_boxes,
    write_labels,
)
from ulens.annotated.project_images import Record, read_record_of, write_record
from ulens.annotated.samples import read_annotated
from ulens.bundle import START
from ulens.errors import DataError, FileError, OutputError, SettingError
from ulens.image import Image
from ulens.io.tiff import write_tiff
from ulens.project.project import HISTORY, Project, Round, stamp

SHAPE = 20, 30


def make_images(root: Path, *names: str) -> Path:
    images = root / "cells"
    images.mkdir()
    for name in names:
        data = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
        write_tiff(images / f"{name}.tif", Image(data=data, axes="YX"))
    return images


def list_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_it_lies_beside_its_images_and_leaves_them_alone(tmp_path: Path) -> None:
    images = make_images(tmp_path, "a", "b")
    before = {path: path.read_bytes() for path in images.iterdir()}
    project = Project.open(images)
    assert project.folder == tmp_path / "cells-ulens"
    assert [plane.name for plane in project.planes] == ["a", "b"]
    assert {path: path.read_bytes() for path in images.iterdir()} == before
    # by either folder, and after both were moved together
    assert Project.open(project.folder).images == images
    (tmp_path / "elsewhere").mkdir()
    images.rename(tmp_path / "elsewhere" / "cells")
    moved = project.folder.rename(tmp_path / "elsewhere" / "cells-ulens")
    assert Project.open(moved).images == tmp_path / "elsewhere" / "cells"


def test_another_folder_of_its_name_is_let_alone(tmp_path: Path) -> None:
    images = make_images(tmp_path, "a")
    (tmp_path / "cells-ulens").mkdir()
    (tmp_path / "cells-ulens" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds something else; rename that folder"):
        Project.open(images)
    assert list_files(tmp_path / "cells-ulens") == ["thesis.txt"]


def test_without_images_no_project_is_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        Project.open(tmp_path / "empty")
    assert list_files(tmp_path) == ["empty"]


def test_a_file_is_no_folder_of_images(tmp_path: Path) -> None:
    images = make_images(tmp_path, "a")
    with pytest.raises(DataError, match="is a file; a project is of a folder"):
        Project.open(images / "a.tif")
    assert list_files(tmp_path) == ["cells", "cells/a.tif"]


def test_the_state_of_an_image_follows_its_files(tmp_path: Path) -> None:
    project = Project.open(make_images(tmp_path, "a"))
    assert project.state("a") == "unlabelled"
    write_labels(project.folder, "a", np.eye(*SHAPE, dtype=int))
    assert project.state("a") == "partly"
    write_boxes(project.folder, "a", [Box(0, 0, 20, 29)])
    assert project.state("a") == "partly"
    write_boxes(project.folder, "a", [Box(0, 0, 20, 29), Box(0, 10, 20, 30)])
    assert project.state("a") == "done"
    write_labels(project.folder, "a", np.zeros(SHAPE, int))
    write_boxes(project.folder, "a", [])
    assert project.state("a") == "unlabelled"


def test_what_was_just_written_is_known_without_reading_it(tmp_path: Path) -> None:
    project = Project.open(make_images(tmp_path, "a"))
    annotation = Annotation(labels=np.zeros(SHAPE, int), boxes=(Box(0, 0, *SHAPE),))
    write_boxes(project.folder, "a", annotation.boxes)
    project.note("a", annotation)
    (project.images / "a.tif").unlink()
    assert project.state("a") == "done"


def test_a_damaged_file_is_told_in_its_place(tmp_path: Path) -> None:
    project = Project.open(make_images(tmp_path, "a", "b"))
    write_boxes(project.folder, "a", [])
    boxes_file(project.folder, "a").write_text("{")
    assert "a.json is no JSON" in project.describe("a")
    assert project.describe("b") == "unlabelled"


def test_painted_objects_are_measured_without_a_damaged_file(tmp_path: Path) -> None:
    project = Project.open(make_images(tmp_path, "a", "b"))
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:10, 2:10] = 1
    write_labels(project.folder, "a", labels)
    write_labels(project.folder, "b", labels)
    labels_file(project.folder, "b").write_bytes(b"II*\0")
    assert project.object_px() == pytest.approx(math.sqrt(4 * 64 / math.pi))


def write_result(path: Path, labels: np.ndarray, axes: str = "YX") -> None:
    path.parent.mkdir(exist_ok=True)
    write_tiff(path, Image(data=labels.astype(np.uint32), axes=axes))


def test_a_guess_is_no_label(tmp_path: Path) -> None:
    project = Project.open(make_images(tmp_path, "a"))
    assert project.read_guess("a", SHAPE) is None
    guess = np.zeros(SHAPE, np.int32)
    guess[3, 4] = 70_000
    write_result(project.guesses / "a.tif", guess)
    assert project.describe("a") == "unlabelled, guessed"
    np.testing.assert_array_equal(project.read_guess("a", SHAPE), guess)
    assert project.read_guess("a", (5, 5)) is None


def test_planes_of_a_stack_are_images_with_a_guess_each(tmp_path: Path) -> None:
    images = make_images(tmp_path, "a")
    stack = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, *SHAPE)
    write_tiff(images / "s.tif", Image(data=stack, axes="ZYX"))
    project = Project.open(images)
    assert [each.name for each in project.planes] == ["a", "s_z000", "s_z001", "s_z002"]
    np.testing.assert_array_equal(project.read("s_z001")[1][0], stack[1])
    np.testing.assert_array_equal(project.read("s_z002")[1][0], stack[2])
    write_result(project.guesses / "s.tif", stack, "ZYX")
    np.testing.assert_array_equal(project.read_guess("s_z002", SHAPE), stack[2])
    # a file that changed is read again
    write_tiff(images / "s.tif", Image(data=stack + 1, axes="ZYX"))
    np.testing.assert_array_equal(project.read("s_z002")[1][0], stack[2] + 1)
    # of a result with fewer planes nothing is known of the others
    write_result(project.guesses / "s.tif", stack[0])
    assert project.read_guess("s_z002", SHAPE) is None


def test_a_file_that_cannot_be_read_does_not_keep_the_others_away(tmp_path: Path) -> None:
    images = make_images(tmp_path, "a")
    (images / "b.tif").write_bytes(b"II*\0 half a file")
    project = Project.open(images)
    assert [each.name for each in project.planes] == ["a", "b"]
    with pytest.raises(FileError, match=r"b\.tif is truncated"):
        project.read("b")


def test_files_of_channels_are_one_image_in_a_new_project(tmp_path: Path) -> None:
    images = make_images(tmp_path, "a_ch00", "a_ch01", "b_ch00", "b_ch01")
    project = Project.open(images)
    assert [each.name for each in project.planes] == ["a_ch00", "b_ch00"]
    assert project.read("a_ch00")[1].shape == (2, *SHAPE)
    assert project.describe("a_ch00") == "unlabelled, channels in 2 files"
    # those that were annotated one by one stay so
    record = read_record_of(project.folder)
    write_record(project.folder, Record(images=record.images))
    assert len(Project.open(images).planes) == 4


def add_folder(root: Path, *names: str, called: str = "more") -> Path:
    folder = root / called
    make_images(root, *names).rename(folder)
    return folder


def test_a_further_folder_is_a_part_of_the_project(tmp_path: Path) -> None:
    more = add_folder(tmp_path, "a", "b")
    project = Project.open(make_images(tmp_path, "a", "more_x"))
    results = tmp_path / "masks"
    project.add_folder(more, results)
    names = [each.name for each in project.planes]
    assert names == ["a", "more_x", "more-2_a", "more-2_b"]
    write_result(results / "a.tif", np.eye(*SHAPE))
    assert project.describe("more-2_a") == "unlabelled, guessed"
    assert project.describe("a") == "unlabelled"
    assert project.read_guess("more-2_a", SHAPE).sum() == 20
    # other results of the same folder
    project.add_folder(more, tmp_path / "others")
    assert [each.name for each in project.planes] == names
    assert project.describe("more-2_a") == "unlabelled"
    # what is annotated of it is trained on, and a round keeps it
    write_labels(project.folder, "more-2_b", np.eye(*SHAPE, dtype=int))
    write_boxes(project.folder, "more-2_b", [Box(0, 0, *SHAPE)])
    kept = project.keep_labels(project.new_round())
    for folder in (project.folder, kept):
        (sample,) = read_annotated(folder).samples
        assert sample.name == "more-2_b"
    assert list_files(more) == ["a.tif", "b.tif"]


def test_a_further_folder_that_is_gone_matters_where_it_is_annotated(tmp_path: Path) -> None:
    more = add_folder(tmp_path, "b")
    project = Project.open(make_images(tmp_path, "a"))
    project.add_folder(more, tmp_path / "masks")
    more.rename(tmp_path / "elsewhere")
    assert [each.name for each in Project(project.folder).planes] == ["a"]
    write_boxes(project.folder, "more_b", [Box(0, 0, *SHAPE)])
    with pytest.raises(DataError, match="more, which is not there; move them back"):
        Project(project.folder)


def test_results_never_lie_among_images_or_labels(tmp_path: Path) -> None:
    more = add_folder(tmp_path, "b")
    project = Project.open(make_images(tmp_path, "a"))
    for results in (more, more / "masks", project.images, project.folder / "labels"):
        with pytest.raises(OutputError, match="where nothing is written; choose a folder else"):
            project.add_folder(more, results)
    with pytest.raises(DataError, match="is the folder of this project"):
        project.add_folder(project.images, tmp_path / "masks")
    assert read_record_of(project.folder).others == ()


def test_the_history_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    project = Project.open(make_images(tmp_path, "a"))
    project.model_of(1).mkdir(parents=True)
    (project.folder / HISTORY).write_text(line(1))
    assert project.describe("a") == "unlabelled, held out"
    project.rounds = lambda: pytest.fail("read again for each image")
    assert project.describe("a") == "unlabelled, held out"
    del project.rounds
    (project.folder / HISTORY).write_text(line(1, held_out=[]))
    assert project.describe("a") == "unlabelled"


def test_an_unknown_image_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="has no image x; read the folder again"):
        Project.open(make_images(tmp_path, "a")).read("x")


def test_a_round_keeps_its_labels_as_they_were(tmp_path: Path) -> None:
    project = Project.open(make_images(tmp_path, "a"))
    write_labels(project.folder, "a", np.eye(*SHAPE, dtype=int))
    number = project.new_round()
    folder = project.keep_labels(number)
    assert stamp(folder, "a") == stamp(project.folder, "a")
    write_labels(project.folder, "a", np.zeros(SHAPE, int))
    kept = Project(folder)
    assert kept.images == project.images
    assert kept.annotation("a", SHAPE).labels.sum() == 20
    assert project.new_round() == number + 1


def line(number: int, **changes: object) -> str:
    entries = {
        "number": number, "date": "2026-11-29", "seconds": 60.0, "num_images": 2,
        "num_objects": 30, "held_out": ["a"], "scores": {"AP@0.5": 0.8123},
    }  # fmt: skip
    return json.dumps(entries | changes) + "\n"


def test_the_history_tells_of_rounds_that_are_there(tmp_path: Path) -> None:
    project = Project.open(make_images(tmp_path, "a"))
    assert project.best_model() == START
    for number in (1, 2, 4):
        project.model_of(number).mkdir(parents=True)
    text = line(1) + line(2, seconds=float("nan")) + line(3) + line(4, held_out=[]) + '{"numb'
    (project.folder / HISTORY).write_text(text)
    assert [each.number for each in project.rounds()] == [1, 4]
    assert project.best_model() == project.model_of(4)
    assert project.best_model(1) == project.model_of(1)
    assert project.best_model(0) == START
    assert project.rounds()[0].in_words() == "round 1: AP@0.5 0.81, from 2 images with 30 objects"
    # the score of the last round comes from what that one held out
    assert project.describe("a") == "unlabelled"


def test_a_round_without_score_says_so() -> None:
    alone = Round(number=2, date="", seconds=1.0, num_images=1, num_objects=5, scores={})
    assert alone.in_words() == "round 2: no score, from 1 image with 5 objects"
