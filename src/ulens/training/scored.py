"""The score of what is held out, found once and kept in a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ulens.annotated.samples import Sample
from ulens.encodings.table import ENCODINGS, EncodingName
from ulens.training.evidence import Evidence, gather_evidence
from ulens.training.state import load_state, save_state
from ulens.training.tuning import decode_across, tune_thresholds
from ulens.training.validate import Prediction, score_held_out


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
    _, tuned = tune_thresholds(decoded, encoding, decoding)
    return Scored(
        predictions=decoded,
        decoding=tuned,
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
    tensors, record = load_state(path)
    predictions = []
    for number, sample in enumerate(samples):
        maps, saved = tensors[str(number)].numpy(), tensors.get(f"labels of {number}")
        # older versions saved the maps alone
        decode = ENCODINGS[encoding].decode
        labels = decode(maps, **record["decoding"]) if saved is None else saved.numpy()
        predictions.append(Prediction(sample=sample, maps=maps, labels=labels))
    evidence = record.get("evidence")
    return Scored(
        predictions=predictions,
        decoding=record["decoding"],
        scores=record["scores"],
        evidence=evidence and Evidence.from_json(evidence),
        step=record["step"],
    )
