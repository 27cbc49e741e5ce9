import base64
import io
import re

import numpy as np
import pytest
from PIL import Image as PillowImage

from ulens.report.tracking import Shown, choose_frames, write_tracking_report
from ulens.tracking.lineage import Lineage
from ulens.tracking.tracks import Tracking

# Of 91 frames every tenth is shown; the division lies between two of these.
DIVISION = Lineage([(1, 0, 14, 0), (2, 15, 90, 1), (3, 15, 90, 1)])


def is_joined(picture):
    """Whether there is a line in the middle, where no object is."""
    return bool((np.array(picture.convert("L"))[20, 36:44] > 200).all())


def show(number):
    labels = np.zeros((40, 80), np.uint16)
    labels[14:26, 8:20], labels[14:26, 60:72] = (2, 3) if number >= 15 else (1, 1)
    return Shown(number=number, picture=np.zeros((40, 80, 3), np.uint8), labels=labels)


@pytest.fixture
def webp_pictures(tmp_path):
    objects = tuple(np.arange(1, 2 if frame < 15 else 3) for frame in range(91))
    write_tracking_report(
        tmp_path / "out.html",
        out=tmp_path / "out",
        tracking=Tracking(lineage=DIVISION, labels=objects, tracks=objects),
        shown=[show(number) for number in range(0, 91, 10)],
        field="",
        num_drawn=0,
    )
    encoded = re.findall(r"data:image/webp;base64,([^\"]+)", (tmp_path / "out.html").read_text())
    return [PillowImage.open(io.BytesIO(base64.b64decode(data))) for data in encoded]


def test_the_film_joins_daughters_for_six_pictures_though_it_leaves_frames_out(webp_pictures):
    film, joined = webp_pictures[0], []
    for i in range(film.n_frames):
        film.seek(i)
        joined.append(is_joined(film))
    assert joined == [False] * 2 + [True] * 6 + [False] * 2


def test_the_frames_join_daughters_in_the_first_picture_after_the_division(webp_pictures):
    assert [is_joined(still) for still in webp_pictures[1:]] == [False] * 2 + [True] + [False] * 7


@pytest.mark.parametrize("num_frames", [1, 2, 11, 12, 13, 1000])
def test_frames_are_chosen_from_the_first_to_the_last_and_none_twice(num_frames):
    chosen = choose_frames(num_frames, most=12)
    assert len(chosen) == len(set(chosen)) == min(num_frames, 12)
    assert (chosen[0], chosen[-1]) == (0, num_frames - 1)
    assert len({*np.diff(chosen)}) <= 2
