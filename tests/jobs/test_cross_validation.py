"""Cross-validation: which model is kept, what is scored, and how it goes on."""

import json
import threading

import numpy as np
import pytest
import torch

from tiny_training import squares, write_folder
from ulens.bundle import MODEL, load_bundle
from ulens.cli.terminal import show_training
from ulens.errors import SettingError, TrainingError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.cross_validation import RECORD
from ulens.jobs.planning import TrainSettings
from ulens.jobs.steps import Message
from ulens.jobs.train import run_training
from ulens.training.trainer import StepLog


def settings_for(folder, out="model", **changes):
    values = {
        "images": folder / "images", "labels": folder / "labels", "out": folder / out,
        "plan": folder / "plan.json", "folds": 3,
    }  # fmt: skip
    return TrainSettings(**{**values, **changes})


def stop_at(settings, number):
    """Train until so many steps are done, of all trainings together; return the last event."""
    stop, steps = threading.Event(), 0
    for event in run_training(settings, stop):
        steps += isinstance(event, StepLog)
        if steps >= number:
            stop.set()
    return event


def weights(bundle):
    return torch.cat([value.flatten() for value in bundle.net.state_dict().values()])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("whole"), steps=20)
    return folder, list(run_training(settings_for(folder)))


def test_each_image_is_scored_once_and_the_model_is_of_all(whole):
    folder, events = whole
    bundle = load_bundle(folder / "model")
    provenance = bundle.provenance
    held_out = [fold["held_out"] for fold in provenance["folds"]]
    assert held_out == [["0", "3", "6"], ["1", "4"], ["2", "5"]]
    assert provenance["held_out"] == []
    assert provenance["scores_rest_on"]["num_images"] == 7
    assert provenance["scores_rest_on"]["num_pixels"] == 7 * 1600
    assert bundle.hardly_trained is None
    assert sum(isinstance(event, StepLog) for event in events) == 4 * 20
    of_folds = [fold["scores"]["Dice"] for fold in provenance["folds"]]
    low, high = provenance["scores_rest_on"]["intervals"]["Dice"]
    assert min(of_folds) <= bundle.scores["Dice"] <= max(of_folds)
    assert low <= bundle.scores["Dice"] <= high
    texts = [event.text for event in events if isinstance(event, Message)]
    assert "cross-validation in 3 folds, which hold out all images one after the other" in texts
    assert any("4 trainings as long" in text for text in texts)


def test_the_kept_model_is_that_of_a_training_on_all_and_folds_never_see_what_they_score(whole):
    folder, _ = whole
    first = load_bundle(folder / "model" / "training" / "folds" / "1")
    assert first.provenance["held_out"] == ["0", "3", "6"]
    state = (folder / "model" / "training" / "folds" / "1" / "training").iterdir()
    assert {path.name for path in state} == {"state.safetensors", "held_out.safetensors"}
    kept = load_bundle(folder / "model")
    assert kept.normalization != first.normalization
    assert not torch.equal(weights(kept), weights(first))


def test_terminal_and_report_tell_of_the_folds(tmp_path, capsys):
    folder = write_folder(tmp_path, steps=15)
    assert show_training(run_training(settings_for(folder)))
    out = capsys.readouterr().out
    assert "fold 2 of 3: held out for the score: 2 of 7 images (1, 4)" in out
    assert "from 7 images" in out[out.index("done") :]
    report = (folder / "model" / "report.html").read_text()
    assert "3 networks, each trained as long as this model" in report
    assert "Fold by fold" in report


