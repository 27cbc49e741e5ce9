import errno
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from ulens.appearance import familiarize
from ulens.bundle import ModelBundle, load_bundle, save_bundle
from ulens.errors import ModelError, OutputError, SettingError
from ulens.nets.unet import UNet
from ulens.normalize import Normalization


def make_bundle(seed=0, **changes):
    torch.manual_seed(seed)
    bundle = ModelBundle(
        net=UNet(2, 3, width=2, depth=1),
        normalization=Normalization((0.5, 2.0)),
        encoding="classes",
        class_values=(0, 127, 255),
        spacing_um=(0.5, 0.25),
        plan={"crop": 100},
        scores={"dice": 0.9},
        provenance={"steps": 7, "seed": seed},
        int8={"down.0.2": (-0.25, 3.5)},
    )
    return replace(bundle, **changes)


def weights_of(bundle):
    return {name: tensor.numpy() for name, tensor in bundle.net.state_dict().items()}


def assert_same(one, other):
    for name, array in weights_of(one).items():
        np.testing.assert_array_equal(array, weights_of(other)[name])
    for name in (
        "normalization",
        "encoding",
        "labels_are",
        "class_values",
        "decoding",
        "spacing_um",
        "plan",
        "scores",
        "provenance",
        "int8",
        "familiar",
    ):
        assert getattr(one, name) == getattr(other, name)


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "cells.model"
    save_bundle(make_bundle(), folder)
    (folder / "report.html").write_text("<p>good</p>")
    return folder


def edit(model, **changes):
    path = model / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_round_trip(model):
    assert_same(load_bundle(model), make_bundle())
    assert (model / "report.html").read_text() == "<p>good</p>"


@pytest.mark.parametrize(
    ("encoding", "thresholds"),
    [("boundary", {}), ("distance", {"cell_threshold": 0.1, "seed_threshold": 0.5})],
)
def test_round_trip_of_an_instance_model(tmp_path, encoding, thresholds):
    bundle = make_bundle(
        net=UNet(width=2, depth=2),
        encoding=encoding,
        class_values=(),
        decoding={"min_area_px": 3, **thresholds},
        spacing_um=None,
        normalization=Normalization((1.0,)),
    )
    save_bundle(bundle, tmp_path)
    assert_same(load_bundle(tmp_path), bundle)
    assert bundle.labels_are == "instances"


@pytest.mark.parametrize(
    ("labels_are", "encoding"), [("classes", "classes"), ("instances", "boundary")]
)
def test_a_model_saved_before_encodings_had_names_has_the_only_one_there_was(
    model, labels_are, encoding
):
    record = json.loads((model / "model.json").read_text()) | {"labels_are": labels_are}
    del record["encoding"]
    (model / "model.json").write_text(json.dumps(record))
    assert load_bundle(model).encoding == encoding


def test_folder_holds_the_documented_files_and_no_pickle(model):
    assert sorted(path.name for path in model.iterdir()) == [
        "model.json",
        "report.html",
        "selftest.safetensors",
        "weights.safetensors",
    ]
    description = json.loads((model / "model.json").read_text())
    assert description["format_version"] == 4
    assert description["architecture"] == {
        "name": "unet",
        "in_channels": 2,
        "num_classes": 3,
        "width": 2,
        "depth": 1,
        "negative_slope": 0.0,
    }


def test_loaded_network_is_in_eval_mode_and_can_be_trained_on(model):
    net = load_bundle(model).net
    assert not net.training
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_saving_leaves_the_network_in_training_mode(tmp_path):
    bundle = make_bundle()
    bundle.net.train()
    bundle.net.to(memory_format=torch.channels_last)
    save_bundle(bundle, tmp_path)
    assert bundle.net.training


def test_saving_again_replaces_the_model_and_keeps_other_files(model):
    (model / "log.jsonl").write_text("{}")
    save_bundle(make_bundle(seed=1), model)
    assert_same(load_bundle(model), make_bundle(seed=1))
    assert (model / "log.jsonl").read_text() == "{}"
    assert (model / "report.html").read_text() == "<p>good</p>"
    assert not list(model.glob("*.new"))


