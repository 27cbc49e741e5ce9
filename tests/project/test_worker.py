"""The worker of a seat: orders in, events out."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from painted import SIZE, draw_discs, make_project, paint
from ulens.annotated.project import labels_file, write_labels
from ulens.image import Image
from ulens.io.tiff import write_tiff
from ulens.metrics.instance import instance_scores
from ulens.project.project import Project
from ulens.project.worker import Worker, how_sure
from ulens.simulate.mixture import simulate_scene


class AtWork:
    """A worker in a thread, and what it told."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.events: list[dict] = []
        self.worker = Worker(project, folder, self.events.append)
        self.thread = threading.Thread(target=self.worker.run)
        self.thread.start()

    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events]

    def wait_for(self, kind: str, num: int = 1, seconds: float = 300) -> dict:
        ends = time.monotonic() + seconds
        while self.kinds().count(kind) < num:
            assert time.monotonic() < ends, self.events
            time.sleep(0.02)
        return [event for event in self.events if event["event"] == kind][num - 1]


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[tuple[Project, AtWork]]:
    project = make_project(tmp_path)
    (tmp_path / "arrays").mkdir()
    working = AtWork(project, tmp_path / "arrays")
    yield project, working
    working.worker.order(None)
    working.thread.join(300)
    assert not working.thread.is_alive()


def test_the_model_that_comes_with_ulens_sees_objects_as_large_as_those_painted(at_work) -> None:
    project, working = at_work
    scene = simulate_scene(3004, diameter_px=100)
    write_tiff(project.images / "large.tif", Image(data=scene.image, axes="YX"))
    project.look_again()
    for path in (project.folder / "labels").glob("*"):
        path.unlink()
    precision = []
    for painted in (0, np.bincount(scene.labels.ravel())[1:].argmax() + 1):
        if painted:
            write_labels(project.folder, "large", np.where(scene.labels == painted, 7, 0))
        working.worker.order({"do": "guess", "name": "large"})
        found = np.load(working.wait_for("guess", len(precision) + 1)["labels"])
        precision.append(instance_scores([scene.labels], [found]).average_precision[0.5])
    assert precision[0] < 0.2
    assert precision[1] > 0.6


def test_it_guesses_drafts_and_tells_what_is_wrong(at_work) -> None:
    project, working = at_work
    working.worker.order({"do": "guess", "name": "c1"})
    guess = working.wait_for("guess")
    labels, sure = np.load(guess["labels"]), np.load(guess["sure"])
    assert labels.shape == sure.shape == (SIZE, SIZE)
    assert labels.max() == guess["num_objects"]
    working.worker.order({"do": "segment", "names": ["c1", "c2"]})
    assert "c1" in working.wait_for("segmented")["names"]
    found = working.wait_for("segmented", 2)
    guess = project.read_guess("c2", (SIZE, SIZE))
    assert found == {
        "event": "segmented", "names": ["c2"], "text": f"{guess.max()} objects", "is_done": True
    }  # fmt: skip
    assert project.read_guess("c0", (SIZE, SIZE)) is None
    working.worker.order({"do": "segment", "names": ["nothing"]})
    assert "no image nothing" in working.wait_for("error")["text"]
    labels_file(project.folder, "c0").unlink()
    working.worker.order({"do": "train", "seconds": 5})
    assert "training needs background and at least one" in working.wait_for("error", 2)["text"]


