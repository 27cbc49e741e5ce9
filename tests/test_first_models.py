"""Models made at commit bfefdf8 from simulated images still predict the same.

The maps are those of that commit; the labels are those of 5c4d854, which closes gaps more smoothly.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import ulens
from ulens.bundle import load_bundle
from ulens.planning.plan import read_plan
from ulens.predict.segmenter import Segmenter

KINDS = ("cells", "membranes")
HERE = Path(__file__).parent / "first_models"


@pytest.mark.parametrize("kind", KINDS)
def test_an_early_model_predicts_as_it_did(kind):
    folder = HERE / kind
    # other engines round more coarsely
    model = Segmenter(load_bundle(folder / "model"), device="cpu", engine="fp32")
    image = ulens.read_image(folder / "image.tif").data
    labels, maps = (
        ulens.read_image(folder / f"{name}.tif").data for name in ("labels", "probabilities")
    )
    found = model.segment(image[None])
    np.testing.assert_array_equal(found.labels, labels)
    # processors round differently in the last digits
    np.testing.assert_allclose(found.maps, maps, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_early_model_segments_as_it_did_but_for_rounding(kind):
    folder = HERE / kind
    found = ulens.load(folder / "model", device="cpu").segment(
        ulens.read_image(folder / "image.tif")
    )
    labels = ulens.read_image(folder / "labels.tif").data
    assert (found != labels).mean() < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_an_early_plan_is_read(kind):
    path = HERE / kind / "model" / "plan.json"
    written = json.loads(path.read_text())
    plan = read_plan(path)
    assert (plan.network.width, plan.network.depth, plan.tiles.crop) == (4, 2, written["crop"])
    assert plan.augmentation.geometry.elastic_sd_px == written["geometry"]["elastic_sd_px"]
