import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed

from cases import empty, two_touching_discs
from ulens.labels.flood import flood


@pytest.mark.parametrize("seed", range(6))
def test_the_flood_is_scikit_images_watershed(seed):
    generator = np.random.default_rng(seed)
    height = ndimage.gaussian_filter(generator.standard_normal((60, 70)), 2)
    seeds, _ = ndimage.label(height < np.quantile(height, 0.3))
    within = height < np.quantile(height, 0.8)
    # some seeds lie outside, and one part holds none
    within[10:14, 20:60] = within[40, 40:] = within[40:, 40] = False
    seeds[41:, 41:] = 0
    found = flood(seeds, height, within=within)
    np.testing.assert_array_equal(found, watershed(height, seeds, mask=within))
    assert found.dtype == np.int32
    assert (within & (found == 0)).any()


def test_what_is_taken_already_stays():
    labels = two_touching_discs()
    found = flood(labels, np.random.default_rng(0).random(labels.shape), within=labels > 0)
    np.testing.assert_array_equal(found, labels)


def test_without_seeds_nothing_is_taken():
    assert not flood(empty(), np.zeros(empty().shape), within=empty() == 0).any()
