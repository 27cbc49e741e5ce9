import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from ulens.metrics.thinning import thin_membrane

INTERIORS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))


def slow_components(mask):
    """4-connected components of a dict (x, y) -> bool, as a dict (x, y) -> label."""
    labels, num = {}, 0
    for start in mask:
        if not mask[start] or start in labels:
            continue
        num += 1
        labels[start] = num
        open_ends = [start]
        while open_ends:
            x, y = open_ends.pop()
            for q in ((x - 1, y), (x, y - 1), (x + 1, y), (x, y + 1)):
                if mask.get(q) and q not in labels:
                    labels[q] = num
                    open_ends.append(q)
    return labels


def slow_thin(interior):
    """The rules of the specification word by word, one pixel after the other."""
    height, width = interior.shape
    pixels = [(x, y) for x in range(width) for y in range(height)]
    label = dict.fromkeys(pixels, "unvisited")
    label |= slow_components({(x, y): bool(interior[y, x]) for x, y in pixels})

    def neighbours(p):
        around = ((p[0] - 1, p[1]), (p[0], p[1] - 1), (p[0] + 1, p[1]), (p[0], p[1] + 1))
        return [q for q in around if q in label]

    def is_positive(value):
        return isinstance(value, int) and value > 0

    queue = []
    for p in pixels:
        touches = any(is_positive(label[q]) or label[q] == 0 for q in neighbours(p))
        if label[p] == "unvisited" and touches:
            label[p] = "in queue"
            queue.append(p)
    flag = False
    while queue:
        p = queue.pop(0)
        for q in neighbours(p):
            if is_positive(label[q]):
                if label[p] == "in queue" or (label[p] == 0 and flag):
                    label[p] = label[q]
                elif is_positive(label[p]) and label[p] != label[q]:
                    label[p] = 0
                    flag = False
            elif label[q] == 0:
                if label[p] == "in queue":
                    label[p] = 0
                    flag = True
            elif label[q] == "unvisited":
                label[q] = "in queue"
                queue.append(q)
    left = slow_components({p: label[p] == "unvisited" for p in pixels})
    first_new = max((value for value in label.values() if is_positive(value)), default=0)
    for p, basin in left.items():
        label[p] = first_new + basin
    return np.array([[label[x, y] for x in range(width)] for y in range(height)])


def up_to_renumbering(labels):
    """Number labels by their first pixel, row by row; 0 stays 0."""
    order = {0: 0}
    return [[order.setdefault(value, len(order)) for value in row] for row in labels.tolist()]


@settings(deadline=None, max_examples=300)
@given(INTERIORS)
def test_thinning_follows_the_rules_pixel_by_pixel(interior):
    assert up_to_renumbering(thin_membrane(interior)) == up_to_renumbering(slow_thin(interior))


@pytest.mark.parametrize("share", [0.9, 0.97, 0.99])
def test_thinning_follows_the_rules_far_from_the_cells(share):
    interior = np.random.default_rng(3).random((60, 47)) > share
    assert up_to_renumbering(thin_membrane(interior)) == up_to_renumbering(slow_thin(interior))


@settings(deadline=None)
@given(INTERIORS)
def test_cells_keep_their_pixels(interior):
    labels = thin_membrane(interior)
    assert labels.dtype == np.int32
    assert np.all(labels[interior] > 0)


def test_two_cells_meet_in_a_line_of_one_pixel():
    interior = np.zeros((3, 7), bool)
    interior[:, 0] = interior[:, 6] = True
    assert thin_membrane(interior).tolist() == [[1, 1, 1, 0, 2, 2, 2]] * 3


def test_without_cells_all_is_one_basin():
    assert thin_membrane(np.zeros((2, 3), bool)).tolist() == [[1, 1, 1], [1, 1, 1]]
