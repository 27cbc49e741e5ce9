"""The loop of a person with images and no labels, in a real napari, by simulated events."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from painted import SIZE, draw_discs, make_project
from ulens.annotated.project import Box, boxes_file, labels_file, read_annotation
from ulens.annotated.samples import read_annotated
from ulens.io.files import read_label_image
from ulens.project.project import Project

SHAPE = SIZE, SIZE


@pytest.fixture
def seat(viewer, tmp_path: Path) -> Iterator[object]:
    """A seat at a project of three images, of which none is annotated."""
    from ulens.napari.seat import Seat

    project = make_project(tmp_path)
    for path in (labels_file(project.folder, "c0"), boxes_file(project.folder, "c0")):
        path.unlink()
    seat = Seat(viewer)
    viewer.window.add_dock_widget(seat, name="ulens", area="right")
    seat.open_project(project.images)
    wait_until(lambda: seat.hand is not None)
    yield seat
    seat.close_project()


def go_to(seat, row: int) -> None:
    """Choose an image of the list, and wait until it is there."""
    seat._list.setCurrentRow(row)
    wait_until(lambda: seat._name == seat._wanted)


def wait_until(is_true: Callable[[], object], seconds: float = 180) -> float:
    from qtpy.QtWidgets import QApplication

    started = time.monotonic()
    while not is_true():
        assert time.monotonic() < started + seconds
        QApplication.instance().processEvents()
        time.sleep(0.005)
    return time.monotonic() - started


def drag(seat, *points: tuple[float, float]) -> None:
    """Press the mouse at the first point of the image, move over the others, release it."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    canvas, camera = seat.viewer.window._qt_viewer.canvas, seat.viewer.camera

    def place(point: tuple[float, float]) -> QPoint:
        y, x = (np.array(point) - camera.center[-2:]) * camera.zoom + np.array(canvas.size) / 2
        return QPoint(round(x), round(y))

    left, native = Qt.MouseButton.LeftButton, canvas.native
    QTest.mouseMove(native, place(points[0]))
    QTest.mousePress(native, left, pos=place(points[0]))
    for point in points[1:]:
        for _ in range(4):  # faster moves are not taken note of, and all wait for the event loop
            time.sleep(0.02)
            QApplication.instance().processEvents()
        move_pressed(native, place(point))
    time.sleep(0.02)
    QApplication.instance().processEvents()
    QTest.mouseRelease(native, left, pos=place(points[-1]))
    QApplication.instance().processEvents()


def move_pressed(native, place) -> None:
    """Move the mouse with its left button down, which QTest cannot."""
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    left = Qt.MouseButton.LeftButton
    at, on_screen = QPointF(place), QPointF(native.mapToGlobal(place))
    none = Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(QEvent.Type.MouseMove, at, on_screen, left, left, none)
    QApplication.instance().sendEvent(native, event)


def press(seat, key: str, at: tuple[float, float] | None = None) -> None:
    """Press a key as in the window, with the cursor at a place of the image."""
    if at is not None:
        seat.viewer.cursor.position = at
    active = seat.viewer.layers.selection.active
    for keys in (active.keymap if active else {}, seat.viewer.keymap):
        for binding, action in keys.items():
            if str(binding) == key.replace("Shift-", "Shift+"):
                action(seat.hand.labels if keys is not seat.viewer.keymap else seat.viewer)
                return
    raise AssertionError(f"nothing is bound to {key}")


def on_disk(seat, name: str = "c0") -> np.ndarray:
    return read_annotation(seat.project.folder, name, SHAPE).labels


def paint_truth(seat, seed: int) -> None:
    seat.hand.change_labels(draw_discs(seed)[1])


def test_what_is_painted_is_on_disk_within_two_seconds(seat) -> None:
    seat.hand.labels.mode, seat.hand.labels.brush_size = "paint", 7
    seat.hand.labels.selected_label = 3
    drag(seat, (20, 20), (20, 30), (20, 40))
    painted = np.array(seat.hand.labels.data)
    assert (painted == 3).sum() > 100
    assert wait_until(labels_file(seat.project.folder, "c0").is_file) < 2
    seat._autosave.flush()
    np.testing.assert_array_equal(on_disk(seat), painted)
    wait_until(lambda: seat._list.item(0).text() == "c0: partly")
    seat.hand.labels.undo()
    wait_until(lambda: not on_disk(seat).any(), 5)


def test_images_are_never_written_to_and_nothing_is_made_by_looking(seat) -> None:
    folder = seat.project.folder
    go_to(seat, 1)
    go_to(seat, 2)
    seat.close_project()
    assert {path.name for path in folder.rglob("*.*")} == {"project.json"}


