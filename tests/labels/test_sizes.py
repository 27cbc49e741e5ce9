import numpy as np
import pytest

from ulens.labels.sizes import factor_to, look_for_factor, median_diameter


def squares_of(*sides):
    labels = np.zeros((60, 60 * len(sides)), int)
    for number, side in enumerate(sides):
        labels[5 : 5 + side, 60 * number : 60 * number + side] = number + 1
    return labels


def test_the_median_object_counts():
    assert median_diameter(squares_of(2, 10, 30)) == pytest.approx(10 * np.sqrt(4 / np.pi))
    assert median_diameter(np.array([[0, -1, 0]])) == 0


@pytest.mark.parametrize(
    ("object_px", "diameter_px", "factor"),
    [(20, 10, 2), (20, 30, 2 / 3), (0, 10, 1), (20, 0, 1), (20, 1, 4), (20, 1000, 0.25)],
)
def test_the_factor_is_limited_and_1_where_nothing_is_known(object_px, diameter_px, factor):
    assert factor_to(object_px, diameter_px) == pytest.approx(factor)


@pytest.mark.parametrize(("side", "num_looks"), [(20, 1), (7, 2), (55, 2)])
def test_it_looks_again_where_objects_are_of_another_size(side, num_looks):
    looks = []

    def segment(factor):
        looks.append(factor)
        return squares_of(side)

    object_px = 20 * np.sqrt(4 / np.pi)
    factor = look_for_factor(segment, object_px)
    assert factor == pytest.approx(1.0 if side == 20 else 20 / side)
    assert len(looks) == num_looks
    assert look_for_factor(lambda factor: squares_of(), 0.0) == 1.0
