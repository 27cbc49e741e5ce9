"""Prediction beside stock PyTorch, MONAI and nnU-Net v2, all with random weights.

In a virtual environment of its own with torch 2.13, monai, nnunetv2 and what ulens needs:

    PYTHONPATH=src python benchmarks/rivals.py OUT

The first table is of images of 512², median seconds of interleaved runs; the second of one image of
4096², each contender in a process of its own, with that process's peak memory. nnU-Net plans its
network itself, for a folder of simulated images that OUT gets.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.nets.properties import count_parameters
from ulens.nets.unet import UNet
from ulens.predict.engines import EngineName, has_fast_bf16
from ulens.predict.predictor import Predictor
from ulens.predict.timing import time_interleaved
from ulens.simulate.challenges import simulate_cells

ENGINE: EngineName = "openvino-bf16" if has_fast_bf16(torch.device("cpu")) else "openvino-fp32"
NUM_IMAGES = 10
DATASET = "Dataset001_cells"
SMALL_PX, LARGE_PX = 512, 4096


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--single", help="name of a contender to run on the large image alone")
    options = arguments.parse_args()
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str((options.out / name).resolve())
    torch.manual_seed(0)
    if options.single:
        run_large(CONTENDERS[options.single](options.out)[1])
        return
    if not (options.out / "preprocessed" / DATASET / "nnUNetPlans.json").is_file():
        plan_nnunet(options.out)
    threads = f"{torch.get_num_threads()} threads"
    print(f"{date.today()}, {threads}, torch {torch.__version__}; images of {SMALL_PX}²\n")
    made = {name: make(options.out) for name, make in CONTENDERS.items()}
    image = np.random.default_rng(0).normal(size=(1, SMALL_PX, SMALL_PX)).astype(np.float32)
    runs = {name: lambda run=run: run(image) for name, (_, run) in made.items()}
    seconds = time_interleaved(runs, num_rounds=options.rounds)
    slowest = seconds["stock PyTorch, the paper's network"]
    print("| | parameters | seconds | times stock |\n|---|---|---|---|")
    for name, (net, _) in made.items():
        count = count_parameters(net) / 1e6
        print(f"| {name} | {count:.1f} M | {seconds[name]:.3f} | {slowest / seconds[name]:.1f} |")
    del made, runs
    print(f"\nOne image of {LARGE_PX}²\n")
    print("| | seconds | megapixels/s | peak memory |\n|---|---|---|---|")
    for name in CONTENDERS:
        command = [sys.executable, __file__, str(options.out), "--single", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        taken, peak = map(float, done.stdout.split()[-2:])
        rate = LARGE_PX**2 / 1e6 / taken
        print(f"| {name} | {taken:.1f} | {rate:.2f} | {peak / 1e9:.1f} GB |", flush=True)


Contender = tuple[nn.Module, Callable[[np.ndarray], object]]


def run_large(run: Callable[[np.ndarray], object]) -> None:
    """Print the seconds of one large image, and the peak memory of this process in bytes."""
    image = np.random.default_rng(0).normal(size=(1, LARGE_PX, LARGE_PX)).astype(np.float32)
    run(image[:, :SMALL_PX, :SMALL_PX])
    start = time.perf_counter()
    run(image)
    seconds = time.perf_counter() - start
    # not ru_maxrss, in which the process that started this one has its part
    status = Path("/proc/self/status").read_text()
    print(seconds, 1024 * int(status.split("VmHWM:")[1].split()[0]))


def ulens(width: int) -> Callable[[Path], Contender]:
    def make(out: Path) -> Contender:
        net = UNet(width=width).eval()
        return net, Predictor(net, device="cpu", engine=ENGINE).predict

    return make


def stock(out: Path) -> Contender:
    """The paper's network as everybody runs it: mirrored by hand, tiles of 1024² output."""
    net = UNet().eval()

    @torch.inference_mode()
    def run(image: np.ndarray) -> Tensor:
        side = min(image.shape[-1], 2 * SMALL_PX)
        margin = net.geometry.margin
        spare = net.geometry.input_size(side) - side - 2 * margin
        padded = np.pad(image, [(0, 0), *[(margin, margin + spare)] * 2], mode="reflect")
        whole = torch.empty(2, *image.shape[1:])
        for y in range(0, image.shape[1], side):
            for x in range(0, image.shape[2], side):
                tile = torch.from_numpy(padded[None, :, y : y + side + 2 * margin + spare,
                                               x : x + side + 2 * margin + spare])  # fmt: skip
                whole[:, y : y + side, x : x + side] = net(tile)[0, :, :side, :side].softmax(0)
        return whole

    return net, run


