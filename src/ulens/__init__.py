"""U-Net segmentation of microscope images from a handful of annotated samples.

>>> import ulens
>>> model = ulens.train("images", "labels", time="20min")  # doctest: +SKIP
>>> labels = model.segment(image)  # doctest: +SKIP
"""

__version__ = "0.1.0"

from ulens.errors import UlensError
from ulens.image import Image
from ulens.io.files import read_image
from ulens.jobs.evaluate import evaluate
from ulens.jobs.segment import Model, segment
from ulens.jobs.train import train
from ulens.nets.unet import UNet

load = Model.load

__all__ = [
    "Image",
    "Model",
    "UNet",
    "UlensError",
    "__version__",
    "evaluate",
    "load",
    "read_image",
    "segment",
    "train",
]
