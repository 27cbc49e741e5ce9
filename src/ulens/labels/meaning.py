"""What the values of a label image mean."""

from typing import Literal

IGNORED = -1
"""The value of pixels that are not annotated."""

LabelsAre = Literal["classes", "instances"]
"""0…K−1, the class of each pixel; or 0 = background and a number for each object."""
