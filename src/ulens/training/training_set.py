"""The annotated images of one training, which may grow while it runs."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch

from ulens.annotated.holdout import Split, split_as
from ulens.annotated.samples import Annotated, Sample, hash_samples
from ulens.appearance import Familiar, familiarize
from ulens.errors import DataError
from ulens.normalize import fit_normalization
from ulens.planning.plan import Plan
from ulens.training.tensors import TrainingImage, prepare

MOST_FAMILIAR = 200
"""Up to so many images tell what images look like."""


class TrainingSet:
    """Annotated images, what is held out of them, and the tensors to train on.

    Parameters
    ----------
    annotated, split : the images, and which of them are held out
    plan : how they are encoded and weighed
    device : where the tensors lie

    Attributes
    ----------
    normalization : of the grey values, fitted to what is trained on at first
    images, all_images : to train on before and after what is held out was scored
    data_sha256 : tells images and labels from all others
    hashes : of the pixels of the images
    """

    def __init__(
        self, annotated: Annotated, split: Split, plan: Plan, device: torch.device
    ) -> None:
        self.annotated, self.split = annotated, split
        self.normalization = fit_normalization(sample.image for sample in split.training)
        self._plan, self._device = plan, device
        self._ready: dict[int, tuple[Sample, TrainingImage]] = {}
        self._familiar: Familiar | None = None
        self._take(annotated, split)

    @property
    def familiar(self) -> Familiar:
        """What the images look like, those that are held out too: they are trained on at last."""
        if self._familiar is None:
            step = -(-len(self.split.whole) // MOST_FAMILIAR)
            chosen = self.split.whole[::step]
            images = ((self._ready[id(each)][1].image.cpu().numpy(), each.label) for each in chosen)
            is_instances = self.annotated.labels_are == "instances"
            self._familiar = familiarize(images, is_instances=is_instances)
        return self._familiar

    @property
    def num_channels(self) -> int:
        """Channels of the images."""
        return len(self.annotated.samples[0].image)

    def add(
        self,
        samples: Sequence[Sample],
        *,
        hold_out: bool,
        seen: Collection[str] = (),
        order: Sequence[str] = (),
    ) -> None:
        """Take more annotated images, or changed labels.

        What is held out stays so. The normalisation stays that of the images at first.

        Parameters
        ----------
        samples : of the same kind of labels and channels; one of a name that is known takes the
            place of that image
        hold_out : whether one in ten of the new images is held out
        seen : hashes of images that are never held out
        order : as in `Session.add`

        Raises
        ------
        DataError : an image has other channels
        """
        for sample in samples:
            if len(sample.image) != self.num_channels:
                raise DataError(
                    f"{sample.name} has {len(sample.image)} channels, the training is on images "
                    f"with {self.num_channels}; give it the same channels"
                )
        changed = {sample.name: sample for sample in samples}
        every = [changed.pop(sample.name, sample) for sample in self.annotated.samples]
        every += changed.values()
        places = {name: place for place, name in enumerate(order)}
        every.sort(key=lambda sample: places.get(sample.name, len(places)))
        new = [
            name for name, sample in changed.items() if hold_out and sample.image_hash not in seen
        ]
        split = split_as(
            every,
            self.split.chosen,
            new=new,
            labels_are=self.annotated.labels_are,
        )
        self._take(replace(self.annotated, samples=every), split)

    def _take(self, annotated: Annotated, split: Split) -> None:
        """Make tensors of what is new, and forget those of what is no longer used."""
        used = {id(sample): sample for sample in (*split.training, *split.whole)}
        ready = {key: self._ready[key] for key in used.keys() & self._ready.keys()}
        new = [sample for key, sample in used.items() if key not in ready]
        if new:
            tensors = prepare(new, self.normalization, plan=self._plan, device=self._device)
            ready |= {id(sample): (sample, each) for sample, each in zip(new, tensors, strict=True)}
        self.annotated, self.split, self._ready = annotated, split, ready
        self._familiar = None
        self.images: list[TrainingImage] = [ready[id(s)][1] for s in split.training]
        self.all_images: list[TrainingImage] = [ready[id(s)][1] for s in split.whole]
        self.data_sha256 = hash_samples(annotated.samples)
        self.hashes = [sample.image_hash for sample in split.whole]
