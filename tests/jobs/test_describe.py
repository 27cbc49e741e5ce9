from dataclasses import replace

import pytest

from brightness import make_bundle
from ulens.bundle import ModelBundle, save_bundle
from ulens.errors import SettingError
from ulens.jobs.describe import DescribeSettings, describe
from ulens.nets.sliding_window import SlidingWindow
from ulens.normalize import Normalization


def test_another_network_is_described_but_not_drawn_as_a_u_net(tmp_path):
    folder, figure = tmp_path / "window.model", tmp_path / "figure.svg"
    net = SlidingWindow(window=33, width=4)
    bundle = ModelBundle(
        net=net, normalization=Normalization((1.0,)), encoding="classes", class_values=(0, 255)
    )
    save_bundle(bundle, folder)
    lines = describe(DescribeSettings(str(folder)))
    assert any("sliding-window of width 4 and window 33: 1 channel" in line for line in lines)
    with pytest.raises(SettingError, match="is no U-Net, and figure 1 shows one; leave the figure"):
        describe(DescribeSettings(str(folder), out=figure))
    assert not figure.exists()


def test_a_model_that_was_hardly_trained_is_called_so(tmp_path):
    provenance = {"scored_at_step": 5, "steps": 5, "training_seconds": 8.0, "progress": 0.1}
    save_bundle(replace(make_bundle(), provenance=provenance), tmp_path / "m")
    lines = describe(DescribeSettings(str(tmp_path / "m")))
    assert "hardly trained: its training was stopped after 8 seconds, at step 5" in lines
