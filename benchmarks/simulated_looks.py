"""Draw every kind of simulated object under every simulated microscope: docs/simulated.png.

python benchmarks/simulated_looks.py OUT.png
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from skimage.segmentation import find_boundaries

from ulens.simulate.looks import LOOKS
from ulens.simulate.mixture import simulate_scene
from ulens.simulate.shapes import KINDS

SIDE_PX = 128


def main() -> None:
    """Draw one row for each kind: each microscope, and the outlines of the last one."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", type=Path)
    options = arguments.parse_args()
    titles = [*LOOKS, "outlines"]
    figure = Figure((1.5 * len(titles), 1.5 * len(KINDS)), layout="constrained")
    panels = figure.subplots(len(KINDS), len(titles))
    for row, kind in enumerate(KINDS):
        scenes = [simulate_scene(row, SIDE_PX, 5, kind=kind, look=look) for look in LOOKS]
        # the labels are the same under each microscope
        outlines = find_boundaries(scenes[-1].labels).astype(np.uint8)
        pictures = [*(scene.image for scene in scenes), outlines]
        for column, picture in enumerate(pictures):
            panel = panels[row, column]
            panel.imshow(picture, cmap="gray")
            panel.set_xticks([])
            panel.set_yticks([])
            if row == 0:
                panel.set_title(titles[column], fontsize=8)
        panels[row, 0].set_ylabel(kind, fontsize=8)
    figure.savefig(options.out, dpi=75)


if __name__ == "__main__":
    main()
