"""Training on a folder of the Cell Tracking Challenge, partly annotated."""

import json

import numpy as np
import pytest

from tiny_training import squares, tiny_plan
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.planning import TrainSettings
from ulens.jobs.train import Message, Trained, run_training


def write_sequence(folder, number):
    """Frames of squares; silver truth of all, gold truth of the first without its last square."""
    for kind in ("01", "01_GT/SEG", "01_ST/SEG"):
        (folder / kind).mkdir(parents=True)
    for k in range(number):
        image, _ = squares(k)
        cells = np.zeros(image.shape, np.uint16)
        cells[4:12, 4:12], cells[20:30, 20:30] = 1, 2
        pixels = (image // 4 + 100 * (cells > 0)).astype(np.uint8)
        write_tiff(folder / f"01/t{k:03d}.tif", Image(data=pixels, axes="YX"))
        write_tiff(folder / f"01_ST/SEG/man_seg{k:03d}.tif", Image(data=cells, axes="YX"))
    gold = np.where(cells == 2, 0, cells)
    write_tiff(folder / "01_GT/SEG/man_seg000.tif", Image(data=gold, axes="YX"))


@pytest.mark.parametrize("encoding", ["boundary", "distance"])
def test_a_model_is_trained_on_gold_and_silver_and_scored_on_the_last_frame(tmp_path, encoding):
    write_sequence(tmp_path / "cells", 12)
    plan = tiny_plan(steps=3, encoding=encoding)
    (tmp_path / "plan.json").write_text(json.dumps(plan.to_json()))
    settings = TrainSettings(
        images=tmp_path / "cells",
        out=tmp_path / "model",
        frames="01:0-9",
        plan=tmp_path / "plan.json",
        device="cpu",
    )
    events = list(run_training(settings))
    messages = [event.text for event in events if isinstance(event, Message)]
    assert messages[0] == (
        "Cell Tracking Challenge, sequence 01: 1 frame with gold truth, 9 with silver alone; "
        "1 cell without outline ignored (1 in 01/t000)"
    )
    assert messages[1].startswith("held out for the score: 1 of 10 images (01/t009); 1 of them")
    trained = events[-1]
    assert isinstance(trained, Trained)
    assert trained.bundle.labels_are == "instances"
    assert trained.bundle.provenance["held_out"] == ["01/t009"]
    assert 0 <= trained.bundle.scores["AP@0.5"] <= 1
