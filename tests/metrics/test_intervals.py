import numpy as np
import pytest

from ulens.metrics.intervals import bootstrap_interval


def mean(means):
    return means


def test_it_is_that_of_students_t_for_a_mean():
    values = np.random.default_rng(1).normal(0.5, 0.05, 12)
    low, high = bootstrap_interval(values.mean(), values, mean)
    half = 2.201 * values.std(ddof=1) / np.sqrt(12)
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)
    assert (high + low) / 2 == pytest.approx(values.mean())


def test_of_two_images_little_is_known():
    low, high = bootstrap_interval(0.8, np.array([0.79, 0.81]), mean)
    assert (high - low) / 2 == pytest.approx(12.706 * 0.01, rel=0.05)  # Student's t, 1 free


def test_it_stays_between_0_and_1():
    assert bootstrap_interval(0.5, np.array([0.0, 1.0]), mean) == (0, 1)


def test_from_one_there_is_none():
    assert bootstrap_interval(0.5, np.array([0.5]), mean) is None


def test_from_images_that_are_all_alike_there_is_none():
    assert bootstrap_interval(1.0, np.ones(20), mean) is None


def test_a_ratio_is_that_of_sums():
    counts = np.array([[1, 2], [40, 80], [3, 6]])
    assert bootstrap_interval(0.5, counts, lambda m: m[:, 0] / m[:, 1]) is None
    assert bootstrap_interval(0.5, counts[:, 0] / 80, mean) is not None


def test_it_is_the_same_in_each_call():
    values = np.array([0.48, 0.5, 0.53])
    assert bootstrap_interval(0.5, values, mean) == bootstrap_interval(0.5, values, mean)
