import dataclasses
import inspect
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import PIL.Image
import pytest
import torch
from skimage.measure import label as connected_components

import ulens
from tiny_training import changed, settings_for, squares, tiny_plan, weights_of, write_folder
from ulens.annotated.holdout import split_samples
from ulens.annotated.samples import read_annotated
from ulens.bundle import load_bundle, save_bundle
from ulens.encodings.table import ENCODINGS
from ulens.errors import (
    LabelError,
    OutputError,
    PairingError,
    SettingError,
    Stopped,
    TrainingError,
)
from ulens.image import Image
from ulens.io.files import read_image, write_tiff
from ulens.jobs.planning import TrainSettings
from ulens.jobs.segment import segment
from ulens.jobs.train import Message, Trained, run_training
from ulens.planning.plan import read_plan
from ulens.training import session
from ulens.training.clock import Pace
from ulens.training.model_folder import STATE, read_log
from ulens.training.session import Session, Validation
from ulens.training.state import load_state
from ulens.training.trainer import StepLog

DRIVER = """
import torch
torch.set_num_threads(1)
from ulens.cli import main
main()
"""
# saves at every snapshot, so that a kill soon after the start has something to resume from
SAVING_OFTEN = """
import sys
from pathlib import Path
import torch
from ulens.jobs.planning import TrainSettings
from ulens.jobs.train import run_training
from ulens.training.clock import Pace
torch.set_num_threads(1)
folder = Path(sys.argv[1])
settings = TrainSettings(
    folder / "images", folder / "labels", out=folder / "killed", plan=folder / "plan.json",
    resume="resume" in sys.argv,
)
for _ in run_training(settings, pace=Pace(save_seconds=0.0)):
    pass
"""


def command(folder: Path, out: str, *more: str) -> list[str]:
    paths = [str(folder / name) for name in ("images", "labels")]
    options = ["-o", str(folder / out), "--plan", str(folder / "plan.json"), *more]
    return [sys.executable, "-c", DRIVER, "train", *paths, *options]


