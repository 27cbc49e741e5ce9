"""Time the ISBI 2012 measures on ten 512² slices with the full sweep of thresholds.

Run: python benchmarks/isbi_measures.py
The slices are simulated; the proposal is the truth, blurred and with noise: a plausible network.
"""

import time

import numpy as np
from scipy import ndimage

from ulens.metrics.membrane import isbi2012
from ulens.simulate.challenges import simulate_membranes

NUM_SLICES, SIZE = 10, 512


def main() -> None:
    """Print the seconds of the second run; the first one compiles."""
    _, truth = simulate_membranes(NUM_SLICES, size=SIZE, seed=0)
    noise = np.random.default_rng(0).normal(0, 0.4, truth.shape)
    proposal = ndimage.gaussian_filter(truth / 255 + noise, (0, 1.5, 1.5))
    proposal = proposal.clip(0, 1).astype(np.float32)
    isbi2012(truth[:1], proposal[:1])
    started = time.perf_counter()
    scores = isbi2012(truth, proposal)
    seconds = time.perf_counter() - started
    print(f"{NUM_SLICES} slices of {SIZE}², all five measures: {seconds:.2f} s", end="; ")
    print(f"V_Rand {scores.v_rand:.4f}, warping error {scores.warping_error:.6f}")


if __name__ == "__main__":
    main()