def test_another_folder_is_segmented_and_becomes_a_part(at_work, tmp_path: Path) -> None:
    project, working = at_work
    more, results = tmp_path / "more", tmp_path / "masks"
    shutil.copytree(project.images, more)
    (more / "x.tif").write_bytes(b"II*\0 half a file")
    order = {"do": "segment_folder", "images": str(more), "results": str(results)}
    working.worker.order(order)
    assert "1 of 4 images could not be segmented" in working.wait_for("error")["text"]
    assert working.events[0] == {"event": "added", "images": str(more)}
    (failed,) = [e for e in working.events if e["event"] == "segmented" and not e["is_done"]]
    assert failed["names"] == ["more_x"]
    assert "x.tif is truncated" in failed["text"]
    assert working.wait_for("progress")["progress"] < 1
    seen_by_others = Project(project.folder)
    assert seen_by_others.read_guess("more_c1", (SIZE, SIZE)).max() > 0
    assert {path.name for path in results.glob("*.tif")} == {"c0.tif", "c1.tif", "c2.tif"}
    # nothing is begun where it may not be written
    working.worker.order(order | {"results": str(more / "masks")})
    assert "choose a folder elsewhere" in working.wait_for("error", 2)["text"]
    # a second time, what is there is kept
    working.worker.order(order)
    working.wait_for("error", 3)
    assert len(project.planes) == 7


def test_segmenting_is_stopped_and_what_is_ordered_next_is_done(tmp_path: Path) -> None:
    events: list[dict] = []
    worker = Worker(make_project(tmp_path), tmp_path, events.append)
    for do in ({"do": "segment", "names": ["c0", "c1"]}, {"do": "stop"}, {"do": "use", "round": 0}):
        worker.order(do)
    worker.order(None)
    worker.run()
    assert "stopped" in events[0]["text"]
    assert [event.get("done") for event in events[1:]] == ["segment", "use"]


def test_a_model_of_one_channel_says_what_to_do_with_more(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    for channel in range(2):
        data = draw_discs(channel)[0]
        write_tiff(tmp_path / "cells" / f"a_ch0{channel}.tif", Image(data=data, axes="YX"))
    events: list[dict] = []
    worker = Worker(Project.open(tmp_path / "cells"), tmp_path, events.append)
    worker.order({"do": "guess", "name": "a_ch00"})
    worker.order(None)
    worker.run()
    assert "a_ch00 has 2 channels" in events[0]["text"]
    assert "train a model of this project first" in events[0]["text"]


def test_while_it_trains_it_shows_the_image_on_screen_and_takes_strokes(at_work) -> None:
    project, working = at_work
    working.worker.order({"do": "show", "name": "c1"})
    working.worker.order({"do": "train", "seconds": 100})
    assert working.wait_for("preview")["name"] == "c1"
    paint(project, 1)
    assert working.wait_for("labels")["names"] == ["c1"]
    working.worker.order({"do": "show", "name": "c2"})
    while working.events[-1].get("name") != "c2":
        working.wait_for("preview", working.kinds().count("preview") + 1)
    working.worker.order({"do": "stop"})
    assert working.wait_for("trained")["round"] == 1
    steps = [event for event in working.events if event["event"] == "step"]
    assert all(0 <= event["progress"] <= 1 for event in steps)
    working.worker.order({"do": "use", "round": 0})
    working.worker.order({"do": "guess", "name": "c2"})
    assert working.wait_for("guess")


def test_a_stop_that_comes_before_the_training_stops_it(at_work) -> None:
    _, working = at_work
    working.worker.order({"do": "train", "seconds": 100})
    working.worker.order({"do": "stop"})
    working.wait_for("idle", seconds=300)


def test_its_process_ends_with_its_input_and_keeps_what_there_is(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "ulens.project.worker", str(project.folder), str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"do": "train", "seconds": 100}) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if json.loads(line)["event"] == "step":
            break
    process.stdin.close()
    told = [json.loads(line)["event"] for line in process.stdout]
    assert process.wait(300) == 0
    assert "trained" in told
    assert len(project.rounds()) == 1


def test_how_sure_a_network_is_of_objects() -> None:
    maps = np.array([[[0.75]], [[0.2]], [[0.05]]], np.float32)
    assert how_sure(maps, "instances").tolist() == [[51]]
    assert how_sure(maps, "classes").tolist() == [[64]]
    assert how_sure(maps[:1], "instances").tolist() == [[191]]
