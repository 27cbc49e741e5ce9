import numpy as np

from ulens.simulate.baseline import otsu_components


def test_separate_blobs_become_components_and_specks_go():
    image = np.random.default_rng(0).normal(20, 3, (60, 60))
    image[5:20, 5:20] = image[30:50, 30:50] = 200
    image[50:52, 5:7] = 200
    labels = otsu_components(image)
    assert labels.dtype == np.int32
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert labels[10, 10] != labels[40, 40]
    assert labels[51, 6] == 0


def test_touching_blobs_become_one_component():
    image = np.zeros((40, 40))
    image[10:30, 5:20] = 100
    image[10:30, 20:35] = 110
    assert otsu_components(image).max() == 1


def test_an_even_image_holds_nothing():
    assert otsu_components(np.full((30, 30), 7, np.uint8)).max() == 0
