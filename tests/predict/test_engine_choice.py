import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ulens.bundle import ModelBundle
from ulens.nets.unet import UNet
from ulens.normalize import Normalization
from ulens.predict import engine_choice
from ulens.predict.engine_choice import choose_engine

CPU = torch.device("cpu")
NAMES = ("fp32", "openvino-fp32", "bf16")


def make_bundle(encoding="boundary", seed=0):
    torch.manual_seed(seed)
    net = UNet(1, 2, width=2, depth=1).eval()
    example = np.random.default_rng(0).standard_normal((1, 60, 60)).astype(np.float32)
    return ModelBundle(
        net=net, normalization=Normalization((1.0,)), encoding=encoding,
        class_values=(0, 1), example=example,
    )  # fmt: skip


def choose(bundle, device, **options):
    """Choose an engine; by default no network is too small for it."""
    return choose_engine(bundle, device, **{"worth_seconds": 0, **options})


@pytest.fixture
def built(monkeypatch):
    """Engines whose outputs and speed the test decides; returns what was built."""
    monkeypatch.setattr(engine_choice, "engines_here", lambda device: NAMES)
    names = []
    changes = {}

    def build(name, net, device, int8):
        names.append(name)

        def run(x):
            with torch.inference_mode():
                return changes.get(name, lambda outputs: outputs)(net(x))

        return run

    seconds = {"fp32": 3.0, "openvino-fp32": 2.0, "bf16": 1.0}
    monkeypatch.setattr(engine_choice, "build_engine", build)
    monkeypatch.setattr(
        engine_choice, "time_interleaved", lambda runs, num_rounds: {n: seconds[n] for n in runs}
    )
    names_and = {"names": names, "changes": changes, "seconds": seconds}
    return names_and


def test_the_fastest_that_agrees_is_taken_and_remembered(built, tmp_path):
    choice = choose(make_bundle(), CPU, cache=tmp_path)
    assert (choice.engine, choice.rejected, choice.is_new) == ("bf16", {}, True)
    assert str(choice) == "engine bf16, on this computer 3.0 times as fast as fp32"
    assert built["names"] == list(NAMES)
    again = choose(make_bundle(), CPU, cache=tmp_path)
    assert (again.engine, again.is_new) == ("bf16", False)
    assert built["names"] == list(NAMES)
    # other weights are another model
    choose(make_bundle(seed=1), CPU, cache=tmp_path)
    assert built["names"] == 2 * list(NAMES)


def test_none_that_is_slower_than_fp32_is_taken(built, tmp_path):
    built["seconds"]["fp32"] = 0.5
    choice = choose(make_bundle(), CPU, cache=tmp_path)
    assert choice.engine == "fp32"
    assert str(choice) == "engine fp32"


def test_one_that_computes_something_else_is_not_taken(built, tmp_path):
    built["changes"]["bf16"] = lambda outputs: outputs + torch.tensor([0.1, 0])[:, None, None]
    choice = choose(make_bundle(), CPU, cache=tmp_path)
    assert choice.engine == "openvino-fp32"
    assert "its maps differ by" in choice.rejected["bf16"]
    assert "; not bf16: its maps differ by" in str(choice)


def test_one_that_decides_otherwise_is_not_taken(built, tmp_path):
    def flip(outputs):
        outputs = outputs.clone()
        outputs[:, :, :2] = -outputs[:, :, :2]  # 4 % of the pixels, with little weight each
        return outputs

    built["changes"]["bf16"] = flip
    bundle = make_bundle()
    with torch.no_grad():
        bundle.net.head.weight *= 1e-3
        bundle.net.head.bias *= 0
    choice = choose(bundle, CPU, cache=tmp_path)
    assert choice.engine == "openvino-fp32"
    assert "of its pixels agree, 99.9% are needed" in choice.rejected["bf16"]


