"""How honest the score of a training is, on simulated predictions: its bias and its intervals.

python benchmarks/honest_scores.py bias [--repeats N]       what tuning thresholds adds to the score
python benchmarks/honest_scores.py coverage [--repeats N]   how often the 95 % interval is right

No network is trained: its output is the truth, blurred and with noise. Both print a table.
"""

import argparse
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy import ndimage
from scipy.special import softmax

from ulens.annotated.samples import Sample
from ulens.encodings import contact
from ulens.encodings.table import ENCODINGS
from ulens.labels.meaning import LabelsAre
from ulens.simulate.mixture import simulate_scene
from ulens.training.evidence import gather_evidence
from ulens.training.tuning import decode_across, decode_with, tune_thresholds
from ulens.training.validate import Prediction, score

DECODING = {**ENCODINGS["contact"].decoding, "min_area_px": 60}
BIAS_CASES = ((64, 1), (96, 1), (160, 1), (96, 2), (96, 5))
COVERAGE_COUNTS = (1, 2, 3, 5, 10)
NUM_OTHERS, NUM_POOL = 10, 200
KIND = "nuclei"


def main() -> None:
    """Do what the arguments say."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("what", choices=("bias", "coverage"))
    arguments.add_argument("--repeats", type=int, default=200)
    options = arguments.parse_args()
    {"bias": print_bias, "coverage": print_coverage}[options.what](options.repeats)


def predict(number: int, size: int, *, noise: float, shift: float) -> Prediction:
    """Return what a network might make of a simulated image.

    Parameters
    ----------
    noise : of the network's output
    shift : how much surer than it should be the network is of the interior
    """
    labels, target, rough = draw_scene(number, size)
    logits = 6 * target + noise * rough
    logits[1] += shift
    maps = softmax(logits, axis=0).astype(np.float32)
    sample = Sample(name=str(number), image=np.zeros((1, size, size), np.uint8), label=labels)
    return decoded(Prediction(sample=sample, maps=maps, labels=labels), DECODING)


@cache
def draw_scene(number: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the labels of a simulated image, its three classes blurred, and noise for them."""
    labels = simulate_scene(number, size, kind=KIND).labels.astype(np.int32)
    target = np.stack([contact.encode(labels) == k for k in range(3)]).astype(np.float64)
    noise = np.random.default_rng([number, size]).normal(size=target.shape)
    rough = ndimage.gaussian_filter(noise, (0, 3, 3))
    return labels, ndimage.gaussian_filter(target, (0, 1.5, 1.5)), rough / rough.std()


def decoded(prediction: Prediction, decoding: dict[str, float]) -> Prediction:
    """Return a prediction decoded otherwise."""
    labels = ENCODINGS["contact"].decode(prediction.maps, **decoding)
    return Prediction(sample=prediction.sample, maps=prediction.maps, labels=labels)


def mean_ap(predictions: Sequence[Prediction]) -> float:
    """Return the mean AP, by which thresholds are tuned."""
    return score(predictions, "instances")["mean AP"]


def print_bias(repeats: int) -> None:
    """Compare scores on what thresholds were tuned on with those of other images."""
    print("| images | objects | on what they were tuned on | each half as the other half |")
    print("|---|---|---|---|")
    for size, num in BIAS_CASES:
        excess, num_objects = [], []
        for repeat in range(repeats):
            rng = np.random.default_rng([size, num, repeat])
            ways = {"noise": rng.uniform(1.0, 2.5), "shift": rng.normal()}
            numbers = rng.choice(NUM_POOL, num + NUM_OTHERS, replace=False).tolist()
            every = [predict(number, size, **ways) for number in numbers]
            held_out, others = every[:num], every[num:]
            decoding = tune_thresholds(held_out, "contact", DECODING)
            tuned = decode_with(held_out, "contact", decoding)
            across = decode_across(held_out, "contact", DECODING)
            gain = mean_ap([decoded(each, decoding) for each in others]) - mean_ap(others)
            # against the untuned score of the same images, which differ much among themselves
            untuned = mean_ap(held_out)
            excess.append([mean_ap(each) - untuned - gain for each in (tuned, across)])
            num_objects.append(sum(int(each.sample.label.max()) for each in held_out))
        mean, error = np.mean(excess, axis=0), np.std(excess, axis=0) / np.sqrt(repeats)
        same, other = (f"{m:+.3f} ± {e:.3f}" for m, e in zip(mean, error, strict=True))
        print(f"| {num} of {size}² | {np.mean(num_objects):.0f} | {same} | {other} |", flush=True)


def print_coverage(repeats: int) -> None:
    """Count how often intervals hold the score of a large pool of images."""
    print("| images differ | labels | score | images scored | holds it | mean width |")
    print("|---|---|---|---|---|---|")
    for spread in (0.0, 0.4):
        rng = np.random.default_rng(0)
        noises = 1.8 * np.exp(spread * rng.normal(size=NUM_POOL))
        instances = [predict(k, 160, noise=noise, shift=0) for k, noise in enumerate(noises)]
        pools: dict[LabelsAre, list[Prediction]] = {
            "instances": instances,
            "classes": as_classes(instances),
        }
        for labels_are, pool in pools.items():
            whole = score(pool, labels_are)
            for num in COVERAGE_COUNTS:
                held: dict[str, list[bool]] = {name: [] for name in whole}
                widths: dict[str, list[float]] = {name: [] for name in whole}
                for _ in range(repeats):
                    drawn = [pool[k] for k in rng.choice(NUM_POOL, num, replace=False)]
                    evidence = gather_evidence(drawn, labels_are, score(drawn, labels_are))
                    for name, (low, high) in evidence.intervals.items():
                        held[name].append(low <= whole[name] <= high)
                        widths[name].append(high - low)
                for name in whole:
                    print(
                        f"| {'in quality' if spread else 'in nothing'} | {labels_are} | {name} | "
                        f"{num} | {np.mean(held[name]):.0%} | {np.mean(widths[name]):.3f} |",
                        flush=True,
                    )


def as_classes(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return predictions of the three classes from which instances are decoded."""
    return [
        Prediction(
            sample=Sample(
                name=each.sample.name,
                image=each.sample.image,
                label=contact.encode(each.sample.label).astype(np.int32),
            ),
            maps=each.maps,
            labels=each.maps.argmax(0).astype(np.int32),
        )
        for each in predictions
    ]


if __name__ == "__main__":
    main()
