"""Where the time of a large segmentation goes: seconds of each stage, and of what cannot be shared.

python benchmarks/large_stages.py MODEL IMAGE OUT [--side 8192]

As large_image.py, in one process. "Parts" are blocks, which workers share out; "together" is what
one process does when all parts of a stage are done.
"""

import argparse
import shutil
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from large_image import write_mosaic

from ulens.bundle import load_bundle
from ulens.io.files import read_image
from ulens.io.reading import BY_FILE
from ulens.io.regions import open_volume
from ulens.predict.engine_choice import choose_engine
from ulens.predict.engines import choose_device
from ulens.predict.large.job import plan_job
from ulens.predict.large.parts import JobRequest, cut_planes, make_predictor, zarr_output


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("model", type=Path)
    arguments.add_argument("image", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--side", type=int, default=8192)
    arguments.add_argument("--engine", help="instead of the one that is measured as the fastest")
    options = arguments.parse_args()
    folder, image = options.out / "stages.job", options.out / "stages.tif"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_mosaic(image, np.squeeze(read_image(options.image).data), options.side)
    bundle = load_bundle(options.model)
    with open_volume(image) as volume:
        job = plan_job(
            bundle, options.model, volume, average=1, factor=(1.0, 1.0),
            engine=options.engine or choose_engine(bundle, choose_device("cpu")).engine,
            device="cpu", memory_gb=2.0, block_px=None, halo_px=None,
        )  # fmt: skip
        request = JobRequest(
            model=options.model, image=image, reading=BY_FILE, job=job, folder=folder, device="cpu",
            suffix=".zarr",
        )  # fmt: skip
        [work] = cut_planes(request, bundle, volume)
        output = zarr_output(request, bundle, volume)
        assert output is not None
        output.create()
        predictor = make_predictor(request, bundle)
        next(iter(work.do("measure", work.parts("measure")[0], predictor)))
        parts, together = defaultdict(float), defaultdict(float)
        for stage in work.stages:
            start = time.perf_counter()
            for part in work.parts(stage):
                sum(work.do(stage, part, predictor))
            done = time.perf_counter()
            work.finish(stage)
            parts[stage], together[stage] = done - start, time.perf_counter() - done
    megapixels = options.side**2 / 1e6
    print(f"{options.side}², {job.engine}, blocks of {job.block_px} px, {work.num_objects} objects")
    print("\n| stage | parts, s per megapixel | together, s per megapixel |\n|---|---|---|")
    for stage in work.stages:
        print(f"| {stage} | {parts[stage] / megapixels:.4f} | {together[stage] / megapixels:.4f} |")
    files = [path for path in folder.rglob("*") if path.is_file()]
    written = sum(path.stat().st_size for path in (folder / "output").rglob("*") if path.is_file())
    print(
        f"\n{len(files)} files are left, the output takes {written / megapixels / 1e6:.2f} B per px"
    )
    image.unlink()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
