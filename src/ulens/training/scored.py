"""The score of what is held out, found once and kept in a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ulens.annotated.samples import Sample
from ulens.encodings.table import ENCODINGS, EncodingName, check_decoding
from ulens.errors import SettingError, TrainingError
from ulens.record import read_record
from ulens.training.evidence import Evidence, gather_evidence
from ulens.training.state import load_state, save_state
from ulens.training.tuning import decode_across, tune_thresholds
from ulens.training.validate import Prediction, score_held_out


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    """What lies beside the maps in the file, as in `Scored`."""

    decoding: dict[str, Any]
    scores: dict[str, float]
    evidence: Evidence | None = None
    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """What the network made of the held-out annotations when it had not been trained on them.

    Parameters
    ----------
    predictions : of these, each half decoded as tuned on the other
    decoding : as tuned on all of them, for the model that is kept
    scores : by name
    evidence : what they rest on; None where an older version found them
    step : steps done then
    folds : of a cross-validation, what each fold held out and what it scored
    """

    predictions: list[Prediction]
    decoding: dict[str, Any]
    scores: dict[str, float]
    evidence: Evidence | None
    step: int
    folds: Sequence[Mapping[str, Any]] = ()

    def save(self, path: Path) -> None:
        """Write all of it but the samples; raises as `save_state`."""
        tensors = {}
        for number, prediction in enumerate(self.predictions):
            tensors[str(number)] = torch.from_numpy(prediction.maps)
            tensors[f"labels of {number}"] = torch.from_numpy(prediction.labels)
        record = {
            "decoding": self.decoding,
            "scores": self.scores,
            "evidence": self.evidence and self.evidence.to_json(),
            "step": self.step,
        }
        save_state(path, tensors, record)


def score_predictions(
    predictions: Sequence[Prediction],
    encoding: EncodingName,
    decoding: Mapping[str, Any],
    *,
    step: int,
) -> Scored:
    """Tune the decoding on held-out annotations, and score them as if it had been on others.

    Parameters
    ----------
    decoding : where the search for thresholds starts
    step : steps of the training that are done
    """
    return score_decoded(decode_across(predictions, encoding, decoding), encoding, decoding, step)


def score_decoded(
    decoded: list[Prediction],
    encoding: EncodingName,
    decoding: Mapping[str, Any],
    step: int,
    folds: Sequence[Mapping[str, Any]] = (),
) -> Scored:
    """Score predictions that had no say in how they were decoded, and tune the decoding on all.

    Parameters
    ----------
    decoding, step : as in `score_predictions`
    folds : as in `Scored`
    """
    labels_are = ENCODINGS[encoding].labels_are
    scores = score_held_out(decoded, labels_are)
    return Scored(
        predictions=decoded,
        decoding=tune_thresholds(decoded, encoding, decoding),
        scores=scores,
        evidence=gather_evidence(decoded, labels_are, scores),
        step=step,
        folds=folds,
    )


def load_scored(path: Path, samples: Sequence[Sample], encoding: EncodingName) -> Scored:
    """Read what `Scored.save` wrote.

    Parameters
    ----------
    samples : those that were held out

    Raises
    ------
    TrainingError : as `load_state`
    """
    tensors, entries = load_state(path)
    record = _read_record(entries, encoding, path)
    predictions = []
    for number, sample in enumerate(samples):
        maps = _maps(tensors, number, sample, encoding, path)
        # older versions saved the maps alone
        decode = ENCODINGS[encoding].decode
        saved = _labels(tensors, number, sample, path)
        labels = decode(maps, **record.decoding) if saved is None else saved
        predictions.append(Prediction(sample=sample, maps=maps, labels=labels))
    return Scored(
        predictions=predictions,
        decoding=record.decoding,
        scores=record.scores,
        evidence=record.evidence,
        step=record.step,
    )


def _read_record(entries: dict[str, Any], encoding: EncodingName, path: Path) -> _Record:
    try:
        record = read_record(_Record, entries, "held_out")
        check_decoding(encoding, record.decoding)
    except SettingError as error:
        raise TrainingError(
            f"{path} is damaged ({error}); training has to start over, without --resume"
        ) from error
    return record


def _maps(
    tensors: Mapping[str, Tensor], number: int, sample: Sample, encoding: EncodingName, path: Path
) -> np.ndarray:
    maps, named = tensors.get(str(number)), ENCODINGS[encoding].outputs
    num_maps = len(named) or max(2, int(sample.label.max()) + 1)
    if (
        maps is None
        or maps.dtype != torch.float32
        or maps.shape[1:] != sample.label.shape
        or not (len(maps) == num_maps if named else len(maps) >= num_maps)
    ):
        raise _of_others("maps", number, path)
    return maps.numpy()


def _labels(
    tensors: Mapping[str, Tensor], number: int, sample: Sample, path: Path
) -> np.ndarray | None:
    labels = tensors.get(f"labels of {number}")
    if labels is not None and (labels.shape != sample.label.shape or labels.dtype != torch.int32):
        raise _of_others("labels", number, path)
    return None if labels is None else labels.numpy()


def _of_others(what: str, number: int, path: Path) -> TrainingError:
    return TrainingError(
        f"{path} lacks the {what} of image {number}: it is of a training on other images, or "
        "damaged; training has to start over, without --resume"
    )
