"""Annotated images: every 2-D plane with its labels, read as classes or as instances."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ulens.annotated import ctc
from ulens.annotated.challenge import (
    describe_frames,
    find_annotated_sequences,
    read_frame,
    refuse_other_meaning,
    select_frames,
    truth_without_frame,
)
from ulens.annotated.label_looks import look_like_labels
from ulens.annotated.label_signs import Sign
from ulens.annotated.label_values import (
    Judgement,
    check_trainable,
    decide,
    describe,
    encode,
    find_values,
    judge,
    number_instances,
)
from ulens.annotated.pairs import Pair, find_pairs
from ulens.annotated.planes import (
    Plane,
    agree_on_channels,
    common_spacing,
    join_all_notes,
    read_planes,
)
from ulens.annotated.project import encode_truth, read_annotated_planes, refuse_selection
from ulens.annotated.project_images import is_project, read_record_of
from ulens.annotated.rows import PairRow, Source, make_rows
from ulens.annotated.seen import hash_image
from ulens.annotated.series import Place, find_places
from ulens.errors import LabelError, SettingError
from ulens.io.files import is_roi_file, planes, read_as
from ulens.io.reading import BY_FILE, Reading
from ulens.io.store import ArrayStore
from ulens.labels.meaning import IGNORED, LabelsAre


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One 2-D plane with its labels.

    Parameters
    ----------
    name : the image file's stem, and the plane's name for a stack
    image : (C, Y, X) in the file's dtype
    label : (Y, X) int32; class indices from 0 or instances 1…N on background 0, and −1
        where pixels are to be ignored
    sequence : the sequence of the Cell Tracking Challenge that it is a frame of, or None
    is_silver : whether programs made the label
    stack : the file, or the series of files, that it is a plane of; planes of one stack are
        neighbours, in their order
    moment : what planes of one time have in common; they are held out together
    """

    name: str
    image: np.ndarray
    label: np.ndarray
    sequence: str | None = None
    is_silver: bool = False
    stack: str | None = None
    moment: str | None = None

    @cached_property
    def image_hash(self) -> str:
        """What tells the image from all others, as `hash_image` makes it, once."""
        return hash_image(self.image)


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotated:
    """All samples and how their labels were read.

    Parameters
    ----------
    samples : in the order of the files and their planes
    labels_are : 'classes' or 'instances'
    class_values : the value in the files of every class index; (0, 1) for instances
    spacing_um : (y, x) pixel size in µm where all images tell the same, else None
    reading : one sentence for the user that tells how the labels were read
    unpaired : files that have no partner and were left out
    rows : what was understood of each pair of files
    notes : what was guessed or changed in reading the files, and what the user should check
    channels : names or numbers of the channels that were read, where the user chose them
    """

    samples: list[Sample]
    labels_are: LabelsAre
    class_values: tuple[int, ...]
    spacing_um: tuple[float, float] | None
    reading: str
    unpaired: list[Path]
    rows: list[PairRow] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


def read_annotated(
    images: Path,
    labels: Path | None = None,
    *,
    frames: str | None = None,
    labels_are: LabelsAre | None = None,
    ignore: int | None = None,
    reading: Reading = BY_FILE,
) -> Annotated:
    """Read images with their labels.

    Parameters
    ----------
    images, labels : files or folders as `find_pairs` takes them; or, without `labels`, a data set
        of the Cell Tracking Challenge, one of its sequences with its truth beside it, or the folder
        of a project
    frames : planes to read, counted from 0 over all files, such as ``0-9,12``; of the challenge,
        numbers as in the names of the frames, such as ``01:0-49,02:3,5``; None for all
    labels_are : how to read the labels; None to decide from their values
    ignore : label value of pixels without annotation
    reading : how to read images; its axes are those of labels, too

    Returns
    -------
    one sample per 2-D plane; nothing is scaled or cropped

    Raises
    ------
    PairingError, FileError, DataError : as `find_pairs` and `read_image`; DataError also where
        images differ in their number of channels
    ShapeError : an image and its label differ in size or number of planes
    LabelError : label values make no sense
    SettingError : `frames`, `labels_are` or `ignore` does not fit the files

    Notes
    -----
    Classes and instances are told apart by `label_values.decide`; what ImageJ ROIs and GeoJSON
    outline are instances. Of the challenge, gold truth and, in frames without it, silver
    truth are read; see `annotated.challenge.read_frame`.
    """
    if labels is None and is_project(images):
        asked = {"axes": reading.axes, "scene": reading.scene, "channel": reading.part or None}
        refuse_selection(frames=frames, labels_are=labels_are, ignore=ignore, **asked)
        return _read_project(images)
    if labels is None and (sequences := find_annotated_sequences(images)):
        refuse_other_meaning(labels_are, ignore)
        return _read_challenge(sequences, frames, reading)
    pairing = find_pairs(images, labels, reading=reading)
    reading = replace(reading, beside=pairing.found.beside)
    store = ArrayStore()
    try:
        read = list(read_planes(pairing.pairs, frames, ignore, reading, store))
        files = [plane.pair.label for plane in read]
        judged = judge([plane.label for plane in read], files, is_told=labels_are is not None)
    except LabelError as error:
        raise _suspect_swap(pairing.pairs[0], reading, error) from error
    selected = agree_on_channels(read)
    check_trainable(judged.labels, files[0])
    meaning, why = _decide(judged, labels_are)
    if meaning == "instances" and ignore == 0:
        raise SettingError("ignore is 0, the background of instances; choose another value")
    values = judged.values
    places, sentences = find_places(selected, pairing.found.called)
    encoded = [store.keep(encode(label, meaning, values)) for label in judged.labels]
    return Annotated(
        samples=_make_samples(selected, encoded, places),
        labels_are=meaning,
        class_values=(0, 1) if meaning == "instances" else values,
        spacing_um=common_spacing(selected),
        reading=describe(
            encoded,
            meaning,
            values,
            asked=labels_are is not None,
            why=why,
            soft=judged.soft,
            ignore=ignore,
        ),
        unpaired=pairing.unpaired,
        rows=make_rows(_sources(read), encoded, meaning, values),
        notes=(
            *pairing.notes,
            *join_all_notes(selected),
            *sentences,
        ),
        channels=reading.channels,
    )