@pytest.mark.parametrize("num_good", [0, 1, 2])
def test_full_disk_leaves_the_old_model(model, monkeypatch, num_good):
    calls = iter(range(100))

    def fsync(descriptor):
        if next(calls) >= num_good:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match=r"cannot save .*: No space left .* is unharmed; free"):
        save_bundle(make_bundle(seed=1), model)
    monkeypatch.undo()
    assert_same(load_bundle(model), make_bundle(seed=0))
    assert (model / "report.html").read_text() == "<p>good</p>"
    assert not list(model.glob("*.new"))


class Killed(BaseException):
    """Stands for kill -9: nothing of ours handles it."""


@pytest.mark.parametrize("num_renamed", [0, 1, 2, 3])
def test_kill_between_renames_leaves_one_whole_model(model, monkeypatch, num_renamed):
    """… and so does a second save that is killed before its first rename."""

    def kill_after(num):
        calls = iter(range(100))
        rename = Path.replace

        def replace_or_die(self, target):
            if next(calls) >= num:
                raise Killed
            return rename(self, target)

        monkeypatch.setattr(Path, "replace", replace_or_die)

    kill_after(num_renamed)
    if num_renamed < 3:
        with pytest.raises(Killed):
            save_bundle(make_bundle(seed=1), model)
    else:
        save_bundle(make_bundle(seed=1), model)
    monkeypatch.undo()
    survivor = make_bundle(seed=1 if num_renamed else 0)
    assert_same(load_bundle(model), survivor)

    num_left = {0: 0, 1: 2, 2: 1, 3: 0}[num_renamed]
    kill_after(num_left)
    with pytest.raises(Killed):
        save_bundle(make_bundle(seed=2), model)
    monkeypatch.undo()
    assert_same(load_bundle(model), survivor)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_real_kill_while_saving_leaves_a_model(model):
    code = (
        "import sys, itertools; from pathlib import Path; from dataclasses import replace\n"
        "from ulens.bundle import load_bundle, save_bundle\n"
        "folder = Path(sys.argv[1]); bundle = load_bundle(folder)\n"
        "for steps in itertools.count(8):\n"
        "    save_bundle(replace(bundle, provenance={'steps': steps}), folder)\n"
        "    print(steps, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(model)], stdout=subprocess.PIPE, text=True
    )
    saved = [int(process.stdout.readline()) for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert load_bundle(model).provenance["steps"] >= saved[-1]


def test_missing_folder(tmp_path):
    with pytest.raises(ModelError, match="does not exist; give the folder that training wrote"):
        load_bundle(tmp_path / "nothing")


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "net.pt").touch()
    with pytest.raises(ModelError, match="is a file, not a folder"):
        load_bundle(tmp_path / "net.pt")


def test_foreign_folder_lists_what_it_holds(tmp_path):
    (tmp_path / "b.pth").touch()
    (tmp_path / "a.yaml").touch()
    with pytest.raises(ModelError, match=r"is not a ulens model: .* it holds a\.yaml, b\.pth"):
        load_bundle(tmp_path)


def test_foreign_json(model):
    (model / "model.json").write_text('{"format": "other"}')
    with pytest.raises(ModelError, match=r"model\.json was not written by ulens"):
        load_bundle(model)


def test_truncated_json(model):
    text = (model / "model.json").read_text()
    (model / "model.json").write_text(text[: len(text) // 2])
    with pytest.raises(ModelError, match=r"model\.json is damaged .* copy the model again"):
        load_bundle(model)


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": {"name": "unet", "width": 0}},
        {"architecture": None},
        {"normalization": {}},
        {"class_values": [0]},
        {"encoding": "masks"},
        {"sha256": {}},
        {"spacing_um": [1]},
        {"int8": {"down.0.7": [0, 1]}},
        {"int8": {"down.0.0": [0]}},
    ],
)
def test_json_with_wrong_values(model, changes):
    edit(model, **changes)
    with pytest.raises(ModelError, match=r"model\.json is damaged \(.*\); copy"):
        load_bundle(model)


