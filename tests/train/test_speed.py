import pytest
import torch

from training import tiny_plan
from ulens.train.speed import steps_per_second


@pytest.mark.parametrize("encoding", ["classes", "boundary", "distance"])
def test_every_encoding_has_a_speed(encoding):
    plan = tiny_plan(encoding=encoding)
    assert steps_per_second(plan, in_channels=2, device=torch.device("cpu")) > 0