def _make_samples(
    planes: list[Plane], labels: list[np.ndarray], places: list[Place]
) -> list[Sample]:
    return [
        Sample(name=plane.name, image=plane.image, label=label, stack=at.series, moment=at.moment)
        for plane, label, at in zip(planes, labels, places, strict=True)
    ]


def _decide(judged: Judgement, asked: LabelsAre | None) -> tuple[LabelsAre, Sign | None]:
    """Return what labels are, and what tells so where it is their values."""
    if asked is not None:
        return asked, None
    if all(map(is_roi_file, judged.files)):
        return "instances", None
    why = decide(judged)
    return "instances" if why is not None and why.weight > 0 else "classes", why


def _suspect_swap(pair: Pair, reading: Reading, error: LabelError) -> LabelError:
    """Return the error, or a question where the image looks more like a label."""
    if look_like_labels(planes(read_as(pair.image, reading))[0][1]):
        return LabelError(
            f"are images and labels swapped? {pair.image}, an image, looks like labels; and {error}"
        )
    return error


def _sources(read: list[Plane]) -> list[Source]:
    return [Source(plane.pair, plane.axes, plane.shape, plane.image) for plane in read]


def hash_samples(samples: Iterable[Sample]) -> str:
    """Return what tells images and labels from all others."""
    digest = hashlib.sha256()
    for sample in samples:
        for array in (sample.image, sample.label):
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read_challenge(
    sequences: list[ctc.Sequence], frames: str | None, reading: Reading
) -> Annotated:
    chosen, num_left_out = select_frames(sequences, frames)
    store = ArrayStore()
    read = [
        replace(each, image=store.keep(each.image), label=store.keep(each.label))
        for each in (read_frame(frame, reading) for frame in chosen)
    ]
    selected = agree_on_channels(
        [
            Plane(
                name=each.frame.name,
                image=each.image,
                label=each.label,
                pair=Pair(image=each.frame.image, label=each.frame.outlines),
                spacing_um=each.spacing_um,
                notes=each.notes,
                axes="YX" if len(each.image) == 1 else "CYX",
                shape=each.image.shape[len(each.image) == 1 :],
            )
            for each in read
        ]
    )
    check_trainable([plane.label for plane in selected], chosen[0].outlines)
    labels = [store.keep(number_instances(plane.label)) for plane in selected]
    return Annotated(
        samples=[
            Sample(
                name=plane.name,
                image=plane.image,
                label=label,
                sequence=frame.sequence,
                is_silver=frame.is_silver,
            )
            for plane, label, frame in zip(selected, labels, chosen, strict=True)
        ],
        labels_are="instances",
        class_values=(0, 1),
        spacing_um=common_spacing(selected),
        reading=describe_frames(read, num_left_out),
        channels=reading.channels,
        unpaired=truth_without_frame(sequences) if frames is None else [],
        notes=join_all_notes(selected),
        rows=make_rows(_sources(selected), labels, "instances", (0, 1)),
    )


def _read_project(folder: Path) -> Annotated:
    """Read what is annotated in a project; what is not is ignored."""
    store, meaning = ArrayStore(), read_record_of(folder).labels_are
    read = [
        Plane(
            name=each.plane.name,
            image=store.keep(each.pixels),
            label=store.keep(each.label),
            pair=Pair(image=each.plane.path, label=each.file),
            spacing_um=each.image.spacing_um,
            notes=tuple((each.plane.path, note) for note in each.image.notes),
            axes=each.image.axes,
            shape=each.image.data.shape,
        )
        for each in read_annotated_planes(folder)
    ]
    selected = agree_on_channels(read)
    labels = [plane.label for plane in read]
    check_trainable(labels, read[0].pair.label)
    values = find_values(labels)
    encoded = [store.keep(encode_truth(each, meaning, values)) for each in labels]
    places, sentences = find_places(selected)
    share = np.mean([float((label != IGNORED).mean()) for label in encoded])
    return Annotated(
        samples=_make_samples(selected, encoded, places),
        labels_are=meaning,
        class_values=(0, 1) if meaning == "instances" else values,
        spacing_um=common_spacing(selected),
        reading=f"{describe(encoded, meaning, values)}; {share:.0%} of their pixels are annotated",
        unpaired=[],
        rows=make_rows(_sources(read), encoded, meaning, values),
        notes=(*join_all_notes(selected), *sentences),
    )
