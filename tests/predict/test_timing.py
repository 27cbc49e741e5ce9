import numpy as np
import pytest
import torch

from ulens.nets.sliding_window import SlidingWindow
from ulens.predict import timing
from ulens.predict.timing import time_interleaved, time_patchwise


def test_runs_take_turns_after_one_call_each():
    calls = []
    found = time_interleaved(
        {name: lambda name=name: calls.append(name) for name in "ab"}, num_rounds=3
    )
    assert "".join(calls) == "ab" * 4
    assert found.keys() == {"a", "b"}
    assert min(found.values()) >= 0


def test_the_median_is_told(monkeypatch):
    taken = iter([1.0, 9.0, 2.0])
    monkeypatch.setattr(timing, "time_once", lambda run: next(taken))
    assert time_interleaved({"a": lambda: None}, num_rounds=3) == {"a": 2.0}


def test_patchwise_prediction_is_timed_on_a_part_and_scaled():
    net = SlidingWindow(window=33, width=1, hidden=1)
    found = time_patchwise(
        net,
        np.zeros((1, 8, 8), np.float32),
        num_pixels=64,
        device=torch.device("cpu"),
        dtype=torch.float32,
        part_px=4,
        batch_sizes=(4, 16, 64),
    )
    assert found.num_windows == 16
    assert found.batch_size in (4, 16)
    assert found.seconds == pytest.approx(4 * found.part_seconds)
    assert net.training
