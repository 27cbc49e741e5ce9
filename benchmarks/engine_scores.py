"""Whether every engine of this computer scores as fp32 does, on unseen images.

    python benchmarks/engine_scores.py MODEL DATA --score 54-83

Prints for each engine the scores that are smooth (SEG of instances, mean IoU, V_Rand and V_Info of
classes), how far its maps are from those of fp32, and its seconds.
"""

import argparse
import os
import platform
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch

from ulens.annotated.samples import read_annotated
from ulens.bundle import load_bundle
from ulens.encodings.table import ENCODINGS, decode_maps
from ulens.predict.engine_choice import choose_engine, differences
from ulens.predict.engines import EngineName, engines_here
from ulens.predict.predictor import Predictor
from ulens.tracking.field_of_interest import find_field_of_interest
from ulens.training.validate import Prediction, score_cells, score_membranes

CPU = torch.device("cpu")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("model", type=Path)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--score", required=True)
    options = arguments.parse_args()
    bundle = load_bundle(options.model)
    samples = read_annotated(options.data, frames=options.score).samples
    way = ENCODINGS[bundle.encoding]
    images = [bundle.normalization.apply(sample.image) for sample in samples]
    names: list[EngineName] = [n for n in engines_here(CPU) if n != "openvino-int8" or bundle.int8]
    print(
        f"{date.today()}, {platform.processor() or platform.machine()}, "
        f"{torch.get_num_threads()} of {os.cpu_count()} cores, torch {torch.__version__}; "
        f"{len(samples)} images; {len(bundle.int8)} convolutions in 8 bits; chosen at first use: "
        f"{choose_engine(bundle, CPU)}\n"
    )
    print("| engine | scores | mean difference of the maps | other pixels | seconds |")
    print("|---|---|---|---|---|")
    reference: list[np.ndarray] = []
    for name in names:
        predictor = Predictor(bundle.net, activation=way.activation, engine=name, int8=bundle.int8,
                              device="cpu")  # fmt: skip
        predictor.predict(images[0])
        start = time.perf_counter()
        maps = [predictor.predict(image) for image in images]
        seconds = (time.perf_counter() - start) / len(images)
        reference = reference or maps
        difference, others = np.mean(
            [differences(a, b, way.activation) for a, b in zip(reference, maps, strict=True)], 0
        )
        predictions = []
        for sample, found in zip(samples, maps, strict=True):
            refined, labels = decode_maps(bundle.encoding, found, bundle.decoding)
            predictions.append(Prediction(sample=sample, maps=refined, labels=labels))
        if bundle.labels_are == "instances":
            scores = score_cells(
                predictions, field_of_interest_px=find_field_of_interest(options.data)
            )
        else:
            scores = score_membranes(predictions)
        shown = ", ".join(f"{k} {v:.4f}" for k, v in scores.items() if "error" not in k)
        print(f"| {name} | {shown} | {difference:.1e} | {others:.3%} | {seconds:.3f} |", flush=True)


if __name__ == "__main__":
    main()
