"""A person's project: opened beside its images, its states, its rounds."""

import json
from pathlib import Path

import numpy as np
import pytest

from ulens.annotated.project import Annotation, Box, boxes_file, write_boxes, write_labels
from ulens.bundle import START
from ulens.errors import DataError, OutputError, SettingError
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


def test_a_draft_is_no_label(tmp_path: Path) -> None:
    project = Project.open(make_images(tmp_path, "a"))
    draft = np.zeros(SHAPE, np.int32)
    draft[3, 4] = 70_000
    project.write_draft("a", draft)
    assert project.describe("a") == "unlabelled, guessed"
    found = project.read_draft("a", SHAPE)
    np.testing.assert_array_equal(found, draft)
    assert project.read_draft("a", (5, 5)) is None


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
