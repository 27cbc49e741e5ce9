"""When the held-out annotations are scored, and that they are trained on only after that."""

import itertools
import threading
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import skimage as ski
import torch

from tiny_training import squares, tiny_plan, write_folder
from ulens.annotated.holdout import split_samples
from ulens.annotated.samples import read_annotated
from ulens.bundle import load_bundle
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.planning import TrainSettings, choose_plan
from ulens.jobs.train import run_training
from ulens.planning.fingerprint import take_fingerprint
from ulens.predict.engine_choice import Tolerance
from ulens.training import tiles, trainer
from ulens.training.clock import USUAL, Pace
from ulens.training.model_folder import read_log
from ulens.training.session import Session, Validation
from ulens.training.state import load_state, save_state
from ulens.training.tensors import TrainingImage

STEPS = 20
SCORED = 14  # 0.7 of them


EVERY_STEP = Pace(snapshot_steps=1, save_seconds=0.0)
"""The whole state is saved at each step."""


def train(folder, out="model", pace=USUAL, **changes):
    settings = {"images": folder / "images", "labels": folder / "labels", "out": folder / out}
    if not changes.get("resume"):
        settings["plan"] = folder / "plan.json"
    return list(run_training(TrainSettings(**settings, **changes), pace=pace))


def weights(folder, out="model"):
    return safetensors.torch.load_file(folder / out / "weights.safetensors")


def held_out_maps(folder, out="model"):
    return safetensors.torch.load_file(folder / out / "training" / "held_out.safetensors")["0"]


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path, steps=STEPS)


@pytest.fixture
def drawn(monkeypatch):
    """The image of every tile that is trained on."""
    seen = []
    cut = tiles.cut

    def watch(images, plan, draw):
        if (
            plan.augmentation.geometry.rotation_deg
        ):  # those whose moments are only looked at stay as they are
            seen.append(images[draw.image_index].name)
        return cut(images, plan, draw)

    monkeypatch.setattr(tiles, "cut", watch)
    return seen


def test_what_is_held_out_is_trained_on_after_it_was_scored(folder, drawn):
    events = train(folder)
    assert len(drawn) == STEPS
    assert "3" not in drawn[:SCORED]
    assert "3" in drawn[SCORED:]
    assert [e.step for e in events if isinstance(e, Validation)][-1] == SCORED
    bundle = load_bundle(folder / "model")
    assert bundle.provenance["scored_at_step"] == SCORED
    assert bundle.provenance["steps"] == STEPS
    assert "after 14 of 20 steps" in (folder / "model" / "report.html").read_text()