def write_instances(folder: Path) -> None:
    """Replace the labels by instances: each square cut in two along the middle of the image."""
    for seed in range(7):
        _, label = squares(seed)
        halves = 2 * connected_components(label) - (np.arange(40) < 20)
        split = np.where(label > 0, halves, 0).astype(np.uint16)
        write_tiff(folder / "labels" / f"{seed}.tif", Image(data=split, axes="YX"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("trained"))
    return folder, list(run_training(settings_for(folder)))


def test_a_training_tells_its_story(trained):
    _, events = trained
    texts = [event.text for event in events if isinstance(event, Message)]
    assert "7 label images hold {0, 255}: two classes, 255 = foreground" in texts[0]
    assert "held out for the score: 1 of 7 images (3)" in texts[1]
    assert [e.step for e in events if isinstance(e, StepLog)] == list(range(1, 121))
    validations = [event for event in events if isinstance(event, Validation)]
    assert [event.step for event in validations] == [12, 24, 36, 48, 60, 72, 84]
    assert isinstance(events[-1], Trained)
    assert not events[-1].stopped


def test_the_folder_holds_everything_and_the_scores_are_honest(trained):
    folder, _ = trained
    model = folder / "model"
    assert {path.name for path in model.iterdir()} == {
        "log.jsonl",
        "model.json",
        "plan.json",
        "report.html",
        "selftest.safetensors",
        "training",
        "weights.safetensors",
    }
    bundle = load_bundle(model)
    assert bundle.scores["Dice"] > 0.6
    assert set(bundle.scores) >= {"mean IoU", "V_Rand", "V_Info", "pixel error"}
    assert bundle.provenance["held_out"] == ["3"]
    assert bundle.hardly_trained is None
    assert (bundle.familiar.num_images, bundle.familiar.diameter_px[1]) == (7, 0)
    assert bundle.class_values == (0, 255)
    assert len([row for row in read_log(model) if "loss" in row]) == 120
    assert "held out" in (model / "report.html").read_text()


def test_a_network_that_predicts_slowly_is_validated_less_often(tmp_path):
    folder = write_folder(tmp_path, steps=None, seconds=2.0)
    events = list(run_training(settings_for(folder), pace=Pace(validation_share=0.0)))
    # one, and the score at 0.7 of the time
    assert sum(isinstance(event, Validation) for event in events) <= 2


def test_instances_are_trained_decoded_and_scored(tmp_path):
    folder = write_folder(tmp_path, encoding="boundary", border_weight=10.0, steps=150)
    write_instances(folder)
    *_, last = run_training(settings_for(folder, labels_are="instances"))
    assert last.bundle.labels_are == "instances"
    assert set(last.bundle.scores) == {"AP@0.5", "mean AP"}
    assert set(last.bundle.decoding) == {"threshold", "reach_threshold", "min_area_px"}


def test_distances_are_trained_decoded_and_scored(tmp_path):
    folder = write_folder(tmp_path, encoding="distance", steps=150)
    write_instances(folder)
    *_, last = run_training(settings_for(folder, labels_are="instances"))
    assert last.bundle.encoding == "distance"
    assert last.bundle.scores["AP@0.5"] >= 0.6
    assert set(last.bundle.decoding) == {"seed_threshold", "cell_threshold", "min_area_px"}
    page = (folder / "model" / "report.html").read_text()
    assert "cell distance, 0 blue to 1 yellow" in page
    assert "an object starts where its distance less that to the next one is above 0." in page
    written = segment(folder / "model", folder / "images", folder / "out", probabilities=True)
    names = {path.name for path in written}
    assert {"3.tif", "3_distances.tif"} <= names
    assert not any("probabilities" in name for name in names)
    distances = read_image(folder / "out" / "3_distances.tif").data
    assert (distances.shape, distances.dtype) == ((2, 40, 40), np.float32)
    assert 0 <= distances.min() <= distances.max() <= 1
    labels = read_image(folder / "out" / "3.tif").data
    expected = ENCODINGS["distance"].decode(distances, **last.bundle.decoding)
    np.testing.assert_array_equal(labels, expected)
    assert labels.max() >= 1


def test_a_network_that_learned_another_encoding_lends_all_but_its_head(tmp_path):
    folder = write_folder(tmp_path, encoding="boundary", steps=1)
    write_instances(folder)
    list(run_training(settings_for(folder, labels_are="instances")))
    begun = load_bundle(folder / "model").net.state_dict()
    (folder / "plan.json").write_text(
        json.dumps(tiny_plan(encoding="distance", steps=1, learning_rate=1e-9).to_json())
    )
    start = {"labels_are": "instances", "start_from": folder / "model"}
    *_, last = run_training(settings_for(folder, out=folder / "second", **start))
    for name, value in last.bundle.net.state_dict().items():
        is_kept = torch.allclose(value, begun[name], atol=1e-6)
        assert is_kept == (name != "head.weight" and name != "head.bias"), name


def test_killed_anywhere_and_resumed_it_ends_as_if_it_had_never_stopped(tmp_path):
    folder = write_folder(tmp_path, steps=120)
    subprocess.run(command(folder, "whole"), check=True, capture_output=True)
    for more in ([], ["resume"]):
        num_before = len(read_log(folder / "killed"))
        process = subprocess.Popen([sys.executable, "-c", SAVING_OFTEN, str(folder), *more])
        deadline = time.monotonic() + 120
        while len(read_log(folder / "killed")) < num_before + 35:
            assert time.monotonic() < deadline
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        load_bundle(folder / "killed")  # usable at every moment
    subprocess.run(command(folder, "killed", "--resume"), check=True, capture_output=True)
    assert torch.equal(weights_of(folder / "whole"), weights_of(folder / "killed"))
    steps = [row["step"] for row in read_log(folder / "killed") if "loss" in row]
    assert steps == list(range(1, 121))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_keeps_a_usable_model(tmp_path):
    folder = write_folder(tmp_path, steps=1_000_000)
    process = subprocess.Popen(
        command(folder, "model"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while len(read_log(folder / "model")) < 30:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "stopped" in output
    bundle = load_bundle(folder / "model")
    assert bundle.provenance["steps"] >= 30
    assert "Dice" in bundle.scores
    assert (folder / "model" / "report.html").is_file()


def test_resuming_on_other_images_is_refused(tmp_path):
    folder = write_folder(tmp_path, steps=60)
    list(run_training(settings_for(folder)))
    write_tiff(folder / "labels" / "0.tif", Image(data=squares(99)[1], axes="YX"))
    with pytest.raises(TrainingError, match="other images or labels"):
        list(run_training(settings_for(folder, resume=True)))


def test_a_finished_training_can_be_resumed_for_longer(trained, tmp_path):
    folder, _ = trained
    shutil.copytree(folder / "model", tmp_path / "model")
    settings = settings_for(folder, out=tmp_path / "model", resume=True, steps=130)
    *_, last = run_training(settings)
    assert last.bundle.provenance["steps"] == 130
    assert json.loads((tmp_path / "model" / "plan.json").read_text())["length"]["steps"] == 130


def test_resuming_nothing_is_refused(tmp_path):
    folder = write_folder(tmp_path)
    with pytest.raises(TrainingError, match="no training to resume"):
        list(run_training(settings_for(folder, resume=True)))


def test_training_starts_from_a_model(trained, tmp_path):
    folder, _ = trained
    other = write_folder(tmp_path, steps=1, learning_rate=1e-9, averaging=0.0)
    settings = settings_for(other, start_from=folder / "model")
    list(run_training(settings))
    before, after = weights_of(folder / "model"), weights_of(other / "model")
    torch.testing.assert_close(before, after, atol=1e-6, rtol=0)


def test_a_training_that_starts_from_a_model_starts_from_its_thresholds(tmp_path):
    folder = write_folder(tmp_path, encoding="boundary", steps=1)
    write_instances(folder)
    options = {"labels_are": "instances"}
    list(run_training(settings_for(folder, **options)))
    begun = load_bundle(folder / "model")
    begun.decoding["threshold"], begun.decoding["reach_threshold"] = 0.42, 0.33
    save_bundle(begun, folder / "begun")
    annotated = read_annotated(folder / "images", folder / "labels", **options)
    split = split_samples(annotated.samples, labels_are="instances")
    begins = Session(
        folder / "second", annotated, split, read_plan(folder / "plan.json"),
        device=torch.device("cpu"), start_from=folder / "begun",
    )  # fmt: skip
    found = begins.decoding
    assert (found["threshold"], found["reach_threshold"]) == (0.42, 0.33)


def test_a_recipe_goes_on_with_the_slope_of_the_model_that_it_starts_from(tmp_path):
    folder = write_folder(tmp_path, steps=1, depth=2, crop=60, negative_slope=0.3)
    list(run_training(settings_for(folder)))
    start = {"plan": None, "steps": 1, "plan_only": True, "start_from": folder / "model"}
    list(run_training(settings_for(folder, out=folder / "second", **start)))
    plan = read_plan(folder / "second" / "plan.json")
    assert (plan.network.width, plan.network.depth, plan.network.negative_slope) == (8, 2, 0.3)
    assert plan.network.batch_norm
    assert plan.network.frozen_at == 0
    assert "begins where the model is" in plan.reasons["batch_norm"]
    with pytest.raises(SettingError, match=r"leaky ReLUs of slope 0.3, the paper's recipe plain"):
        list(run_training(settings_for(folder, out=folder / "next", recipe="paper", **start)))


def test_interrupted_while_looking_for_8_bits_the_model_and_its_report_are_there(
    tmp_path, monkeypatch
):
    folder = write_folder(tmp_path, steps=2)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(session.Session, "prepare_int8", interrupt)
    *_, said, last = run_training(settings_for(folder))
    assert said == Message("left that out; the model is complete without it")
    assert not last.bundle.int8
    assert (folder / "model" / "report.html").is_file()
    assert load_bundle(folder / "model").scores == last.bundle.scores


def test_starting_from_a_model_of_another_width_is_refused(trained, tmp_path):
    folder, _ = trained
    other = write_folder(tmp_path, width=6)
    with pytest.raises(
        SettingError,
        match=r"is U-Net of width 8 and depth 1 with .*, the plan asks for U-Net of width 6 and",
    ):
        list(run_training(settings_for(other, start_from=folder / "model")))


def test_one_image_is_scored_on_a_block_of_it(tmp_path):
    folder = write_folder(tmp_path, number=1, steps=20)
    events = list(run_training(settings_for(folder)))
    messages = [event.text for event in events if isinstance(event, Message)]
    expected = "held out for the score: the last 20% of the image, with a gap of 9 px before it"
    assert messages[1] == expected
    assert 0 <= events[-1].bundle.scores["Dice"] <= 1


def test_a_model_in_the_way_survives(trained):
    folder, _ = trained
    before = weights_of(folder / "model")
    with pytest.raises(OutputError, match="with --resume, choose another name, or allow"):
        list(run_training(settings_for(folder)))
    assert torch.equal(before, weights_of(folder / "model"))


def test_a_foreign_folder_is_never_written_to(tmp_path):
    folder = write_folder(tmp_path)
    settings = settings_for(folder, out=folder / "images", overwrite=True)
    with pytest.raises(OutputError, match="is no ulens model, so it is never replaced"):
        list(run_training(settings))
    assert len(list((folder / "images").iterdir())) == 7


def test_a_failed_overwrite_leaves_the_old_model(trained):
    folder, _ = trained
    before = weights_of(folder / "model")
    with pytest.raises(PairingError):
        list(run_training(settings_for(folder, overwrite=True, images=folder / "plan.json")))
    load_bundle(folder / "model")
    assert torch.equal(before, weights_of(folder / "model"))


def test_a_full_disk_during_training_keeps_the_old_state(tmp_path, monkeypatch):
    folder = write_folder(tmp_path, steps=120)
    saved = []

    def full(folder_, files):
        if len(saved) > 1 and "state.safetensors" in files:
            raise OSError(28, "No space left on device")
        saved.append(files)
        return replace(folder_, files)

    from ulens.training import state

    replace = state.replace_files
    monkeypatch.setattr(state, "replace_files", full)
    with pytest.raises(OutputError, match=r"No space left on device.*--resume"):
        list(run_training(settings_for(folder), pace=Pace(save_seconds=0.0)))
    monkeypatch.setattr(state, "replace_files", replace)
    *_, last = run_training(settings_for(folder, resume=True))
    assert last.bundle.provenance["steps"] == 120


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seconds": 1.0, "steps": 2}, "give one of them"),
        ({"resume": True, "overwrite": True}, "resume and overwrite"),
        ({"width": 0}, "width is 0; it needs to be 1 to"),
        ({"steps": 0}, "steps is 0"),
        ({"seed": -1}, "seed is -1; it needs to be 0 to"),
    ],
)
def test_contradictory_settings_are_refused(tmp_path, changes, message):
    with pytest.raises(SettingError, match=message):
        settings_for(tmp_path, **changes)


def test_a_plan_for_other_classes_is_refused(tmp_path):
    folder = write_folder(tmp_path, class_weights=(1.0, 1.0, 1.0))
    with pytest.raises(SettingError, match="3 class_weights, the labels have 2 classes"):
        list(run_training(settings_for(folder)))


@pytest.mark.parametrize(
    ("encoding", "labels_are", "advice"),
    [
        ("distance", "classes", "set encoding to classes"),
        ("classes", "instances", "set encoding to boundary or contact or distance"),
    ],
)
def test_a_plan_for_labels_of_another_kind_is_refused(tmp_path, encoding, labels_are, advice):
    folder = write_folder(tmp_path, encoding=encoding)
    message = f"has encoding {encoding}, the labels are {labels_are}; {advice}"
    with pytest.raises(SettingError, match=message):
        list(run_training(settings_for(folder, labels_are=labels_are)))


def test_labels_without_foreground_are_refused(tmp_path):
    folder = write_folder(tmp_path)
    for seed in range(7):
        nothing = Image(data=np.zeros((40, 40), np.uint8), axes="YX")
        write_tiff(folder / "labels" / f"{seed}.tif", nothing)
    with pytest.raises(LabelError):
        list(run_training(settings_for(folder)))


def test_train_from_python(tmp_path):
    folder = write_folder(tmp_path, steps=60)
    model = ulens.train(folder / "images", folder / "labels", plan=folder / "plan.json")
    labels = model.segment(squares(50)[0])
    assert labels.shape == (40, 40)
    assert set(np.unique(labels)) <= {0, 255}
    model.save(folder / "kept")
    assert np.array_equal(ulens.load(folder / "kept").segment(squares(50)[0]), labels)


def numpy_state():
    return str(np.random.get_state())  # noqa: NPY002


def test_a_training_leaves_the_process_as_it_was(tmp_path):
    folder = write_folder(tmp_path, steps=4)
    signals = sorted(signal.valid_signals())
    threads, limit = torch.get_num_threads(), PIL.Image.MAX_IMAGE_PIXELS
    of_numpy, of_python = numpy_state(), random.getstate()
    state, handlers = torch.get_rng_state(), [signal.getsignal(each) for each in signals]
    modules = {name: module for name, module in sys.modules.items() if module is None}
    seen = []
    model = ulens.train(
        folder / "images", folder / "labels", plan=folder / "plan.json", progress=seen.append
    )
    model.segment(squares(50)[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert (numpy_state(), random.getstate()) == (of_numpy, of_python)
    assert [signal.getsignal(each) for each in signals] == handlers
    assert {name for name, module in sys.modules.items() if module is None} == set(modules)
    assert (torch.get_num_threads(), PIL.Image.MAX_IMAGE_PIXELS) == (threads, limit)
    assert [event.step for event in seen if isinstance(event, StepLog)] == [1, 2, 3, 4]


def test_a_training_can_be_stopped_from_another_thread(tmp_path):
    folder = write_folder(tmp_path, steps=1000)
    stop = threading.Event()

    def progress(event):
        if isinstance(event, StepLog) and event.step == 3:
            stop.set()

    model = ulens.train(
        folder / "images", folder / "labels", plan=folder / "plan.json", out=folder / "m",
        progress=progress, stop=stop,
    )  # fmt: skip
    assert model.bundle.provenance["steps"] == 3
    assert "stopped after" in model.bundle.hardly_trained
    with pytest.raises(Stopped, match="before its first step; nothing was written"):
        ulens.train(folder / "images", folder / "labels", steps=5, out=folder / "n", stop=stop)
    assert not (folder / "n").exists()


def test_the_plan_written_is_the_plan_followed(trained):
    folder, _ = trained
    written = json.loads((folder / "model" / "plan.json").read_text())
    assert written == json.loads(json.dumps(tiny_plan().to_json()))


def test_length_and_seed_replace_those_of_a_given_plan(tmp_path):
    folder = write_folder(tmp_path, steps=60)
    *_, last = run_training(settings_for(folder, steps=4, seed=3, width=8))
    assert last.bundle.provenance["steps"] == 4
    assert (last.bundle.plan["length"]["steps"], last.bundle.plan["seed"]) == (4, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 16}, "width is 16, the plan's is 8; leave it out"),
        ({"recipe": "paper"}, "recipe is paper, the plan's is default; leave it out"),
        ({"seed": 1, "resume": True}, "seed is 1, the plan's is 0; leave it out"),
        ({"width": 16, "resume": True}, "width is 16, the plan's is 8; leave it out"),
    ],
)
def test_what_contradicts_a_plan_that_stands_is_refused(trained, tmp_path, changes, message):
    folder, _ = trained
    out = folder / "model" if changes.get("resume") else tmp_path / "model"
    with pytest.raises(SettingError, match=message):
        list(run_training(settings_for(folder, out=out, **changes)))


