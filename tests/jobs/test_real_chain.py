"""Real images through the whole chain: train, segment, evaluate."""

import shutil

import numpy as np
import pytest

from ulens.annotated.pairs import find_pairs
from ulens.io.files import read_image
from ulens.jobs.evaluate import evaluate
from ulens.jobs.planning import TrainSettings
from ulens.jobs.segment import segment
from ulens.jobs.train import Trained, run_training


def trained_on(images, out, **settings):
    events = list(run_training(TrainSettings(images=images, out=out, **settings)))
    assert isinstance(events[-1], Trained)
    return events[-1].bundle


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "labels_are", "num_channels", "measure"),
    [
        ("isbi2012/train", "classes", 1, "isbi2012"),
        ("dsb2018", "instances", 3, "instances"),
        ("wbc", "classes", 3, "semantic"),
    ],
)
def test_real_folders_train_segment_and_evaluate(
    real_data, tmp_path, name, labels_are, num_channels, measure
):
    # every eighth pair: dsb2018 then has grey and colour images, as a whole folder does
    pairs = find_pairs(real_data / name).pairs[::8][:7]
    for pair in pairs:
        for kind, path in (("images", pair.image), ("labels", pair.label)):
            (tmp_path / kind).mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / kind)
    bundle = trained_on(tmp_path, tmp_path / "model", steps=2, width=2)
    assert bundle.labels_are == labels_are
    assert bundle.net.in_channels == num_channels
    written = segment(tmp_path / "model", tmp_path / "images", tmp_path / "masks")
    assert len(written) == len(pairs)
    for pair in pairs:
        mask = read_image(tmp_path / "masks" / f"{pair.image.stem}.tif").data
        assert mask.shape == read_image(pair.label).data.shape
    scores = evaluate(tmp_path / "labels", tmp_path / "masks", measures=[measure]).scores
    assert np.isfinite(list(scores[measure].values())).all()


@pytest.mark.slow
@pytest.mark.real
def test_two_minutes_on_real_micrographs_find_the_membranes(real_data, tmp_path):
    slices = real_data / "isbi2012" / "train"
    bundle = trained_on(slices, tmp_path / "model", frames="0-9", steps=300, width=16)
    assert bundle.scores["V_Rand"] > 0.85
    assert bundle.scores["pixel error"] < 0.12