def test_boxes_are_kept_and_the_whole_image_is_one(seat) -> None:
    seat.draw_box()
    drag(seat, (10, 20), (30, 40), (50, 60))
    wait_until(boxes_file(seat.project.folder, "c0").is_file)
    (box,) = read_annotation(seat.project.folder, "c0", SHAPE).boxes
    assert np.abs(np.subtract(box, (10, 20, 50, 60))).max() <= 1
    press(seat, "W")
    wait_until(lambda: seat._list.item(0).text() == "c0: done")
    go_to(seat, 1)
    go_to(seat, 0)
    assert seat.hand.annotation.boxes[-1] == Box(0, 0, *SHAPE)


def test_objects_are_corrected_by_clicks_and_each_is_one_undo(seat) -> None:
    truth = draw_discs(0)[1]
    paint_truth(seat, 0)
    before = np.array(seat.hand.labels.data)
    buttons = {tool.name: button for tool, button in seat._tools._buttons.items()}
    one, two = (tuple(np.argwhere(truth == n).mean(axis=0)) for n in (1, 2))

    buttons["Merge"].click()
    drag(seat, one)
    drag(seat, two)
    assert (np.array(seat.hand.labels.data)[truth == 2] == 1).all()
    seat.hand.labels.undo()
    np.testing.assert_array_equal(seat.hand.labels.data, before)

    buttons["Split"].click()
    assert not buttons["Merge"].isChecked()
    drag(seat, (one[0], one[1] - 14), one, (one[0], one[1] + 14))
    assert np.unique(np.array(seat.hand.labels.data)[truth == 1]).size == 2
    seat.hand.labels.undo()
    np.testing.assert_array_equal(seat.hand.labels.data, before)

    buttons["Delete"].click()
    drag(seat, one)
    assert not np.array(seat.hand.labels.data)[truth == 1].any()
    seat.hand.labels.undo()
    buttons["Delete"].click()
    # by keys, at the cursor
    press(seat, "D", at=two)
    assert not np.array(seat.hand.labels.data)[truth == 2].any()
    press(seat, "D", at=(0, 0))
    assert "no object to remove here" in seat._told.text()
    press(seat, "O", at=two)
    assert "there is no guess yet" in seat._told.text()


def test_a_guess_is_a_label_only_once_it_is_accepted(seat) -> None:
    press(seat, "Shift-A")
    assert "there is no guess yet" in seat._told.text()
    press(seat, "G")
    wait_until(lambda: seat.hand.sure is not None)
    guess = np.array(seat.hand.guess.data)
    assert guess.max() > 3
    assert not np.array(seat.hand.labels.data).any()
    inside = tuple(int(each) for each in np.argwhere(guess == 2)[0])
    press(seat, "A", at=inside)
    accepted = np.array(seat.hand.labels.data)
    np.testing.assert_array_equal(accepted > 0, guess == 2)
    press(seat, "D", at=inside)
    press(seat, "O", at=inside)
    assert np.array(seat.hand.labels.data)[inside] > 0
    press(seat, "Shift-A")
    assert (np.array(seat.hand.labels.data) > 0).sum() >= (guess > 0).sum()
    wait_until(lambda: on_disk(seat).max() > 3)


def test_training_shows_what_it_learns_takes_strokes_and_can_be_returned_from(seat) -> None:
    paint_truth(seat, 0)
    press(seat, "W")
    seat._training.minutes.setValue(2)
    press(seat, "T")
    wait_until(lambda: seat.hand.sure is not None)
    assert seat._training.train_button.text() == "Stop (T)"
    go_to(seat, 1)
    wait_until(lambda: seat.hand.sure is not None)
    paint_truth(seat, 1)
    press(seat, "W")
    wait_until(lambda: "the new strokes are trained on" in seat._told.text())
    press(seat, "T")
    wait_until(lambda: "round 1: AP@0.5" in seat._training.score.text())
    assert seat._training.rounds.currentText().startswith("round 1")
    wait_until(lambda: seat._training.train_button.text() == "Train (T)")
    picture = seat.viewer.screenshot(canvas_only=False, flash=False)
    assert picture.std() > 10
    # back to the model that comes with ulens
    seat._use_round(0)
    wait_until(lambda: "objects; accept" in seat._told.text())
    # where the model is least certain
    press(seat, "N")
    wait_until(lambda: "least certain here" in seat._told.text())
    num_boxes = len(seat.hand.annotation.boxes)
    press(seat, "Shift-R")
    assert len(seat.hand.annotation.boxes) == num_boxes + 1