def monai(features: tuple[int, ...]) -> Callable[[Path], Contender]:
    def make(out: Path) -> Contender:
        from monai.inferers import sliding_window_inference
        from monai.networks.nets import BasicUNet

        net = BasicUNet(spatial_dims=2, in_channels=1, out_channels=2, features=features).eval()

        @torch.inference_mode()
        def run(image: np.ndarray) -> Tensor:
            tensor = torch.from_numpy(image)[None]
            return sliding_window_inference(tensor, (SMALL_PX, SMALL_PX), 1, net).softmax(1)

        return net, run

    return make


def nnunet(*, mirroring: bool) -> Callable[[Path], Contender]:
    def make(out: Path) -> Contender:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        folder = out / "preprocessed" / DATASET
        plans = PlansManager(json.loads((folder / "nnUNetPlans.json").read_text()))
        configuration = plans.get_configuration("2d")
        net = get_network_from_plans(
            configuration.network_arch_class_name,
            configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import,
            1,
            2,
            deep_supervision=False,
        ).eval()
        predictor = nnUNetPredictor(
            use_mirroring=mirroring, device=torch.device("cpu"), allow_tqdm=False
        )
        predictor.manual_initialization(
            net, plans, configuration, [net.state_dict()],
            json.loads((out / "raw" / DATASET / "dataset.json").read_text()),
            "nnUNetTrainer", (0, 1) if mirroring else None,
        )  # fmt: skip

        def run(image: np.ndarray) -> Tensor:
            tensor = torch.from_numpy(image)[:, None]
            return predictor.predict_sliding_window_return_logits(tensor)

        return net, run

    return make


def plan_nnunet(out: Path) -> None:
    """Have nnU-Net plan its 2-D network for simulated images of 512²."""
    images, labels = simulate_cells(NUM_IMAGES, size=SMALL_PX)
    folder = out / "raw" / DATASET
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        for kind, name, plane in (
            ("imagesTr", f"{number:02d}_0000.tif", image),
            ("labelsTr", f"{number:02d}.tif", (label > 0).astype(np.uint8)),
        ):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            write_tiff(folder / kind / name, Image(data=plane, axes="YX"))
    description = {
        "channel_names": {"0": "DIC"},
        "labels": {"background": 0, "cell": 1},
        "numTraining": NUM_IMAGES,
        "file_ending": ".tif",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    for step in ("extract_fingerprint", "plan_experiment"):
        command = [str(Path(sys.executable).with_name(f"nnUNetv2_{step}")), "-d", "1"]
        subprocess.run(command, check=True, stdout=sys.stderr)


CONTENDERS: dict[str, Callable[[Path], Contender]] = {
    "stock PyTorch, the paper's network": stock,
    "ulens, the paper's network": ulens(64),
    "ulens, width 32": ulens(32),
    "MONAI BasicUNet as it comes": monai((32, 32, 64, 128, 256, 32)),
    "MONAI BasicUNet, width 64": monai((64, 128, 256, 512, 1024, 64)),
    "nnU-Net v2, its plan": nnunet(mirroring=True),
    "nnU-Net v2, without mirroring": nnunet(mirroring=False),
}

if __name__ == "__main__":
    main()
