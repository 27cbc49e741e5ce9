"""Trainings that are killed before or while they begin, and folders that are in use."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest
import torch

from tiny_training import settings_for, tiny_plan, weights_of, write_folder
from ulens.bundle import load_bundle
from ulens.errors import OutputError, TrainingError
from ulens.io.lock import LOCK, hold
from ulens.jobs.train import run_training
from ulens.training.model_folder import PLAN, STATE, remove_training

STALE = {"host": socket.gethostname(), "process": 1 << 21}


def leave_lock(folder):
    """What a kill leaves in every folder that is in use."""
    folder.mkdir(exist_ok=True)
    record = STALE | {"started": "", "since": "2026-11-29 12:00:00+00:00"}
    (folder / LOCK).write_text(json.dumps(record))


class Killed(BaseException):
    """In place of a kill: nothing catches it."""


def kill_at(patch, number):
    """Kill at the rename of that number; returns the names of what will have been renamed."""
    names, rename = [], Path.replace

    def counted(path, target):
        if len(names) == number:
            raise Killed
        names.append(Path(target).name)
        return rename(path, target)

    patch.setattr(Path, "replace", counted)
    return names


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder with data, two plans that differ by their seed, and the model of each."""
    folder = write_folder(tmp_path_factory.mktemp("begun"), number=3, steps=1)
    for seed in (0, 1):
        plan = folder / f"plan {seed}.json"
        plan.write_bytes(tiny_plan(steps=1, seed=seed).to_bytes())
        list(run_training(settings_for(folder, plan=plan, out=folder / f"model {seed}")))
    assert not torch.equal(*(weights_of(folder / f"model {seed}") for seed in (0, 1)))
    return folder


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("number", range(7))
def test_killed_at_any_rename_of_its_begin_one_of_two_trainings_is_there(
    begun, tmp_path, monkeypatch, number, is_new
):
    out, plan = tmp_path / "model", begun / "plan 1.json"
    if not is_new:
        shutil.copytree(begun / "model 0", out)
    settings = {"out": out, "plan": plan}
    with monkeypatch.context() as patch:
        names = kill_at(patch, number)
        with pytest.raises(Killed):
            list(run_training(settings_for(begun, **settings, overwrite=not is_new)))
    assert len(names) == number
    leave_lock(out)
    if not is_new:
        load_bundle(out)  # usable at every moment
    if is_new and number == 0:
        with pytest.raises(TrainingError, match=r"no training to resume in .*; leave out --resume"):
            list(run_training(settings_for(begun, out=out, plan=None, resume=True)))
        list(run_training(settings_for(begun, **settings)))
    else:
        first, *_ = run_training(settings_for(begun, out=out, plan=None, resume=True))
        assert first.text.startswith(f"took over {out} from process {STALE['process']}")
    expected = begun / f"model {int(is_new or number > 0)}"
    assert torch.equal(weights_of(out), weights_of(expected))
    assert json.loads((out / PLAN).read_bytes()) == json.loads((expected / PLAN).read_bytes())
    assert not (out / LOCK).exists()


@pytest.mark.parametrize("left", ["lock", "plan", "plan and log", "state cut off"])
def test_what_a_kill_leaves_is_taken_with_overwrite_at_the_latest(begun, tmp_path, left):
    out, own = tmp_path / "model", tmp_path / "model" / PLAN
    leave_lock(out)
    if left.startswith("plan"):
        shutil.copy(begun / "plan 1.json", own)
    if left == "plan and log":
        (out / "log.jsonl").touch()
    if left == "state cut off":
        (out / STATE.parent).mkdir()
        (out / f"{STATE}.new").write_bytes(b"x")
        (out / f"{PLAN}.new").write_bytes(b"x")
    settings = {"out": out, "plan": begun / "plan 1.json"}
    if left.startswith("plan"):
        advice = r"holds .*plan\.json; .*with overwrite"
        with pytest.raises(OutputError, match=advice):
            list(run_training(settings_for(begun, **settings)))
        settings |= {"plan": own, "overwrite": True}
    list(run_training(settings_for(begun, **settings)))
    assert torch.equal(weights_of(out), weights_of(begun / "model 1"))