def test_a_training_resumed_for_longer_and_stopped_again_keeps_its_new_length(tmp_path):
    folder = write_folder(tmp_path, steps=20)
    list(run_training(settings_for(folder)))
    longer = run_training(settings_for(folder, resume=True, steps=60))
    assert any(isinstance(event, StepLog) for event in longer)
    longer.close()
    *_, last = run_training(settings_for(folder, resume=True))
    assert last.bundle.provenance["steps"] == 60


def test_a_held_out_image_without_foreground_is_scored(tmp_path):
    folder = write_folder(tmp_path, steps=20)
    nothing = Image(data=np.zeros((40, 40), np.uint8), axes="YX")
    write_tiff(folder / "labels" / "3.tif", nothing)
    *_, last = run_training(settings_for(folder))
    assert "mean IoU" in last.bundle.scores
    assert "V_Rand" not in last.bundle.scores


def test_one_image_annotated_in_part_is_trained_and_scored(tmp_path):
    folder = write_folder(tmp_path, number=1, steps=20)
    label = squares(0)[1]
    label[20:] = 7
    write_tiff(folder / "labels" / "0.tif", Image(data=label, axes="YX"))
    *_, last = run_training(settings_for(folder, ignore=7))
    assert last.bundle.provenance["steps"] == 20
    assert 0 <= last.bundle.scores["Dice"] <= 1