def test_one_that_moves_the_score_of_the_example_is_not_taken(built, tmp_path):
    label = np.full((44, 44), -1, np.int32)
    label[10, 10] = 1
    decoding = {"threshold": 0.5, "reach_threshold": 0.5}
    bundle = replace(make_bundle(), example_label=label, decoding=decoding)
    with torch.no_grad():
        bundle.net.head.weight *= 0
        bundle.net.head.bias[:] = torch.tensor([20.0, 0.0])

    def find_the_pixel(outputs):
        outputs = outputs.clone()
        outputs[:, 1, 10, 10] = 40
        return outputs

    # one of 1936 pixels: for the maps alone as good as none
    built["changes"]["bf16"] = find_the_pixel
    unknown = replace(bundle, example_label=None)
    assert choose(unknown, CPU, cache=tmp_path / "unknown").engine == "bf16"
    choice = choose(bundle, CPU, cache=tmp_path / "known")
    assert choice.engine == "openvino-fp32"
    reason = "the score of the example moves from 0.0000 to 1.0000"
    assert choice.rejected["bf16"] == reason


def test_int8_is_tried_where_the_model_was_prepared_for_it(built, tmp_path, monkeypatch):
    names = ("fp32", "openvino-fp32", "openvino-int8")
    monkeypatch.setattr(engine_choice, "engines_here", lambda device: names)
    built["seconds"]["openvino-int8"] = 0.5
    assert choose(make_bundle(), CPU, cache=tmp_path).engine == "openvino-fp32"
    prepared = replace(make_bundle(), int8={"down.0.2": (0.0, 1.0)})
    assert choose(prepared, CPU, cache=tmp_path).engine == "openvino-int8"


def test_nan_is_no_agreement(built, tmp_path):
    built["changes"]["bf16"] = lambda outputs: outputs * float("nan")
    assert choose(make_bundle(), CPU, cache=tmp_path).engine == "openvino-fp32"


def test_distances_are_compared_as_they_are_used(built, tmp_path):
    def shift(outputs):
        return outputs.where(outputs > 0, outputs - 5)  # clipped: no difference

    built["changes"]["bf16"] = shift
    assert choose(make_bundle("distance"), CPU, cache=tmp_path).engine == "bf16"


def test_one_that_fails_is_not_taken(built, tmp_path):
    def fail(outputs):
        raise RuntimeError("no such kernel\nand more")

    built["changes"]["bf16"] = fail
    choice = choose(make_bundle(), CPU, cache=tmp_path)
    assert choice.engine == "openvino-fp32"
    assert choice.rejected["bf16"] == "it failed (RuntimeError: no such kernel)"


def test_failure_of_fp32_is_not_hidden(built, tmp_path):
    def fail(outputs):
        raise RuntimeError("out of memory")

    built["changes"]["fp32"] = fail
    with pytest.raises(RuntimeError, match="out of memory"):
        choose(make_bundle(), CPU, cache=tmp_path)


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", json.dumps({"engine": "warp"})])
def test_a_damaged_record_is_measured_again(built, tmp_path, damage):
    choose(make_bundle(), CPU, cache=tmp_path)
    (record,) = tmp_path.iterdir()
    record.write_text(damage)
    assert choose(make_bundle(), CPU, cache=tmp_path).is_new
    assert not choose(make_bundle(), CPU, cache=tmp_path).is_new


def test_a_cache_that_cannot_be_written_is_done_without(built, tmp_path):
    (tmp_path / "file").touch()
    assert choose(make_bundle(), CPU, cache=tmp_path / "file").engine == "bf16"


def test_small_networks_are_not_worth_it(built, tmp_path):
    assert choose(make_bundle(), CPU, cache=tmp_path, worth_seconds=1000).engine == "fp32"
    assert built["names"] == ["fp32"]


def test_without_example_nothing_is_measured(built, tmp_path):
    bundle = ModelBundle(
        net=UNet(width=2, depth=1), normalization=Normalization((1.0,)), encoding="classes",
        class_values=(0, 1),
    )  # fmt: skip
    choice = choose(bundle, CPU, cache=tmp_path)
    assert not choice.is_new
    assert built["names"] == []


def test_real_engines(tmp_path):
    bundle = make_bundle()
    choice = choose(bundle, CPU, cache=tmp_path)
    here = set(engine_choice.engines_here(CPU)) - {"openvino-int8"}
    assert set(choice.seconds) | set(choice.rejected) == here
    assert choice.engine in here