def test_all_images_are_segmented_and_wait_for_being_accepted(seat) -> None:
    seat.segment_all()
    wait_until(lambda: "guessed" in seat._list.item(2).text())
    go_to(seat, 2)
    assert seat.hand.sure is not None
    assert Project(seat.project.folder).describe("c2") == "unlabelled, guessed"
    assert not np.array(seat.hand.labels.data).any()


def test_another_folder_is_segmented_corrected_and_trained_on(seat, tmp_path: Path) -> None:
    from ulens.napari.image_list import NAME

    more, results = tmp_path / "more", tmp_path / "masks"
    shutil.copytree(seat.project.images, more)
    (more / "c1.tif").write_bytes(b"II*\0 half a file")
    before = {path: path.read_bytes() for path in more.iterdir()}
    seat.segment_folder(more, results)
    assert seat._training.train_button.text() == "Stop (T)"
    wait_until(lambda: seat._training.train_button.text() == "Train (T)")
    wait_until(lambda: "guessed; " in seat._list.item(5).text())
    assert [seat._list.item(row).data(NAME) for row in (3, 4, 5)] == [
        "more_c0",
        "more_c1",
        "more_c2",
    ]
    assert "unlabelled; failed: " in seat._list.item(4).text()
    # what is found is a guess, which is corrected and becomes labels of the project
    go_to(seat, 5)
    assert seat.hand.guess.visible
    found = np.array(seat.hand.guess.data)
    np.testing.assert_array_equal(found, read_label_image(results / "c2.tif").data)
    press(seat, "Shift-A")
    press(seat, "D", at=tuple(int(each) for each in np.argwhere(found == 2)[0]))
    press(seat, "W")
    wait_until(lambda: seat._list.item(5).text().startswith("more_c2: done"))
    (sample,) = read_annotated(seat.project.folder).samples
    assert sample.name == "more_c2"
    assert sample.label.max() == found.max() - 1
    assert {path: path.read_bytes() for path in more.iterdir()} == before
    # it is there again when the project is opened again
    seat.open_project(seat.project.images)
    assert seat._list.count() == 6


def test_results_among_images_are_refused(seat) -> None:
    seat.segment_folder(seat.project.images, seat.project.images / "masks")
    wait_until(lambda: "is the folder of this project" in seat._told.text())
    assert seat._list.count() == 3


def test_an_image_that_cannot_be_read_is_told(seat) -> None:
    (seat.project.images / "c1.tif").write_bytes(b"II*\0 half a file")
    seat._list.setCurrentRow(1)
    wait_until(lambda: "c1.tif is truncated" in seat._told.text())
    assert seat._name == "c0"
    go_to(seat, 2)
    go_to(seat, 0)


def test_a_stroke_ends_on_the_image_where_it_began(seat, monkeypatch) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication

    monkeypatch.setattr(QApplication, "mouseButtons", lambda: Qt.MouseButton.LeftButton)
    seat._list.setCurrentRow(1)
    ends = time.monotonic() + 1
    wait_until(lambda: time.monotonic() > ends)
    assert seat._name == "c0"
    monkeypatch.undo()
    wait_until(lambda: seat._name == "c1")


def test_a_worker_that_is_killed_is_told_and_started_again(seat) -> None:
    process = seat._worker._process
    wait_until(lambda: process.processId() > 0)
    process.kill()
    wait_until(lambda: "the worker ended" in seat._told.text())
    press(seat, "G")
    wait_until(lambda: seat.hand.sure is not None)


def test_a_second_seat_is_told_who_has_the_project(seat, viewer) -> None:
    from ulens.napari.seat import Seat

    second = Seat(viewer)
    second.open_project(seat.project.images)
    assert "in use by process" in second._told.text()
    assert second.project is None
    # the same seat opens it anew
    seat.open_project(seat.project.images)
    assert seat.project is not None
    folder = seat.project.folder
    seat.close_project()
    second.open_project(folder)
    assert second.project is not None
    second.close_project()


def test_a_folder_without_images_is_told(seat, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    seat.open_project(tmp_path / "empty")
    assert "empty" in seat._told.text()
    assert seat.project is not None


def test_what_comes_after_the_end_is_left(viewer) -> None:
    from qtpy.QtCore import QObject

    from ulens.napari.background import Background

    done: list[int] = []
    background = Background(QObject(viewer.window._qt_window))
    background.do(lambda: 1, done.append)
    wait_until(lambda: done)
    background.close()
    background.do(lambda: 2, done.append)
    assert done == [1]