def test_a_training_that_cannot_be_scored_is_kept(tmp_path, monkeypatch):
    folder = write_folder(tmp_path, steps=7)

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(session, "predict_unseen", fail)
    with pytest.raises(MemoryError):
        list(run_training(settings_for(folder), pace=Pace(num_validations=1)))
    assert load_bundle(folder / "model").provenance["steps"] == 5  # the first after 0.7 of them


def test_train_from_python_has_every_setting_of_the_command_but_for_the_plan_alone():
    settings = {field.name: field for field in dataclasses.fields(TrainSettings)}
    hints, own = get_type_hints(ulens.train), get_type_hints(TrainSettings)
    renamed = {"time": "seconds"}
    parameters = dict(inspect.signature(ulens.train).parameters)
    assert {"progress", "stop"} <= parameters.keys()
    assert {renamed.get(name, name) for name in parameters} - {"progress", "stop"} == (
        settings.keys() - {"plan_only"}
    )
    for name in parameters.keys() - {"time", "out", "progress", "stop"}:
        field = settings[name]
        default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        assert parameters[name].default == default, name
        if name == "channel":  # one may come alone, and as a number
            continue
        # a path may come as text
        assert set(get_args(hints[name]) or [hints[name]]) - {str} == (
            set(get_args(own[name]) or [own[name]]) - {str}
        ), name


