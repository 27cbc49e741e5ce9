import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from ulens.report.track_pictures import (
    color_tracks,
    draw_tracks,
    encode_animation,
    encode_still,
    find_sisters,
    fit_image,
)
from ulens.tracking.lineage import Lineage

# 1 is missed in frame 2, goes on as 2, and divides into 3 and 4.
LINEAGE = Lineage([(1, 0, 1, 0), (2, 3, 4, 1), (3, 5, 9, 2), (4, 5, 7, 2)])


def open_webp(data):
    picture = PillowImage.open(io.BytesIO(data))
    assert picture.format == "WEBP"
    return picture


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((1024, 700), (512, 350)),
        ((30, 2000), (8, 512)),
        ((1, 2000), (1, 512)),
        ((512, 400), (512, 400)),
        ((300, 400), (300, 400)),
        ((100, 200), (200, 400)),
        ((30, 40), (360, 480)),
    ],
)
@pytest.mark.parametrize("num_channels", [1, 2, 3])
def test_images_of_every_size_fill_a_part_of_the_screen(size, shown, num_channels):
    picture = fit_image(np.zeros((num_channels, *size), np.uint16))
    assert (picture.shape, picture.dtype) == ((*shown, 3), np.uint8)


def test_small_images_are_enlarged_without_blur():
    image = np.arange(12.0).reshape(1, 3, 4)
    picture = fit_image(image)[..., 0]
    np.testing.assert_array_equal(picture, np.kron(picture[64::128, 64::128], np.ones((128, 128))))
    assert len(np.unique(picture)) == 12


def test_an_object_keeps_its_colour_over_a_gap_and_daughters_have_their_own():
    colors = color_tracks(LINEAGE)
    assert (colors.shape, colors.dtype) == ((5, 3), np.uint8)
    assert colors[0].tolist() == [0, 0, 0]
    assert colors[1].tolist() == colors[2].tolist()
    assert len({tuple(color) for color in colors[[2, 3, 4]].tolist()}) == 3
    assert color_tracks(Lineage(())).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("frame", "num_frames", "sisters"),
    [
        (4, 9, []),
        (5, 1, [(3, 4)]),
        (6, 1, []),
        (7, 3, [(3, 4)]),
        (8, 9, []),  # one of them is lost by then
        (3, 1, []),  # what goes on after a gap is no daughter
    ],
)
def test_sisters_are_the_daughters_of_a_recent_division(frame, num_frames, sisters):
    assert find_sisters(LINEAGE, frame, num_frames=num_frames) == sisters


def test_outlines_have_the_colours_of_the_tracks_and_the_rest_is_dimmed():
    labels = np.zeros((60, 80), np.uint16)
    labels[10:30, 10:30], labels[10:30, 50:70] = 3, 4
    colors = color_tracks(LINEAGE)
    drawn = draw_tracks(np.full((60, 80, 3), 100, np.uint8), labels, colors)
    assert drawn[10, 20].tolist() == drawn[29, 29].tolist() == colors[3].tolist()
    assert drawn[20, 50].tolist() == colors[4].tolist()
    assert drawn[9, 20].tolist() == drawn[40, 40].tolist() == [75, 75, 75]
    assert drawn[20, 20].tolist() == (75 + 0.12 * colors[3]).astype(int).tolist()


def test_objects_that_touch_are_told_apart():
    labels = np.ones((40, 40), np.uint16)
    labels[:, 20:] = 2
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    drawn = draw_tracks(np.zeros((40, 40, 3), np.uint8), labels, colors)
    assert drawn[20, 19].tolist() == [255, 0, 0]
    assert drawn[20, 20].tolist() == [0, 0, 255]


def test_a_white_line_joins_sisters_from_center_to_center():
    labels = np.zeros((60, 80), np.uint16)
    labels[10:30, 10:30], labels[10:30, 50:70] = 3, 4
    colors, picture = color_tracks(LINEAGE), np.zeros((60, 80, 3), np.uint8)
    plain = draw_tracks(picture, labels, colors)
    joined = draw_tracks(picture, labels, colors, [(3, 4)])
    is_line = (joined != plain).any(axis=-1)
    assert (joined[is_line] == 255).all()
    y, x = np.nonzero(is_line)
    assert set(range(22, 58)) <= set(x)
    assert x.min() >= 18
    assert x.max() <= 61
    assert abs(y - 19.5).max() <= 1.5
    absent = draw_tracks(picture, labels, colors, [(3, 9)])
    np.testing.assert_array_equal(absent, plain)


def test_a_still_picture_is_a_webp_file_that_shows_it():
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:20] = 200, 40, 40
    shown = np.array(open_webp(encode_still(picture)).convert("RGB")).astype(int)
    assert shown.shape == picture.shape
    assert abs(shown - picture)[:16].max() < 12


def test_an_animation_holds_every_picture_and_shows_the_time_at_its_lower_edge():
    """Even where nothing moves."""
    film = open_webp(encode_animation([np.full((200, 500, 3), 90, np.uint8)] * 5))
    assert (film.n_frames, film.size) == (5, (384, 154))
    assert film.info["loop"] == 0
    widths = []
    for i in range(5):
        film.seek(i)
        line = np.array(film.convert("L"))[-2]
        widths.append(int((line > 128).sum()))
    assert widths == pytest.approx([384 * i / 5 for i in (1, 2, 3, 4, 5)], abs=3)


def test_the_last_picture_stays_a_while():
    pictures = [np.full((40, 40, 3), 20 * i, np.uint8) for i in range(3)]
    film = open_webp(encode_animation(pictures))
    durations = []
    for i in range(film.n_frames):
        film.seek(i)
        film.load()
        durations.append(film.info["duration"])
    assert durations[0] == durations[1] < durations[2]
