"""The model that comes with ulens, and which trainings start from it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tiny_training import squares
from ulens.annotated.samples import read_annotated
from ulens.bundle import START, find_model, load_bundle
from ulens.errors import FileError, ModelError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.describe import DescribeSettings, describe
from ulens.jobs.planning import (
    FEW_IMAGES,
    LONGER_OF_FEW,
    LONGEST_FROM_START,
    NOISE,
    TrainSettings,
    choose_start,
)
from ulens.jobs.train import Message, run_training
from ulens.metrics.ctc import seg_scores
from ulens.planning.fingerprint import take_fingerprint
from ulens.predict.segmenter import Segmenter
from ulens.simulate.mixture import simulate_scene

SECONDS, STEPS = LONGEST_FROM_START["contact"]


def test_it_is_small_and_tells_where_it_comes_from():
    sizes = {path.name: path.stat().st_size for path in START.iterdir()}
    assert sum(sizes.values()) < 5e6
    card = (START / "README.md").read_text(encoding="utf-8")
    for part in ("benchmarks/start_model.py", "CC0", "SEG"):
        assert part in card
    assert not any(str(Path.home()) in path.read_text() for path in START.glob("*.json"))


def test_it_finds_cells_without_any_training():
    segmenter = Segmenter(load_bundle(Path("start")), device="cpu")
    pairs = []
    for number in range(4):  # of another seed than those it was trained on
        scene = simulate_scene(number, 128, 77, kind="yeast", look="fluorescence")
        pairs.append((scene.labels.astype(int), segmenter.segment(scene.image[None]).labels))
    assert seg_scores(pairs).seg > 0.6


def test_it_is_described_by_its_name():
    lines = describe(DescribeSettings("start"))
    assert "instances, encoding contact" in lines[0]


def test_its_name_gives_way_to_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_model(Path("start")) == START
    Path("start").mkdir()
    assert find_model(Path("start")) == Path("start")


@pytest.fixture
def cells(tmp_path):
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for seed in range(4):
        image, label = squares(seed)
        numbers = np.where(label > 0, 1 + np.arange(label.size).reshape(label.shape) // 640, 0)
        write_tiff(tmp_path / "images" / f"{seed}.tif", Image(data=image, axes="YX"))
        labels = numbers.astype(np.uint16)
        write_tiff(tmp_path / "labels" / f"{seed}.tif", Image(data=labels, axes="YX"))
    return tmp_path


def asked(folder, **changes):
    settings = TrainSettings(
        images=folder / "images", labels=folder / "labels", out=folder / "model",
        labels_are="instances", device="cpu", int8=False,
    )  # fmt: skip
    return dataclasses.replace(settings, **changes)


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        ({"seconds": SECONDS}, True),
        ({"seconds": SECONDS + 1}, False),
        ({"steps": STEPS}, True),
        ({"steps": STEPS + 1}, False),
        ({}, True),
        ({"steps": 10, "width": 16}, True),
        ({"steps": 10, "width": 32}, False),
        ({"steps": 10, "recipe": "paper"}, False),
        ({"steps": 10, "start_from": NOISE}, False),
        ({"steps": 10, "plan": Path("plan.json")}, False),
    ],
)
def test_short_trainings_of_the_default_recipe_start_from_it(cells, changes, starts):
    settings = asked(cells, **changes)
    assert (choose_start(settings, fingerprint_of(settings, FEW_IMAGES + 1)) == START) == starts


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        ({"seconds": LONGER_OF_FEW * SECONDS}, True),
        ({"seconds": LONGER_OF_FEW * SECONDS + 1}, False),
        ({"steps": int(LONGER_OF_FEW * STEPS)}, True),
        ({"steps": int(LONGER_OF_FEW * STEPS) + 1}, False),
    ],
)
def test_few_images_start_from_it_in_longer_trainings_too(cells, changes, starts):
    settings = asked(cells, **changes)
    assert (choose_start(settings, fingerprint_of(settings, FEW_IMAGES)) == START) == starts
    assert choose_start(settings, fingerprint_of(settings, FEW_IMAGES + 1)) is None


def fingerprint_of(settings, num_images):
    annotated = read_annotated(settings.images, settings.labels, labels_are="instances")
    return dataclasses.replace(take_fingerprint(annotated), num_images=num_images)


def test_membranes_and_color_start_from_it_too_other_classes_and_channels_from_noise(cells):
    settings = asked(cells, steps=10)
    fingerprint = take_fingerprint(read_annotated(settings.images, settings.labels))
    for changes, starts in (
        ({"labels_are": "instances"}, True),
        ({"labels_are": "instances", "num_channels": 3}, True),
        ({"labels_are": "instances", "num_channels": 2}, False),
        ({"labels_are": "classes", "membrane_fraction": 0.9}, True),
        ({"labels_are": "classes", "membrane_fraction": 0.1}, False),
    ):
        images = dataclasses.replace(fingerprint, **changes)
        assert (choose_start(settings, images) == START) == starts
    membranes = dataclasses.replace(fingerprint, labels_are="classes", membrane_fraction=0.9)
    longer = dataclasses.replace(settings, steps=LONGEST_FROM_START["membrane"][1] + 1)
    assert choose_start(longer, membranes) is None


def test_a_training_that_starts_from_it_says_so(cells):
    *events, last = run_training(asked(cells, steps=1))
    assert any("--from noise" in event.text for event in events if isinstance(event, Message))
    plan = json.loads((cells / "model" / "plan.json").read_text())
    start = load_bundle(START)
    assert (plan["network"]["width"], plan["network"]["depth"]) == (
        start.net.width,
        start.net.depth,
    )
    assert plan["encoding"]["name"] == start.encoding
    ours, theirs = last.bundle.net.state_dict(), start.net.state_dict()
    change = max(float((ours[name] - theirs[name]).abs().max()) for name in theirs)
    assert change < 0.01  # of one step
    *events, _ = run_training(asked(cells, steps=1, start_from=NOISE, overwrite=True))
    assert not any("--from noise" in event.text for event in events if isinstance(event, Message))


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"start_from": Path("nois")}, ModelError, "nois"),
        ({"labels": Path("nowhere")}, FileError, "nowhere does not exist; give a label file"),
    ],
)
def test_where_something_is_missing_nothing_is_written(cells, wrong, error, words):
    with pytest.raises(error, match=words):
        list(run_training(dataclasses.replace(asked(cells, steps=1), **wrong)))
    assert not (cells / "model").exists()