def test_train_from_python_takes_paths_as_text(trained, tmp_path):
    folder, _ = trained
    model = ulens.train(
        str(folder / "images"), str(folder / "labels"), out=str(tmp_path / "m"),
        plan=str(folder / "plan.json"), start_from=str(folder / "model"), steps=2,
    )  # fmt: skip
    assert model.bundle.provenance["steps"] == 2


def test_a_plan_alone_can_be_changed_and_followed(tmp_path):
    folder = write_folder(tmp_path)
    out = folder / "model"
    *_, last = run_training(settings_for(folder, plan=None, steps=7, width=2, plan_only=True))
    assert "plan.json" in last.text
    assert [path.name for path in out.iterdir()] == ["plan.json"]
    plan = read_plan(out / "plan.json")
    assert plan.fingerprint["num_images"] == 7
    (out / "plan.json").write_bytes(changed(plan, depth=1, crop=34).to_bytes())
    with pytest.raises(OutputError, match=r"holds plan\.json"):
        list(run_training(settings_for(folder, plan=None)))
    *_, trained = run_training(settings_for(folder, plan=out / "plan.json"))
    assert trained.bundle.net.depth == 1
    assert trained.bundle.provenance["steps"] == 7


def test_files_in_unread_formats_are_named(tmp_path):
    folder = write_folder(tmp_path, steps=2)
    (folder / "images" / "notes.czi").write_bytes(b"x")
    texts = [e.text for e in run_training(settings_for(folder)) if isinstance(e, Message)]
    assert any("notes.czi" in text for text in texts)


