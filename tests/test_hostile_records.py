"""Records from files, any entry changed: each is read, or refused by an error of ours, at once."""

import hashlib
import json
import shutil
import time
from dataclasses import asdict

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostile import changed_records, encoded
from tiny_training import tiny_plan, training_images
from ulens.annotated.holdout import HeldOut, split_as
from ulens.annotated.samples import Sample
from ulens.bundle import ModelBundle, load_bundle, save_bundle
from ulens.encodings.table import ENCODINGS
from ulens.errors import ModelError, SettingError, UlensError
from ulens.nets.unet import UNet
from ulens.normalize import Normalization
from ulens.planning.plan import Plan, read_plan
from ulens.predict.large.job import VERSION, LargeJob, read_job
from ulens.record import read_json
from ulens.report.charts import loss_chart
from ulens.training.evidence import Evidence
from ulens.training.model_folder import read_begun, read_log
from ulens.training.need import check_training_memory
from ulens.training.scored import load_scored
from ulens.training.state import load_state, save_state
from ulens.training.trainer import Trainer

OFTEN = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JOB = {"version": VERSION} | asdict(
    LargeJob(
        model="a", image="b", average=1, factor=(1.0, 1.0), engine="fp32", beside_int8="fp32",
        tile_px=60, block_px=64, halo_px=8,
    )
)  # fmt: skip
EVIDENCE = asdict(Evidence(num_images=1, num_objects=2, num_pixels=3, intervals={"Dice": (0, 1)}))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "model"
    bundle = ModelBundle(
        net=UNet(1, 2, width=2, depth=1),
        normalization=Normalization((0.5,)),
        encoding="boundary",
        class_values=(0, 1),
        decoding={"threshold": 0.5, "min_area_px": 3},
        spacing_um=(0.5, 0.25),
        plan=tiny_plan().to_json(),
        scores={"dice": 0.9},
        provenance={"steps": 7, "training_seconds": 100.0, "seen": ["a"], "held_out_blocks": {}},
        int8={"down.0.2": (-0.25, 3.5)},
    )
    save_bundle(bundle, folder)
    return folder


def check_quickly(read):
    """Run what reads; an error of ours is as good as a result, any other or a minute is not."""
    started = time.process_time()
    try:
        read()
    except UlensError as error:
        message = str(error)
    else:
        message = "read"
    assert 0 < len(message) < 3000
    assert time.process_time() - started < 1


@OFTEN
@given(data=st.data())
def test_model_json(model, data):
    path = model / "model.json"
    whole = path.read_bytes()
    changed = data.draw(changed_records(json.loads(whole)))

    def read():
        bundle = load_bundle(model)
        assert bundle.hardly_trained is None or isinstance(bundle.hardly_trained, str)
        bundle.net.geometry.check(60, 60, "net")

    try:
        path.write_bytes(encoded(changed))
        check_quickly(read)
    finally:
        path.write_bytes(whole)


@OFTEN
@given(changed=changed_records(tiny_plan().to_json()))
def test_plan_json(tmp_path, changed):
    (tmp_path / "plan.json").write_bytes(encoded(changed))
    check_quickly(lambda: read_plan(tmp_path / "plan.json").to_bytes())


@OFTEN
@given(changed=changed_records(JOB))
def test_job_json(tmp_path, changed):
    (tmp_path / "job.json").write_bytes(encoded(changed))
    check_quickly(lambda: read_job(tmp_path))


@OFTEN
@given(changed=changed_records(EVIDENCE))
def test_what_scores_rest_on(changed):
    check_quickly(lambda: Evidence.from_json(read_json(encoded(changed), "e")).in_words())


@pytest.fixture(scope="module")
def trained():
    plan = tiny_plan(width=2, crop=28, steps=9)
    trainer = Trainer(plan.make_network(1), training_images(), plan)
    next(iter(trainer))
    trainer.take_snapshot()
    return trainer, *trainer.snapshot


def changed_tensors(tensors):
    """One of some tensors is missing, or of any shape, type and content."""
    others = st.builds(
        lambda shape, dtype, value: torch.full(shape, value).to(dtype),
        st.lists(st.integers(0, 3), max_size=4),
        st.sampled_from([torch.float32, torch.float64, torch.bool, torch.int64, torch.complex64]),
        st.sampled_from([0.0, 1.0, -1.0, 1e30, float("nan"), float("inf")]),
    )
    return st.builds(
        lambda name, other: {n: v for n, v in (tensors | {name: other}).items() if v is not None},
        st.sampled_from(sorted(tensors)),
        st.none() | others,
    )


@OFTEN
@given(data=st.data())
def test_the_state_of_a_training(trained, tmp_path, data):
    trainer, tensors, record = trained
    if data.draw(st.booleans()):
        tensors = data.draw(changed_tensors(tensors))
    else:
        record = data.draw(changed_records(record))
    save_state(tmp_path / "state", tensors, record)

    def resume():
        trainer.restore(*load_state(tmp_path / "state"))
        next(iter(trainer), None)

    check_quickly(resume)


BEGUN = {
    "provenance": {"steps": 3, "held_out": ["a"], "held_out_blocks": {"a": [0, 2, 0, None]}},
    "decoding": {"threshold": 0.5, "min_area_px": 3},
    "plan_sha256": "",
}


@OFTEN
@given(changed=changed_records(BEGUN))
def test_what_a_training_began_with(tmp_path, changed):
    sample = Sample(name="a", image=np.ones((1, 4, 4)), label=np.ones((4, 4), np.int32))

    def read():
        begun = read_begun(tmp_path, {"provenance": {}} | changed, "boundary")
        ENCODINGS["boundary"].decode(np.full((2, 4, 4), 0.5, np.float32), **begun.decoding)
        split_as([sample], HeldOut.from_json(begun.provenance), labels_are="classes")

    check_quickly(read)