def test_a_plan_alone_is_followed_with_and_without_overwrite(begun, tmp_path):
    for overwrite in (False, True):
        out = tmp_path / f"{overwrite}"
        list(
            run_training(settings_for(begun, plan=None, steps=1, out=out, width=4, plan_only=True))
        )
        list(run_training(settings_for(begun, plan=out / PLAN, out=out, overwrite=overwrite)))
        assert load_bundle(out).net.width == 4


def test_a_plan_of_its_own_is_not_given_to_a_training_that_goes_on(begun, tmp_path):
    out = tmp_path / "model"
    shutil.copytree(begun / "model 0", out)
    settings = settings_for(begun, out=out, plan_only=True, overwrite=True, plan=None, steps=1)
    with pytest.raises(OutputError, match=r"continue it with --resume, or choose another name$"):
        list(run_training(settings))


FOREIGN = {
    "a plan of another program": {"plan.json": '{"name": "trip"}'},
    "a model of another program": {"model.json": '{"layers": []}', "weights.safetensors": ""},
    "a state of another program": {"training/state.safetensors": "x"},
    "deep": {"model.json": "[" * 100_000},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_another_program_made_is_never_replaced(begun, tmp_path, kind):
    out = tmp_path / "out"
    for name, text in FOREIGN[kind].items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    with pytest.raises(OutputError, match="is no ulens model, so it is never replaced"):
        list(run_training(settings_for(begun, out=out, overwrite=True)))
    found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert found == set(FOREIGN[kind])


def test_notes_in_a_model_folder_are_kept(begun, tmp_path):
    out = tmp_path / "model"
    shutil.copytree(begun / "model 0", out)
    (out / "notes.txt").write_text("mine")
    list(run_training(settings_for(begun, out=out, plan=begun / "plan 1.json", overwrite=True)))
    assert (out / "notes.txt").read_text() == "mine"
    assert torch.equal(weights_of(out), weights_of(begun / "model 1"))


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}, {"plan_only": True}])
def test_a_folder_in_use_is_let_alone(begun, tmp_path, how):
    out = tmp_path / "model"
    shutil.copytree(begun / "model 0", out)
    plan = None if how else begun / "plan 1.json"
    with hold(out), pytest.raises(OutputError, match=rf"in use by process {os.getpid()} on"):
        list(run_training(settings_for(begun, out=out, plan=plan, **how)))
    assert torch.equal(weights_of(out), weights_of(begun / "model 0"))


@pytest.mark.skipif(os.name == "nt", reason="Windows moves no folder with open files")
@pytest.mark.parametrize("is_moved", [True, False])
def test_a_folder_that_is_moved_or_removed_during_training_is_told(begun, tmp_path, is_moved):
    out, plan = tmp_path / "model", tmp_path / "plan.json"
    plan.write_bytes(tiny_plan(steps=9).to_bytes())
    run = run_training(settings_for(begun, out=out, plan=plan))
    while not (out / "model.json").is_file():
        next(run)
    out.rename(tmp_path / "moved") if is_moved else shutil.rmtree(out)
    with pytest.raises(OutputError, match=r"no longer there: .* with --resume; or start again"):
        list(run)
    if is_moved:
        settings = settings_for(begun, out=tmp_path / "moved", plan=None, resume=True)
    else:
        settings = settings_for(begun, out=out, plan=plan)
    *_, last = run_training(settings)
    assert last.bundle.provenance["steps"] == 9


def test_a_link_to_a_folder_is_followed(begun, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far", target_is_directory=True)
    list(run_training(settings_for(begun, out=tmp_path / "link")))
    assert (tmp_path / "link").is_symlink()
    load_bundle(tmp_path / "far")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError, match=r"nowhere is a link that leads nowhere; remove it"):
        list(run_training(settings_for(begun, out=tmp_path / "nowhere")))


def test_a_training_is_removed_and_nothing_else(begun, tmp_path):
    out = tmp_path / "model"
    shutil.copytree(begun / "model 0", out)
    with hold(out), pytest.raises(OutputError, match="in use by process"):
        remove_training(out)
    foreign = {"notes.txt", "training/notes.txt", "weights.safetensors.txt"}
    for name in foreign:
        (out / name).write_text("precious")
    leave_lock(out)
    (out / f"{STATE}.new").touch()
    remove_training(out)
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert found == foreign
    for name in foreign:
        (out / name).unlink()
    remove_training(out)
    assert not out.exists()
