"""Rounds of training, which take in what is annotated meanwhile."""

import threading
from pathlib import Path

import pytest

from painted import make_project, paint
from ulens.annotated.project import labels_file
from ulens.bundle import load_bundle
from ulens.errors import LabelError, TrainingError
from ulens.project.project import Project, Round
from ulens.project.rounds import train_round
from ulens.training.session import Session


def last(events: object) -> Round:
    *_, round = events
    assert isinstance(round, Round)
    return round


def train_until(project: Project, is_done: object, *, go_on: bool = False, painted=None) -> Round:
    """Train until something is true of the session and of the names that joined it."""
    stop, joined = threading.Event(), []

    def between(session: Session, names: list[str]) -> None:
        joined.extend(names)
        if painted is not None and session.trainer.clock.step == 1:
            painted()
        if is_done(session, joined):
            stop.set()

    return last(train_round(project, seconds=100, stop=stop, go_on=go_on, between=between))


def test_strokes_join_a_running_training_which_goes_on_later(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    done = train_until(
        project, lambda session, joined: joined == ["c2"], painted=lambda: paint(project, 2)
    )
    assert (done.number, done.num_images, done.num_objects) == (1, 2, 32)
    assert 0 <= done.scores["AP@0.5"] <= 1
    assert project.rounds() == [done]
    provenance = load_bundle(project.model_of(1)).provenance
    assert provenance["num_images"] == 2
    # the round keeps what it was trained on
    kept = project.model_of(1).parent
    assert labels_file(kept, "c2").read_bytes() == labels_file(project.folder, "c2").read_bytes()

    # painted since: it joins when the training goes on, in its place among the others
    paint(project, 1)
    again = train_until(project, lambda session, joined: joined == ["c1"], go_on=True)
    assert (again.number, again.num_images) == (1, 3)
    assert load_bundle(project.model_of(1)).provenance["steps"] > provenance["steps"]
    once_more = train_until(
        project, lambda session, joined: len(session.samples.annotated.samples) == 3, go_on=True
    )
    assert once_more.number == 1


def test_what_is_damaged_leaves_a_training_as_it_is(tmp_path: Path) -> None:
    project = make_project(tmp_path)

    def damage() -> None:
        labels_file(project.folder, "c0").write_bytes(b"II*\0 half a file")
        paint(project, 1)

    done = train_until(project, lambda session, joined: joined == ["c1"], painted=damage)
    assert done.num_objects == 32


def test_without_annotations_no_round_is_left(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    labels_file(project.folder, "c0").unlink()
    with pytest.raises(LabelError):
        list(train_round(project, seconds=5))
    assert not list((project.folder / "rounds").iterdir())
    with pytest.raises(TrainingError, match="no training to go on with; begin one"):
        list(train_round(project, seconds=5, go_on=True))


def test_a_new_round_begins_beside_the_old_ones(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1)
    rounds = [train_until(project, lambda session, joined: True) for _ in range(2)]
    assert [each.number for each in rounds] == [1, 2]
    assert Project(project.folder).rounds() == rounds
