import numpy as np

from ulens.annotated.seen import hash_image


def image(seed=0, channels=1):
    return np.random.default_rng(seed).integers(0, 255, (channels, 6, 9), np.uint8)


def test_other_pixels_give_another_hash():
    one = image()
    other = one.copy()
    other[0, 5, 8] += 1
    found = {hash_image(each) for each in (one, other, image(1), one[:, ::-1], one[:, :, :8])}
    assert len(found) == 5
    assert all(len(each) == 16 for each in found)


def test_the_shape_counts():
    assert hash_image(np.ones((1, 2, 6))) != hash_image(np.ones((1, 3, 4)))


def test_how_the_same_pixels_were_saved_does_not_count():
    grey = image()
    assert hash_image(grey) == hash_image(grey.astype(np.uint16)) == hash_image(grey.astype(float))
    assert hash_image(grey) == hash_image(np.repeat(grey, 3, axis=0))
    color = image(channels=3)
    assert hash_image(color) != hash_image(color[:1])
