import numpy as np
import pytest
from scipy import ndimage

from ulens.errors import SettingError
from ulens.simulate.looks import LOOKS
from ulens.simulate.mixture import simulate_scene
from ulens.simulate.shapes import KINDS


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_shown_by_every_microscope(kind, look):
    scene = simulate_scene(3, 128, kind=kind, look=look)
    assert (scene.kind, scene.look) == (kind, look)
    assert scene.image.dtype == np.uint8
    assert scene.image.std() > 10
    numbers = np.unique(scene.labels)
    assert numbers.tolist() == list(range(len(numbers)))
    for number in numbers[1:]:
        assert ndimage.label(scene.labels == number)[1] == 1


def median_diameter(labels):
    return np.sqrt(4 * np.median(np.bincount(labels.ravel())[1:]) / np.pi)


@pytest.mark.parametrize("kind", ["packed cells", "nuclei", "yeast", "tissue"])
@pytest.mark.parametrize("diameter_px", [12, 40])
def test_objects_are_as_large_as_asked_for(kind, diameter_px):
    scenes = [simulate_scene(k, 192, kind=kind, diameter_px=diameter_px) for k in range(4)]
    found = np.median([median_diameter(scene.labels) for scene in scenes])
    assert 0.6 * diameter_px < found < 1.5 * diameter_px


def test_an_image_depends_on_its_number_and_the_seed_alone():
    first, again = simulate_scene(5, 96, seed=2), simulate_scene(5, 96, seed=2)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (simulate_scene(6, 96, seed=2).image != first.image).any()
    assert (simulate_scene(5, 96, seed=3).image != first.image).any()


def test_all_kinds_and_looks_are_drawn():
    scenes = [simulate_scene(number, 64) for number in range(60)]
    assert {scene.kind for scene in scenes} == set(KINDS)
    assert {scene.look for scene in scenes} == set(LOOKS)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"number": -1}, "number is -1"),
        ({"size": 20}, "size is 20"),
        ({"seed": -1}, "seed is -1"),
        ({"kind": "cats"}, "kind is 'cats'; it takes packed cells, sparse"),
        ({"look": "X-ray"}, "look is 'X-ray'; it takes DIC"),
        ({"diameter_px": 1}, "diameter_px is 1; it needs to be from 4 to 256"),
    ],
)
def test_what_makes_no_sense_is_refused(asked, message):
    with pytest.raises(SettingError, match=message):
        simulate_scene(**{"number": 0, **asked})
