import pytest

from tiny_training import tiny_plan
from ulens.training.schedule import FINAL_FRACTION, learning_rate


def test_the_rate_rises_over_the_warm_up_and_falls_as_a_cosine():
    plan = tiny_plan(learning_rate=1.0, warmup_steps=10).optimizer
    assert learning_rate(plan, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(plan, 4, 0.0) == pytest.approx(0.5)
    assert learning_rate(plan, 9, 0.0) == pytest.approx(1.0)
    assert learning_rate(plan, 99, 0.5) == pytest.approx((1 + FINAL_FRACTION) / 2)
    assert learning_rate(plan, 99, 1.0) == pytest.approx(FINAL_FRACTION)
    # the last step of a training of so many seconds ends a little late
    assert learning_rate(plan, 99, 1.1) == pytest.approx(FINAL_FRACTION)


def test_a_constant_rate_stays():
    plan = tiny_plan(learning_rate=1.0, warmup_steps=0, schedule="constant").optimizer
    assert {learning_rate(plan, step, step / 10) for step in range(11)} == {1.0}