def test_newer_format(model):
    edit(model, format_version=5)
    with pytest.raises(ModelError, match="version 5; this ulens reads up to version 4; install"):
        load_bundle(model)


def test_unknown_network(model):
    architecture = json.loads((model / "model.json").read_text())["architecture"]
    edit(model, architecture=architecture | {"name": "transformer"})
    with pytest.raises(ModelError, match=r"architecture\.name is 'transformer'; it takes unet or"):
        load_bundle(model)


@pytest.mark.parametrize("name", ["weights.safetensors", "selftest.safetensors"])
def test_missing_file(model, name):
    (model / name).unlink()
    with pytest.raises(ModelError, match=f"lacks {name}; copy the whole folder again"):
        load_bundle(model)


@pytest.mark.parametrize("name", ["weights.safetensors", "selftest.safetensors"])
def test_damaged_file(model, name):
    data = bytearray((model / name).read_bytes())
    data[-1] ^= 1
    (model / name).write_bytes(data)
    with pytest.raises(ModelError, match=f"{name} is damaged: its sha256 is not the one"):
        load_bundle(model)


def test_tensors_of_a_wrong_shape(model):
    architecture = json.loads((model / "model.json").read_text())["architecture"]
    edit(model, architecture=architecture | {"width": 3})
    with pytest.raises(ModelError, match=r"tensor down\.0\.0\.bias has shape \(2,\) .* \(3,\)"):
        load_bundle(model)


def test_network_that_computes_something_else(model, monkeypatch):
    forward = UNet.forward
    monkeypatch.setattr(UNet, "forward", lambda self, x: forward(self, x) + 0.1)
    with pytest.raises(ModelError, match=r"fails its self-test: the output differs by 0\.1 from"):
        load_bundle(model)


def test_selftest_holds_a_real_output(model):
    selftest = safetensors.torch.load_file(model / "selftest.safetensors")
    assert selftest["output"].shape[1] == 3
    assert selftest["output"].std() > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoding": "masks"}, "encoding is 'masks'; it takes classes or membrane or boundary"),
        ({"class_values": (0, 1)}, r"names 2 classes \(0, 1\), the network has 3; give one"),
    ],
)
def test_inconsistent_bundle(changes, message):
    with pytest.raises(SettingError, match=message):
        make_bundle(**changes)


def test_what_the_training_images_look_like_is_kept(tmp_path):
    images = [np.random.default_rng(seed).normal(size=(2, 40, 50)) for seed in range(5)]
    familiar = familiarize(
        ((image, np.eye(40, 50, dtype=int)) for image in images), is_instances=True
    )
    bundle = make_bundle(familiar=familiar)
    save_bundle(bundle, tmp_path / "m")
    assert_same(load_bundle(tmp_path / "m"), bundle)
    assert len((tmp_path / "m" / "model.json").read_text()) < 16_000


def test_a_model_of_the_time_before_has_no_such_entry(model):
    edit(model, familiar=None)
    assert load_bundle(model).familiar is None


def test_damaged_limits_are_named(model):
    edit(model, familiar={"num_images": "many"})
    with pytest.raises(ModelError, match=r"is damaged .*familiar"):
        load_bundle(model)


@pytest.mark.parametrize(
    ("provenance", "reason"),
    [
        ({}, None),
        ({"scored_at_step": None, "steps": 4}, "no score yet: .*, at step 4"),
        (
            {"scored_at_step": 9, "steps": 9, "training_seconds": 12.3, "progress": 0.01},
            "stopped after 12 seconds, at step 9",
        ),
        ({"scored_at_step": 9, "training_seconds": 61.0, "progress": 0.01}, None),
        ({"scored_at_step": 9, "training_seconds": 12.3, "progress": 1.0}, None),
    ],
)
def test_a_model_that_was_hardly_trained_says_so(tmp_path, provenance, reason):
    save_bundle(make_bundle(provenance=provenance), tmp_path / "m")
    written = json.loads((tmp_path / "m" / "model.json").read_text())["hardly_trained"]
    assert written == load_bundle(tmp_path / "m").hardly_trained
    assert written is None if reason is None else re.search(reason, written)