def test_files_without_a_partner_are_named(tmp_path):
    folder = write_folder(tmp_path, steps=2)
    (folder / "labels" / "0.tif").unlink()
    texts = [e.text for e in run_training(settings_for(folder)) if isinstance(e, Message)]
    assert "left out, an image without label or a label without image: 0.tif" in texts


def test_ctrl_c_in_a_timed_training_gives_up_no_step(tmp_path):
    folder = write_folder(tmp_path, steps=None, seconds=600.0)
    process = subprocess.Popen(command(folder, "model"), stdout=subprocess.DEVNULL)
    while len(read_log(folder / "model")) < 70:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0
    done = load_bundle(folder / "model").provenance["steps"]
    events = run_training(settings_for(folder, plan=None, resume=True))
    first = list(itertools.islice(events, 6))
    assert Message(f"resumed at step {done}") in first


def test_a_sliding_window_trains_on_balanced_windows_and_segments_as_any_model(tmp_path):
    window = {
        "network": "sliding-window",
        "window": 33,
        "width": 4,
        "crop": 33,
        "batch_norm": False,
    }
    folder = write_folder(tmp_path, **window, batch=8, balanced=True, steps=30)
    *_, trained = run_training(settings_for(folder))
    assert trained.bundle.provenance["steps"] == 30
    model = ulens.Model.load(folder / "model")
    assert model.bundle.net.window == 33
    state, _ = load_state(folder / "model" / STATE)
    added = trained.bundle.net.head.bias - state["average.head.bias"]
    (held_out,) = trained.bundle.provenance["held_out"]
    share = np.mean([squares(k)[1] > 0 for k in range(7) if k != int(held_out)])
    expected = torch.log(torch.tensor([2 * (1 - share), 2 * share]))
    torch.testing.assert_close(added, expected.float(), atol=1e-5, rtol=0)
    assert model.segment(squares(0)[0]).shape == (40, 40)
