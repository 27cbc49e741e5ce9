"""Annotations that come while a network is trained."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from tiny_training import squares, tiny_plan, write_folder
from ulens.annotated.holdout import split_samples
from ulens.annotated.samples import hash_samples, read_annotated
from ulens.annotated.seen import hash_image
from ulens.bundle import save_bundle
from ulens.errors import DataError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.planning import TrainSettings
from ulens.jobs.train import run_training
from ulens.training.session import Session

STEPS = 120


def begin(folder, number=5, start_from=None, **changes):
    """Begin a training on the first images of a folder."""
    every = read_annotated(folder / "images", folder / "labels")
    annotated = replace(every, samples=every.samples[:number])
    split = split_samples(annotated.samples, labels_are="classes")
    (folder / "model").mkdir(exist_ok=True)
    session = Session(
        folder / "model", annotated, split, tiny_plan(steps=STEPS, **changes),
        device=torch.device("cpu"), start_from=start_from,
    )  # fmt: skip
    session.start(planning_seconds=0)
    return session, every.samples[number:]


def names(samples):
    return [sample.name for sample in samples]


def test_an_image_that_is_added_between_two_steps_is_trained_on(tmp_path):
    session, (new,) = begin(write_folder(tmp_path, number=6))
    for _ in itertools.islice(session.trainer, 10):
        assert new.name not in [image.name for image in session.trainer.tiles.images]
    session.add([new])
    assert names(session.samples.split.held_out) == ["2"]
    assert [image.name for image in session.trainer.tiles.images] == ["0", "1", "3", "4", "5"]
    assert session.samples.data_sha256 == hash_samples(session.samples.annotated.samples)
    for log in session.trainer:
        assert np.isfinite(log.loss)
        if session.scoring_is_due():
            session.score_held_out()
    bundle, (prediction,) = session.finish()
    assert bundle.provenance["num_images"] == 6
    assert prediction.sample.name == "2"


def test_the_step_after_it_is_another_one(tmp_path):
    folder = write_folder(tmp_path, number=6)
    with_it, (new,) = begin(folder)
    without, _ = begin(folder)
    for session in (with_it, without):
        list(itertools.islice(session.trainer, 3))
    with_it.add([new])
    for session in (with_it, without):
        list(itertools.islice(session.trainer, 6))
    pairs = zip(with_it.trainer.weights().values(), without.trainer.weights().values(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


def test_killed_after_that_it_goes_on_as_if_nothing_had_happened(tmp_path):
    folder = write_folder(tmp_path, number=6, steps=STEPS)
    session, (new,) = begin(folder)
    list(itertools.islice(session.trainer, 30))
    session.add([new])
    work = iter(session.trainer)
    list(itertools.islice(work, 20))  # a snapshot is taken at step 50
    session.save()  # and here it is killed; the folder has all six images
    settings = TrainSettings(
        images=folder / "images", labels=folder / "labels", out=folder / "model", resume=True
    )
    *_, resumed = run_training(settings)
    for _ in work:
        if session.scoring_is_due():
            session.score_held_out()
    whole, _ = session.finish()
    assert resumed.bundle.provenance["held_out"] == whole.provenance["held_out"]
    assert resumed.bundle.scores == whole.scores
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, resumed.bundle.net.state_dict()[name])


def test_of_new_images_one_in_ten_is_held_out_and_none_that_was_trained_on(tmp_path):
    session, new = begin(write_folder(tmp_path, number=21))
    before = names(session.samples.split.training)
    for sample in new:
        session.add([sample])
    assert len(session.samples.split.held_out) == 2
    assert not {sample.name for sample in session.samples.split.held_out} & set(before)
    assert len(session.samples.split.training) == 19


def test_new_images_that_were_seen_before_are_not_held_out(tmp_path):
    folder = write_folder(tmp_path, number=21)
    before, new = begin(folder)
    bundle, _ = before.finish()
    seen = [hash_image(sample.image) for sample in new]
    save_bundle(replace(bundle, provenance={**bundle.provenance, "seen": seen}), folder / "start")
    session, _ = begin(folder, start_from=folder / "start")
    session.add(new)
    assert names(session.samples.split.held_out) == ["2"]
    assert set(session.finish()[0].provenance["seen"]) >= set(seen)


def test_once_it_is_scored_nothing_more_is_held_out(tmp_path):
    session, new = begin(write_folder(tmp_path, number=21))
    list(itertools.islice(session.trainer, 3))
    session.score_held_out()
    session.add(new)
    assert names(session.samples.split.held_out) == ["2"]
    assert len(session.trainer.tiles.all_images) == 21


def test_changed_labels_take_the_place_of_the_old_ones_on_the_same_side(tmp_path):
    session, _ = begin(write_folder(tmp_path, number=2), number=2)
    samples = session.samples
    axis, start, *_ = samples.split.chosen.blocks["0"]
    old = samples.annotated.samples[0]
    label = old.label.copy()
    label[:, :3] = -1  # with fewer annotated pixels the block would begin elsewhere
    label[10:14, 20:24] = 1 - label[10:14, 20:24]
    session.add([replace(old, label=label)])
    assert samples.split.chosen.blocks["0"][:2] == (axis, start)
    training, held_out = samples.split.training[0].label, samples.split.held_out[0].label
    np.testing.assert_array_equal(np.where(training >= 0, training, held_out), label)
    lines = np.arange(label.shape[axis])
    lines = lines[:, None] if axis == 0 else lines[None]
    assert (held_out[np.broadcast_to(lines < start, label.shape)] == -1).all()
    np.testing.assert_array_equal(session.trainer.tiles.images[0].target.numpy(), training)


def test_other_channels_are_refused_and_nothing_is_changed(tmp_path):
    session, _ = begin(write_folder(tmp_path))
    color = replace(session.samples.annotated.samples[0], name="color", image=np.zeros((3, 40, 40)))
    with pytest.raises(DataError, match="color has 3 channels, the training is on images with 1"):
        session.add([color])
    assert len(session.samples.annotated.samples) == 5


def test_a_resumed_training_keeps_what_it_held_out_though_the_rule_would_choose_otherwise(tmp_path):
    folder = write_folder(tmp_path, number=5, steps=STEPS)
    session, _ = begin(folder)
    list(itertools.islice(session.trainer, 5))
    for seed in (7, 8, 9):
        image, label = squares(seed)
        write_tiff(folder / "images" / f"{seed}.tif", Image(data=image, axes="YX"))
        write_tiff(folder / "labels" / f"{seed}.tif", Image(data=label, axes="YX"))
    every = read_annotated(folder / "images", folder / "labels").samples
    session.add(every[5:])
    session.save_end()
    settings = TrainSettings(
        images=folder / "images", labels=folder / "labels", out=folder / "model", resume=True
    )
    *_, resumed = run_training(settings)
    assert resumed.bundle.provenance["held_out"] == ["2"]
    assert names(split_samples(every, labels_are="classes").held_out) != ["2"]
