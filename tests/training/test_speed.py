import pytest
import torch

from tiny_training import tiny_plan
from ulens.planning.parts import TensorFormat
from ulens.training import speed
from ulens.training.speed import steps_per_second, tensor_formats
from ulens.training.trainer import MEMORY_FORMATS, Trainer

CPU = torch.device("cpu")


@pytest.mark.parametrize("encoding", ["classes", "boundary", "distance"])
def test_every_encoding_has_a_speed(encoding):
    plan = tiny_plan(encoding=encoding)
    assert steps_per_second(plan, in_channels=2, device=CPU, allowed_seconds=60) > 0


@pytest.fixture
def timed(monkeypatch):
    """Steps of a tenth of a second for each 18 px of the tile; returns the tiles timed."""
    crops = []

    def time_next(steps, device):
        crops.append(next(steps).tiles.crop)
        return crops[-1] / 180

    monkeypatch.setattr(speed, "_time_next", time_next)
    monkeypatch.setattr(speed, "_train_on_noise", lambda plan, *_: iter([plan] * 9))
    return crops


def test_where_time_is_short_the_smallest_tile_tells(timed):
    plan = tiny_plan(crop=36)
    assert plan.network_geometry.input_size(1) == 18
    rate = steps_per_second(plan, in_channels=1, device=CPU, allowed_seconds=0.7)
    assert set(timed) == {18}
    assert rate == pytest.approx(10 / 4)  # four times the pixels


@pytest.mark.parametrize(
    ("allowed", "slowed", "expected"),
    [(0.7, (2, 1, 1), 10 / 4), (100, (2, 1, 1, 4, 1, 1), 5), (100, (1, 1, 1, 1, 1, 4), 5)],
)
def test_one_slow_step_of_three_does_not_tell(monkeypatch, timed, allowed, slowed, expected):
    steady, times = speed._time_next, iter(slowed)
    monkeypatch.setattr(speed, "_time_next", lambda *args: steady(*args) * next(times))
    rate = steps_per_second(tiny_plan(crop=36), in_channels=1, device=CPU, allowed_seconds=allowed)
    assert rate == pytest.approx(expected)


@pytest.mark.parametrize(("allowed", "num_timed"), [(0.2, 1), (0.5, 2), (0.7, 3)])
def test_the_smallest_tile_takes_a_third_of_the_time_allowed(timed, allowed, num_timed):
    steps_per_second(tiny_plan(crop=36), in_channels=1, device=CPU, allowed_seconds=allowed)
    assert timed == num_timed * [18]


@pytest.mark.parametrize(("allowed", "num_timed"), [(0.9, 1), (1.3, 2), (100, 3)])
def test_where_there_is_time_the_steps_of_the_plan_are_timed(timed, allowed, num_timed):
    plan = tiny_plan(crop=36)
    rate = steps_per_second(plan, in_channels=1, device=CPU, allowed_seconds=allowed)
    assert [crop for crop in timed if crop != 18] == num_timed * [36]
    assert rate == pytest.approx(5)


def test_bf16_goes_with_channels_last_and_fp32_with_channels_apart(monkeypatch):
    for is_fast, first in (
        (True, TensorFormat("bf16", "channels_last")),
        (False, TensorFormat("fp32", "contiguous")),
    ):
        monkeypatch.setattr(speed, "has_fast_bf16", lambda device, is_fast=is_fast: is_fast)
        assert tensor_formats(CPU)[0] == first
        assert len(set(tensor_formats(CPU))) == 2


@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
def test_a_training_holds_its_tensors_as_planned(tiny_images, memory_format):
    plan = tiny_plan(memory_format=memory_format, depth=2, crop=60)
    trainer = Trainer(plan.make_network(1), tiny_images, plan)
    seen = []
    trainer.net.down[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    next(iter(trainer))
    assert seen[-1].shape[1] > 1
    assert seen[-1].is_contiguous(memory_format=MEMORY_FORMATS[memory_format])
