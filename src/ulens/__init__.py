"""U-Net segmentation of microscope images from a handful of annotated samples.

>>> import ulens
>>> model = ulens.train("images", "labels", time="20min")  # doctest: +SKIP
>>> labels = model.segment(image)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ulens.errors import UlensError
    from ulens.image import Image
    from ulens.io.files import read_image
    from ulens.jobs.evaluate import evaluate
    from ulens.jobs.inspect import inspect
    from ulens.jobs.segment import segment
    from ulens.jobs.train import train
    from ulens.nets.unet import UNet
    from ulens.predict.model import Model, load
    from ulens.predict.unlike import UnlikeTrainingWarning
    from ulens.report.show import show

_HOMES = {
    "Image": "ulens.image",
    "Model": "ulens.predict.model",
    "UNet": "ulens.nets.unet",
    "UlensError": "ulens.errors",
    "UnlikeTrainingWarning": "ulens.predict.unlike",
    "evaluate": "ulens.jobs.evaluate",
    "inspect": "ulens.jobs.inspect",
    "load": "ulens.predict.model",
    "read_image": "ulens.io.files",
    "segment": "ulens.jobs.segment",
    "show": "ulens.report.show",
    "train": "ulens.jobs.train",
}

__all__ = [
    "Image",
    "Model",
    "UNet",
    "UlensError",
    "UnlikeTrainingWarning",
    "__version__",
    "evaluate",
    "inspect",
    "load",
    "read_image",
    "segment",
    "show",
    "train",
]


def __getattr__(name: str) -> Any:
    # each name is loaded when it is used: PyTorch alone takes seconds
    if name not in _HOMES:
        raise AttributeError(f"module 'ulens' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