ROWS = [
    {"step": 1, "seconds": 0.5, "loss": 0.7, "learning_rate": 0.1, "progress": 0.5},
    {"step": 1, "seconds": 0.5, "score": {"dice": 0.5}},
    {"step": 2, "seconds": 0.6, "loss": float("nan"), "learning_rate": 0.1, "progress": 1},
]


@OFTEN
@given(changed=changed_records(ROWS))
def test_the_log_of_a_training(tmp_path, changed):
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(encoded(row) for row in changed))
    loss_chart([{"loss": 0.5} | row for row in read_log(tmp_path)])


def test_a_log_is_read_up_to_what_is_damaged(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join(encoded(row) for row in ROWS))
    assert len(read_log(tmp_path)) == 3
    path.write_bytes(b"\n".join(encoded(row) for row in [ROWS[0], {"step": 1}, ROWS[2]]))
    assert read_log(tmp_path) == ROWS[:1]


@OFTEN
@given(data=st.data())
def test_what_a_training_held_out(tmp_path, data):
    sample = Sample(name="a", image=np.ones((1, 4, 4)), label=np.ones((4, 4), np.int32))
    maps, labels = torch.full((2, 4, 4), 0.5), torch.ones(4, 4, dtype=torch.int32)
    tensors = {"0": maps, "labels of 0": labels}
    record = {"decoding": {}, "scores": {"dice": 0.5}, "evidence": EVIDENCE, "step": 3}
    if data.draw(st.booleans()):
        tensors = data.draw(changed_tensors(tensors))
    else:
        record = data.draw(changed_records(record))
    save_state(tmp_path / "held_out", tensors, record)

    def read():
        for each in load_scored(tmp_path / "held_out", [sample], "classes").predictions:
            assert each.maps.shape[1:] == each.labels.shape == (4, 4)

    check_quickly(read)


@OFTEN
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_what_is_no_json(data):
    check_quickly(lambda: read_json(data, "a.json"))


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "[" * 500 + "]" * 500, "9" * 5000])
def test_json_without_end_is_refused(text):
    with pytest.raises(SettingError, match=r"a\.json is (no JSON|nested)"):
        read_json(text.encode(), "a.json")


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("architecture", {"depth": 40}, "depth is 40; a U-Net needs 1 to 12"),
        ("architecture", {"depth": 10**5}, "depth is 100000"),
        ("architecture", {"width": 10**9}, r"width is 1000000000, but the weights are \d+ numbers"),
        ("architecture", {"num_classes": 2**62}, "num_classes is .* but the weights are"),
        (
            "decoding",
            {"threshold": float("nan")},
            r"decoding\.threshold is nan; it needs to be a n",
        ),
        ("decoding", {"treshold": 0.5}, r"decoding: unknown entries \['treshold'\]; encoding"),
        ("decoding", {"grow_px": 1e308}, r"decoding\.grow_px is 1e\+308"),
        (None, {"surprise": 1}, "unknown entries surprise; .* newer ulens than this"),
        ("provenance", {"training_seconds": "long"}, "training_seconds is 'long'"),
        ("plan", {"fingerprint": {"diameter_px": None}}, "diameter_px is None"),
        (None, {"spacing_um": [0, 1]}, "spacing_um is .*above 0"),
    ],
)
def test_values_of_model_json_are_named(model, tmp_path, part, changes, message):
    copy = shutil.copytree(model, tmp_path / "copy")
    record = json.loads((copy / "model.json").read_bytes())
    (record if part is None else record[part]).update(changes)
    (copy / "model.json").write_bytes(encoded(record))
    with pytest.raises(ModelError, match=message):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": torch.zeros(1, 2, 10, 10)}, r"input is torch.float32 \(1, 2, 10, 10\)"),
        ({"output": torch.zeros(1)}, r"output is torch.float32 \(1,\)"),
        ({"output": torch.zeros(1, 2, 4, 4, dtype=torch.int64)}, "output is torch.int64"),
        ({"example": torch.zeros(3)}, r"example is torch.float32 \(3,\)"),
        ({"input": None}, "input is missing"),
    ],
)
def test_a_self_test_of_another_shape_is_refused(model, tmp_path, changes, message):
    copy = shutil.copytree(model, tmp_path / "copy")
    rewrite(copy, "selftest.safetensors", changes)
    with pytest.raises(ModelError, match=message):
        load_bundle(copy)


def test_integer_weights_are_refused(model, tmp_path):
    copy = shutil.copytree(model, tmp_path / "copy")
    rewrite(copy, "weights.safetensors", {"head.bias": torch.zeros(2, dtype=torch.int32)})
    with pytest.raises(ModelError, match=r"head\.bias has shape \(2,\) torch\.int32, the network"):
        load_bundle(copy)


def rewrite(folder, name, changes):
    """Change tensors of a model's file, with the hash that belongs to it."""
    tensors = safetensors.torch.load_file(folder / name) | changes
    data = safetensors.torch.save({k: v for k, v in tensors.items() if v is not None})
    (folder / name).write_bytes(data)
    record = json.loads((folder / "model.json").read_bytes())
    record["sha256"][name] = hashlib.sha256(data).hexdigest()
    (folder / "model.json").write_bytes(encoded(record))


def test_a_plan_whose_steps_take_more_memory_than_there_is_is_refused():
    plan = tiny_plan().to_json()
    plan["tiles"] |= {"crop": 20_000, "batch": 100}
    with pytest.raises(SettingError, match=r"20000×20000 .* takes about .* are free; make crop"):
        check_training_memory(Plan.from_json(plan), 1, torch.device("cpu"))