def test_the_score_knows_nothing_of_the_held_out_labels(folder):
    train(folder)
    _, label = squares(3)
    write_tiff(folder / "labels" / "3.tif", Image(data=255 - label, axes="YX"))
    train(folder, out="other")
    torch.testing.assert_close(held_out_maps(folder), held_out_maps(folder, "other"))
    # and the final network does
    pairs = zip(weights(folder).values(), weights(folder, "other").values(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def annotated(tmp_path):
    """Twice the same images of squares, each an object, but for the one that is held out."""
    folder = write_folder(tmp_path)
    every = read_annotated(folder / "images", folder / "labels")
    samples = [
        replace(sample, label=ski.measure.label(sample.label > 0, connectivity=1).astype(np.int32))
        for sample in every.samples
    ]
    (held_out,) = split_samples(samples, labels_are="instances").held_out
    small = np.zeros_like(held_out.label)
    small[3:5, 4:6] = 1
    faint = replace(held_out, image=(held_out.image * 0.1).astype(np.uint8), label=small)
    strong = replace(held_out, image=np.where(held_out.label > 0, 255, 0).astype(np.uint8)[None])
    return [
        replace(
            every, labels_are="instances",
            samples=[changed if sample is held_out else sample for sample in samples],
        )
        for changed in (faint, strong)
    ]  # fmt: skip


def begin_on(folder, plan):
    """Begin a training on the images of a folder."""
    return begin(read_annotated(folder / "images", folder / "labels"), folder / "model", plan)


def begin(annotated, folder, plan):
    split = split_samples(annotated.samples, labels_are=annotated.labels_are)
    folder.mkdir()
    return Session(folder, annotated, split, plan, device=torch.device("cpu"))


def test_before_it_is_scored_nothing_depends_on_what_is_held_out(annotated, tmp_path):
    plan = tiny_plan(encoding="contact", class_weights=(1.0, 1.0, 1.0), steps=STEPS, frozen_at=0.2)
    one, other = (
        begin(each, tmp_path / str(number), plan) for number, each in enumerate(annotated)
    )
    assert one.samples.normalization == other.samples.normalization
    assert one.decoding == other.decoding
    for each in (one, other):  # half of the steps: the moments are frozen already
        list(itertools.islice(each.trainer, STEPS // 2))
    assert one.trainer.kept.moments
    for name, moments in one.trainer.kept.moments.items():
        for ours, theirs in zip(moments, other.trainer.kept.moments[name], strict=True):
            assert torch.equal(ours, theirs)
    for name, value in one.trainer.weights().items():
        assert torch.equal(value, other.trainer.weights()[name])


def test_the_class_weights_are_those_of_the_training_images(annotated, tmp_path):
    settings = TrainSettings(images=tmp_path, out=tmp_path / "m", steps=5, recipe="paper")
    fingerprint = take_fingerprint(annotated[0])
    plans = [
        choose_plan(
            settings, fingerprint, each, split_samples(each.samples, labels_are="instances"),
            torch.device("cpu"),
        )
        for each in annotated
    ]  # fmt: skip
    assert plans[0].encoding.class_weights == plans[1].encoding.class_weights
    assert len(set(plans[0].encoding.class_weights)) > 1


@pytest.mark.parametrize("last", [5, SCORED, SCORED + 3])
def test_stopped_before_or_after_and_resumed_it_ends_the_same(folder, last):
    train(folder)
    settings = TrainSettings(
        images=folder / "images", labels=folder / "labels", out=folder / "cut",
        plan=folder / "plan.json",
    )  # fmt: skip
    steps = 0
    for event in run_training(settings, pace=EVERY_STEP):
        steps += isinstance(event, trainer.StepLog)
        if steps > last:
            break  # as a kill: nothing more is saved
    train(folder, out="cut", resume=True)
    assert load_bundle(folder / "cut").scores == load_bundle(folder / "model").scores
    for name, value in weights(folder).items():
        torch.testing.assert_close(value, weights(folder, "cut")[name], rtol=0, atol=0)


def test_resumed_for_longer_it_keeps_the_score_that_is_honest(folder):
    train(folder)
    before = load_bundle(folder / "model")
    events = train(folder, resume=True, steps=3 * STEPS)
    assert not [event for event in events if isinstance(event, Validation)]
    after = load_bundle(folder / "model")
    assert (after.scores, after.decoding) == (before.scores, before.decoding)
    assert (after.provenance["scored_at_step"], after.provenance["steps"]) == (SCORED, 3 * STEPS)


def test_what_an_older_version_scored_is_gone_on_from(folder):
    train(folder)
    path = folder / "model" / "training" / "held_out.safetensors"
    tensors, record = load_state(path)
    del record["evidence"], tensors["labels of 0"]
    save_state(path, tensors, record)
    before = load_bundle(folder / "model")
    after = train(folder, resume=True, steps=STEPS + 5)[-1].bundle
    assert after.scores == before.scores
    assert after.provenance["scores_rest_on"] is None
    assert "95 % interval" in (folder / "model" / "report.html").read_text()


def test_a_model_saved_between_has_its_score(folder):
    settings = TrainSettings(
        images=folder / "images", labels=folder / "labels", out=folder / "model",
        plan=folder / "plan.json",
    )  # fmt: skip
    scores = {}
    for event in run_training(settings, pace=EVERY_STEP):
        if isinstance(event, trainer.StepLog) and event.step in (SCORED, SCORED + 2):
            scores[event.step] = load_bundle(folder / "model").scores
    assert scores[SCORED] == {}
    assert scores[SCORED + 2] == load_bundle(folder / "model").scores != {}


def test_stopped_too_soon_it_is_scored_at_its_end(folder):
    settings = TrainSettings(
        images=folder / "images", labels=folder / "labels", out=folder / "model",
        plan=folder / "plan.json",
    )  # fmt: skip
    stop = threading.Event()
    for event in run_training(settings, stop):
        if isinstance(event, trainer.StepLog) and event.step == SCORED - 2:
            stop.set()
    bundle = load_bundle(folder / "model")
    assert bundle.provenance["scored_at_step"] == bundle.provenance["steps"] == SCORED - 2
    assert bundle.scores["Dice"] >= 0
    assert "never trained on" in (folder / "model" / "report.html").read_text()


def test_of_few_images_the_blocks_held_out_are_joined_again(tmp_path):
    session = begin_on(write_folder(tmp_path, number=2), tiny_plan(steps=STEPS))
    used = session.trainer.tiles
    for part, undivided in zip(used.images, used.all_images, strict=True):
        assert isinstance(undivided, TrainingImage)
        assert (np.asarray(part.weight) == 0).sum() > 0
        assert (np.asarray(undivided.weight) == 0).sum() == 0


def test_the_log_holds_the_score(folder):
    train(folder)
    last = [row for row in read_log(folder / "model") if "score" in row][-1]
    assert last["step"] == SCORED
    assert last["score"] == load_bundle(folder / "model").scores


def test_the_model_keeps_the_truth_of_its_example(folder):
    train(folder)
    bundle = load_bundle(folder / "model")
    (name,) = bundle.provenance["held_out"]
    _, label = squares(int(name))
    margin = bundle.net.geometry.margin
    height, width = bundle.example_label.shape
    assert bundle.example.shape == (1, height + 2 * margin, width + 2 * margin)
    top, left = (height - 40) // 2, (width - 40) // 2
    inside = bundle.example_label[top : top + 40, left : left + 40]
    np.testing.assert_array_equal(inside, label > 0)
    assert (bundle.example_label != -1).sum() == label.size


def test_a_network_that_takes_time_is_prepared_for_8_bit_integers(tmp_path):
    session = begin_on(write_folder(tmp_path), tiny_plan(steps=4 * STEPS))
    for _ in session.trainer:
        pass
    plain, _ = session.finish()
    assert session.prepare_int8(plain).int8 == {}  # it is too small for that
    session.prepare_int8(plain, worth_multiplications=0)
    prepared = load_bundle(tmp_path / "model")
    assert prepared.int8
    x = torch.from_numpy(plain.example)[None]
    with torch.inference_mode():
        assert torch.equal(prepared.net(x), plain.net(x))
    never = Tolerance(score_change=-1)
    assert session.prepare_int8(plain, worth_multiplications=0, allowed=never).int8 == {}
