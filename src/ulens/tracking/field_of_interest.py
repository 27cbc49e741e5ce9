"""The field of interest of the Cell Tracking Challenge: what counts near the image's border.

It leaves out a border of E px at the sides of the image. The organizers' own software
(https://github.com/CellTrackingChallenge/java-ctcmetrics) knows nothing of it: they publish
references without objects outside the field, and expect the same of results. So a reference is
never touched here (a marker of TRA may well lie in the border while its cell reaches into the
field), and a result loses the objects that have no pixel inside the field, as participants'
programs do it. Borders: "Naming and file content conventions" on the challenge's site, as
participants transcribe it.
"""

from pathlib import Path

import numpy as np

from ulens.errors import SettingError

# Data sets that are not listed have no border.
FIELD_OF_INTEREST_PX = {
    **dict.fromkeys(
        (
            "DIC-C2DH-HeLa",
            "Fluo-C2DL-Huh7",
            "Fluo-C2DL-MSC",
            "Fluo-C3DH-H157",
            "Fluo-N2DH-GOWT1",
            "Fluo-N3DH-CE",
            "Fluo-N3DH-CHO",
            "PhC-C2DH-U373",
        ),
        50,
    ),
    **dict.fromkeys(
        ("BF-C2DL-HSC", "BF-C2DL-MuSC", "Fluo-C3DL-MDA231", "Fluo-N2DL-HeLa", "PhC-C2DL-PSC"), 25
    ),
    "Fluo-N2DH-SIM+": 0,
}


def find_field_of_interest(images: Path) -> int:
    """Return the border of the data set that a folder is, or whose sequence it is; 0 of others."""
    place = images.absolute()
    known = (FIELD_OF_INTEREST_PX.get(folder.name) for folder in (place, place.parent))
    return next((border for border in known if border is not None), 0)


def check_border(border_px: int) -> int:
    """Return the width of a border; raise SettingError if it is negative."""
    if border_px < 0:
        raise SettingError(f"field of interest starts {border_px} px inside; need 0 or more")
    return border_px


def drop_outside_field(label_image: np.ndarray, field_of_interest_px: int) -> np.ndarray:
    """Set objects without a pixel inside the field of interest to background.

    Parameters
    ----------
    label_image : integer, (Y, X) or (Z, Y, X); not changed
    field_of_interest_px : width of the border in y and x (px)

    Raises
    ------
    SettingError : the border is negative

    Examples
    --------
    >>> drop_outside_field(np.array([[1, 0, 0, 0, 0], [0, 0, 0, 2, 2], [0, 0, 0, 0, 0]]), 1)
    array([[0, 0, 0, 0, 0],
           [0, 0, 0, 2, 2],
           [0, 0, 0, 0, 0]])
    """
    border = check_border(field_of_interest_px)
    if border == 0:
        return label_image
    height, width = label_image.shape[-2:]
    field = label_image[..., border : max(height - border, 0), border : max(width - border, 0)]
    return np.where(np.isin(label_image, np.unique(field)), label_image, 0)
