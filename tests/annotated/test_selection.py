import numpy as np
import pytest

from ulens.annotated.selection import name_ranges, parse_frames, select_planes
from ulens.errors import SettingError


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read_again(seed):
    generator = np.random.default_rng(seed)
    numbers = np.flatnonzero(generator.random(30) < 0.6).tolist()
    assert parse_frames(name_ranges(generator.permutation(numbers).tolist()), 30) == numbers


@pytest.mark.parametrize("spec", ["1;2", "01:2", "3-1", "1,,2", "-1"])
def test_what_is_no_selection_of_planes_is_refused(spec):
    with pytest.raises(SettingError, match="is no selection; write numbers and ranges such as"):
        select_planes(spec, [2, 3])


def test_planes_are_counted_over_all_files():
    assert select_planes(None, [1, 2]) == [[0], [0, 1]]
    assert select_planes("1-3", [2, 1, 3]) == [[1], [0], [0]]
    assert select_planes(None, []) == []
    with pytest.raises(SettingError, match="asks for image 3; there are 3 images, 0-2"):
        select_planes("3", [1, 2])
