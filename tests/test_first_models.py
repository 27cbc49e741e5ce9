"""Models made at commit bfefdf8 from simulated images still predict the same.

The maps are those of that commit; the labels are those of 5c4d854, which closes gaps more smoothly.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import ulens
from ulens.planning.plan import read_plan

KINDS = ("cells", "membranes")
HERE = Path(__file__).parent / "first_models"


@pytest.mark.parametrize("kind", KINDS)
def test_an_early_model_predicts_as_it_did(kind):
    folder = HERE / kind
    model = ulens.load(folder / "model", device="cpu")
    image = ulens.read_image(folder / "image.tif").data
    labels, maps = (
        ulens.read_image(folder / f"{name}.tif").data for name in ("labels", "probabilities")
    )
    np.testing.assert_array_equal(model.segment(image), labels)
    # processors round differently in the last digits
    np.testing.assert_allclose(model.predict(image), maps, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_early_plan_is_read(kind):
    path = HERE / kind / "model" / "plan.json"
    written = json.loads(path.read_text())
    plan = read_plan(path)
    assert (plan.network.width, plan.network.depth, plan.tiles.crop) == (4, 2, written["crop"])
    assert plan.augmentation.geometry.elastic_sd_px == written["geometry"]["elastic_sd_px"]
