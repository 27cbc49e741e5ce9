import re

import numpy as np
import pytest
from scipy import ndimage

from ulens.appearance import Objects, familiarize, measure_look, measure_objects
from ulens.normalize import fit_normalization
from ulens.predict import unlike
from ulens.predict.unlike import find_unlike
from ulens.resample import resample
from ulens.simulate.mixture import simulate_scene

NUM_LEARNED = 8


def scene(number, look="fluorescence"):
    """Number 8 and on are as those that are learned."""
    found = simulate_scene(number, look=look, kind="nuclei")
    return found.image[None].astype(np.float32), found.labels.astype(np.int32)


def magnified(image, labels, times=3):
    return resample(image, (times, times)), labels.repeat(times, 0).repeat(times, 1)


class Judge:
    """Knows eight scenes, and says how an image is unlike them."""

    def __init__(self, look="fluorescence"):
        learned = [scene(number, look) for number in range(NUM_LEARNED)]
        self.normalization = fit_normalization(image for image, _ in learned)
        normal = [(self.normalization.apply(image), labels) for image, labels in learned]
        self.familiar = familiarize(normal, is_instances=True)

    def __call__(self, image, labels, **options):
        look = measure_look(self.normalization.apply(image))
        return find_unlike(self.familiar, look, measure_objects(labels), **options)


@pytest.fixture(scope="module")
def judge():
    return Judge()


def kinds(found):
    return {each.kind for each in found}


@pytest.mark.parametrize("look", ["fluorescence", "phase contrast", "electron micrograph"])
def test_ordinary_images_are_left_alone(look):
    judge = Judge(look)
    found = [kinds(judge(*scene(number, look))) for number in range(NUM_LEARNED, 28)]
    assert found.count(set()) >= 19


@pytest.mark.parametrize("gain", [1 / 256, 16.0])
def test_brightness_and_contrast_do_not_matter(judge, gain):
    image, labels = scene(9)
    assert judge(gain * image + 7, labels) == judge(image, labels) == ()
    assert judge(-gain * image + 7, labels) == judge(-image, labels) == (unlike.INVERTED,)


def test_objects_of_another_size_come_with_a_zoom_to_try(judge):
    (found,) = judge(*magnified(*scene(9)))
    size = re.fullmatch(
        r"these objects are ([\d.]+) times larger than those in training: try --zoom ([\d.]+)",
        found.text,
    )
    assert float(size[1]) == pytest.approx(3, rel=0.2)
    assert float(size[2]) == pytest.approx(1 / float(size[1]), rel=0.05)
    (again,) = judge(*magnified(*scene(9)), zoom=3.0)
    assert float(again.text.split()[-1]) == pytest.approx(3 / float(size[1]), rel=0.05)
    image, labels = scene(9)
    (found,) = judge(resample(image, (1 / 3, 1 / 3)), labels[::3, ::3])
    assert found.kind == unlike.SMALLER
    assert float(found.text.split()[-1]) == pytest.approx(3, rel=0.2)


def test_the_structures_tell_where_no_objects_do(judge):
    image, _ = magnified(*scene(9))
    (found,) = judge(image, np.eye(2, dtype=int))
    assert found.kind == unlike.COARSER
    assert re.search(
        r"about [23]\.\d times coarser .* try --zoom 0\.[345]\d*, or the focus", found.text
    )


def test_blurred_and_noisy_images_are_noticed(judge):
    image, labels = scene(9)
    (found,) = judge(ndimage.gaussian_filter(image, (0, 3, 3)), labels)
    assert found == unlike.BLURRIER
    noise = np.random.default_rng(0).normal(0, image.std(), image.shape)
    (found,) = judge(image + noise, labels)
    assert found == unlike.NOISIER


def test_an_empty_image_comes_with_what_was_not_found(judge):
    image = np.random.default_rng(0).normal(200, 5, (1, 256, 256)).astype(np.float32)
    nothing = np.zeros((256, 256), int)
    assert kinds(judge(image, nothing)) == {unlike.EMPTY.kind, "no objects found"}
    constant = judge(np.full((1, 256, 256), 7, np.uint8), nothing)
    assert kinds(constant) == {unlike.CONSTANT.kind, "no objects found"}


@pytest.mark.parametrize("times", [0.5, 2.0])
def test_an_empty_image_is_known_on_the_grid_of_the_network(times):
    grid = times, times
    scenes = [scene(number)[0] for number in range(NUM_LEARNED)]
    images = [resample(fit_normalization(scenes).apply(image), grid) for image in scenes]
    labels = np.eye(256, dtype=int)
    familiar = familiarize([(image, labels) for image in images], is_instances=False)
    noise = np.random.default_rng(1).normal(size=(1, 256, 256)).astype(np.float32)
    look = measure_look(resample(noise, grid))
    (found,) = find_unlike(familiar, look, measure_objects(labels), grid=grid)
    assert found == unlike.EMPTY


def test_nothing_found_in_an_ordinary_image_is_said(judge):
    image, labels = scene(9)
    (found,) = judge(image, 0 * labels)
    assert found.text.startswith("no objects found, though it looks like the training images: ")


def test_training_images_of_one_class_are_a_reason(judge):
    image, labels = scene(9)
    image = judge.normalization.apply(image)
    (found,) = find_unlike(
        familiarize([(image, 0 * labels)] * 4, is_instances=False),
        measure_look(image),
        Objects(0, 0.0, 0.0, is_uniform=True),
    )
    assert found.text == "one class only, as in 4 of 4 training images"


def test_a_stranger_is_called_so(judge):
    noise = np.random.default_rng(0).normal(size=(1, 256, 256))
    (found,) = judge(np.exp(3 * noise), np.eye(256, dtype=int))
    assert found == unlike.STRANGER


def test_fragments_are_noticed(judge):
    image, _ = scene(9)
    diameter, density = judge.familiar.diameter_px[1], judge.familiar.num_per_mpx[1]
    look = measure_look(judge.normalization.apply(image))
    (found,) = find_unlike(judge.familiar, look, Objects(3000, diameter, 40 * density, False))
    assert found.text.startswith("far more objects than in training: 40 times as many")


def test_one_image_teaches_less_than_many():
    limits = np.array([0.0, 0.5, 1.0])
    few, many = (float(unlike.how_far_beyond(3.0, limits, 1.0, num)) for num in (1, 100))
    assert 0 < few < 1 < many
    assert float(unlike.how_far_beyond(0.5, limits, 1.0, 8)) == 0
    assert float(unlike.how_far_beyond(-2.0, limits, 1.0, 100)) < -1