@pytest.mark.parametrize("number", [5, 30, 65, 80])
def test_stopped_at_any_time_it_goes_on_to_the_same_model(whole, tmp_path, number):
    uninterrupted = load_bundle(whole[0] / "model")
    folder = write_folder(tmp_path, steps=20)
    stopped = stop_at(settings_for(folder), number)
    assert stopped.stopped
    num_done = max(0, number // 20 - 1)  # a fold that was stopped does not count
    bundle = load_bundle(folder / "model")
    assert len(bundle.provenance["folds"]) == (2 if number == 80 else num_done)
    assert (bundle.scores == {}) == (not bundle.provenance["folds"])
    assert (bundle.hardly_trained is None) == bool(bundle.scores)
    *_, last = run_training(settings_for(folder, plan=None, folds=None, resume=True))
    assert torch.equal(weights(last.bundle), weights(uninterrupted))
    assert last.bundle.scores == uninterrupted.scores
    assert last.bundle.decoding == uninterrupted.decoding


def test_resumed_for_longer_all_folds_are_trained_longer(tmp_path):
    folder = write_folder(tmp_path, steps=10)
    list(run_training(settings_for(folder)))
    events = list(run_training(settings_for(folder, plan=None, resume=True, steps=14)))
    assert sum(isinstance(event, StepLog) for event in events) == 4 * 4
    again = list(run_training(settings_for(folder, plan=None, resume=True)))
    assert not any(isinstance(event, StepLog) for event in again)
    assert again[-1].bundle.scores == events[-1].bundle.scores


def test_another_number_of_folds_or_other_images_are_refused_when_resumed(whole, tmp_path):
    folder, _ = whole
    with pytest.raises(SettingError, match=r"folds is 4, the training in .* begun in 3 folds"):
        list(run_training(settings_for(folder, plan=None, resume=True, folds=4)))
    plain = write_folder(tmp_path, steps=5)
    list(run_training(settings_for(plain, folds=None)))
    with pytest.raises(SettingError, match=r"folds is 2, the training in .* begun without folds"):
        list(run_training(settings_for(plain, plan=None, resume=True, folds=2)))
    list(run_training(settings_for(plain, "folded", folds=2)))
    image, _ = squares(99)
    write_tiff(plain / "images" / "0.tif", Image(data=image, axes="YX"))
    with pytest.raises(TrainingError, match="was on other images"):
        list(run_training(settings_for(plain, "folded", plan=None, folds=2, resume=True)))


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"folds": 3}'])
def test_damaged_folds_are_named(tmp_path, damage):
    folder = write_folder(tmp_path, steps=3)
    list(run_training(settings_for(folder, folds=2)))
    (folder / "model" / RECORD).write_bytes(damage)
    with pytest.raises(TrainingError, match=r"folds\.json is damaged .*; train anew"):
        list(run_training(settings_for(folder, plan=None, folds=None, resume=True)))


def test_a_training_that_replaces_it_forgets_its_folds(tmp_path):
    folder = write_folder(tmp_path, steps=5)
    list(run_training(settings_for(folder)))
    *_, last = run_training(settings_for(folder, folds=None, overwrite=True))
    assert last.bundle.provenance["folds"] == []
    assert len(last.bundle.provenance["held_out"]) == 1
    assert not (folder / "model" / "training" / "folds").exists()


@pytest.mark.parametrize("folds", [-1, 0, 1])
def test_fewer_than_two_folds_are_refused(folds, tmp_path):
    with pytest.raises(SettingError, match=f"folds is {folds}; it needs to be at least 2"):
        settings_for(tmp_path, folds=folds)


def test_folds_of_one_image_are_parts_of_it(tmp_path, capsys):
    folder = write_folder(tmp_path, number=0, steps=10)
    image, label = squares(0, size=150)
    write_tiff(folder / "images" / "0.tif", Image(data=image, axes="YX"))
    write_tiff(folder / "labels" / "0.tif", Image(data=label, axes="YX"))
    assert show_training(run_training(settings_for(folder)))
    out = capsys.readouterr().out
    assert "a part of each at a time, with a gap of 9 px beside it" in out
    entry = load_bundle(folder / "model").provenance["scores_rest_on"]
    assert (entry["num_images"], entry["num_tiles"], entry["num_pixels"]) == (1, 3, 150 * 150)
    assert "over 3 tiles of it, which do not tell how images differ" in out


def test_trained_further_on_what_was_seen_the_score_is_not_independent(whole, tmp_path):
    parent, _ = whole
    folder = write_folder(tmp_path, steps=5)
    *_, last = run_training(settings_for(folder, start_from=parent / "model"))
    assert "has seen all of these images" in last.bundle.provenance["not_independent"]
    record = json.loads((folder / "model" / MODEL).read_text())["provenance"]
    assert set(record["seen"]) == set(load_bundle(parent / "model").provenance["seen"])


def test_stopped_in_the_first_training_each_fold_starts_from_the_same_model(whole, tmp_path):
    parent, _ = whole
    folder = write_folder(tmp_path, steps=20)
    *_, at_once = run_training(settings_for(folder, "a", start_from=parent / "model"))
    stop_at(settings_for(folder, "b", start_from=parent / "model"), 7)
    *_, resumed = run_training(settings_for(folder, "b", plan=None, resume=True))
    assert resumed.bundle.scores == at_once.bundle.scores


def test_weights_of_classes_come_from_what_a_fold_trains_on(tmp_path):
    from ulens.annotated.samples import read_annotated
    from ulens.jobs.planning import balance_classes

    folder = write_folder(tmp_path)
    samples = read_annotated(folder / "images", folder / "labels").samples
    (tmp_path / "plan.json").unlink()
    other = write_folder(
        tmp_path / "other", number=1, steps=5, class_weights=balance_classes(samples, 2, "classes")
    )
    list(run_training(settings_for(folder, plan=other / "plan.json")))
    first = load_bundle(folder / "model" / "training" / "folds" / "1").plan["encoding"]
    expected = balance_classes([s for s in samples if s.name not in "036"], 2, "classes")
    np.testing.assert_allclose(first["class_weights"], expected)
