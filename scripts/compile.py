"""Compiles what numba compiles at its first use, so that no training waits for it."""

import numpy as np

from ulens.labels.nearest import two_nearest
from ulens.metrics.membrane import isbi2012

cells = np.zeros((8, 8), np.int32)
cells[:3], cells[5:] = 1, 2
two_nearest(cells, reach_px=3)
isbi2012([np.minimum(cells, 1)], [(cells > 0).astype(np.float32)])
