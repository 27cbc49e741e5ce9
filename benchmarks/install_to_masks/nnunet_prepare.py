"""What a user of nnU-Net writes: its folders, and instances as classes, all that it knows."""

import json
from pathlib import Path

from skimage.segmentation import find_boundaries
from tifffile import imread, imwrite

dataset, inputs = Path("raw/Dataset001_cells"), Path("inputs")
for folder in (dataset / "imagesTr", dataset / "labelsTr", inputs):
    folder.mkdir(parents=True)
files = sorted(Path("images").glob("*.tif"))
for file in files:
    labels = imread(Path("labels", file.name))
    classes = (labels > 0).astype("uint8")
    classes[find_boundaries(labels, mode="inner")] = 2
    imwrite(dataset / "imagesTr" / f"{file.stem}_0000.tif", imread(file))
    imwrite(dataset / "labelsTr" / file.name, classes)
for file in Path("new").glob("*.tif"):
    imwrite(inputs / f"{file.stem}_0000.tif", imread(file))
description = {
    "channel_names": {"0": "DIC"},
    "labels": {"background": 0, "inside": 1, "border": 2},
    "numTraining": len(files),
    "file_ending": ".tif",
}
(dataset / "dataset.json").write_text(json.dumps(description))
