"""What is kept out of training, so that the score is honest."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ulens.annotated.blocks import BLOCK_FRACTION, Block, divide, find_block, widen_gap
from ulens.annotated.samples import Sample
from ulens.errors import DataError, SettingError
from ulens.io.files import list_some
from ulens.labels.meaning import IGNORED

T = TypeVar("T")
Moment = list[Sample]
"""Planes of one time, which are held out together; mostly a single one."""
IMAGES_PER_HELD_OUT = 10
FEWEST_FOR_WHOLE_IMAGES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """What was chosen to be held out.

    Parameters
    ----------
    names : of the images that are held out, wholly or in part
    blocks : of those of which a block is held out, by name
    between : names of the planes beside them, which are trained on only after the score
    not_independent : why the score is not that of images which are new to the network; empty where
        it is
    """

    names: Collection[str]
    blocks: Mapping[str, Block] = field(default_factory=dict)
    between: Collection[str] = ()
    not_independent: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return entries for a model's provenance."""
        return {
            "held_out": list(self.names),
            "held_out_blocks": {name: list(block) for name, block in self.blocks.items()},
            "left_between": list(self.between),
            "not_independent": self.not_independent,
        }

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> "HeldOut":
        """Read what `to_json` wrote; models of older versions tell less.

        Raises
        ------
        SettingError : it is not told what was held out
        """
        for name in ("held_out", "held_out_blocks"):
            if name not in entries:
                raise SettingError(
                    f"of what the training held out, {name} is missing; train anew, without "
                    "--resume"
                )
        return cls(
            names=entries["held_out"],
            blocks={name: Block(*block) for name, block in entries["held_out_blocks"].items()},
            between=entries.get("left_between", ()),
            not_independent=entries.get("not_independent", ""),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Annotated images for training and for the score.

    Parameters
    ----------
    training, held_out : samples; pixels that belong to the other side are −1 (ignored)
    whole : all of them, undivided
    chosen : what is held out, by name
    description : the sentence the program prints
    """

    training: list[Sample]
    held_out: list[Sample]
    whole: list[Sample]
    chosen: HeldOut
    description: str


def split_samples(
    samples: Sequence[Sample], *, labels_are: str, seen: Collection[str] | None = ()
) -> Split:
    """Hold out one image in ten, or blocks of each image where there are few.

    Held-out images are spread evenly over the others. Planes of a stack and frames of a sequence
    are nearly known where their neighbours are trained on, so of fewer than four stacks the last
    tenth of the planes is held out, and the plane before it is not trained on either; of more,
    whole stacks are held out. From fewer than four images a block is held out of each: the last
    fifth along its longer axis. Images without any annotated pixel are on neither side.

    Parameters
    ----------
    seen : hashes of the images that the model to start from has seen; None where it does not tell.
        All of this holds for the images that it has not seen; the others are trained on

    Raises
    ------
    DataError : the images are too small to be divided
    """
    samples = annotated_ones(samples)
    chosen = _choose(unseen_ones(samples, seen) or samples, samples)
    return hold_out(samples, chosen, labels_are=labels_are, seen=seen)


def annotated_ones(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples with any annotated pixel."""
    return [sample for sample in samples if _is_annotated(sample)]


def unseen_ones(samples: Iterable[Sample], seen: Collection[str] | None) -> list[Sample]:
    """Return the samples whose images are not among these hashes."""
    return [sample for sample in samples if not seen or sample.image_hash not in seen]


def hold_out(
    samples: Sequence[Sample],
    chosen: HeldOut,
    *,
    labels_are: str,
    seen: Collection[str] | None,
) -> Split:
    """Hold out what was chosen, and say why its score is not independent, if it is not.

    Parameters
    ----------
    samples : with annotated pixels
    seen : as in `split_samples`
    """
    unseen = unseen_ones(samples, seen)
    known = {sample.name for sample in samples} - {sample.name for sample in unseen}
    beside = planes_beside(chosen.names, samples)
    reason = ""
    if seen is None:
        reason = (
            "the model that training starts from does not tell which images it has seen; a "
            "model trained with this version does"
        )
    elif not unseen:
        reason = (
            "the model that training starts from has seen all of these images; add images that it "
            "has not seen"
        )
    elif beside if chosen.blocks else known.intersection(beside):
        reason = "planes beside those held out are trained on"
    return split_as(samples, replace(chosen, not_independent=reason), labels_are=labels_are)


def leave_gap(split: Split, reach_px: tuple[int, int], *, labels_are: str) -> Split:
    """Leave a gap between held-out blocks and what is trained on; other splits stay as they are.

    Parameters
    ----------
    reach_px : (y, x) how far around a pixel the network sees, in pixels of the images
    """
    chosen = split.chosen
    if not chosen.blocks:
        return split
    blocks, too_small = dict(chosen.blocks), []
    for sample in split.whole:
        if (block := blocks.get(sample.name)) is None:
            continue
        wide = widen_gap(sample, block, reach_px, labels_are)
        if wide is None:
            too_small.append(sample.name)
        else:
            blocks[sample.name] = wide
    reason = chosen.not_independent
    if too_small and not reason:
        reason = (
            f"the network looks {max(reach_px)} px far, and {list_some(too_small)} leaves no room "
            "for a gap as wide between what is trained on and what is scored; "
            f"annotate more, best {FEWEST_FOR_WHOLE_IMAGES} images"
        )
    chosen = replace(chosen, blocks=blocks, not_independent=reason)
    return split_as(split.whole, chosen, labels_are=labels_are)


def split_as(
    samples: Sequence[Sample],
    chosen: HeldOut,
    *,
    new: Collection[str] = (),
    labels_are: str,
) -> Split:
    """Hold out what was held out before, and of new images one in ten.

    Parameters
    ----------
    samples : with names of their own
    chosen : what was held out
    new : names of images that were not there before; all others were trained on

    Raises
    ------
    DataError : the images are too small to be divided
    """
    samples, blocks = annotated_ones(samples), chosen.blocks
    names = set(chosen.names) - set(blocks)
    for sample in samples:
        if sample.name in new and len(names) < len(samples) // IMAGES_PER_HELD_OUT:
            names.add(sample.name)
    training: list[Sample] = []
    scored: list[Sample] = []
    for sample in samples:
        if sample.name in blocks:
            rest, block = divide(sample, blocks[sample.name], labels_are)
            training.append(rest)
            scored.append(block)
        elif sample.name in names:
            scored.append(sample)
        elif sample.name not in chosen.between:
            training.append(sample)
    training, scored = annotated_ones(training), annotated_ones(scored)
    if not training or not scored:
        raise DataError(
            f"the annotated part of {samples[0].name} is too small to be divided into one for "
            f"training and one for the score; annotate more, best {FEWEST_FOR_WHOLE_IMAGES} images"
        )
    chosen = replace(chosen, names=[sample.name for sample in scored])
    return Split(
        training=training,
        held_out=scored,
        whole=samples,
        chosen=chosen,
        description=_describe(scored, samples, chosen),
    )


def _choose(candidates: Sequence[Sample], samples: Sequence[Sample]) -> HeldOut:
    """Choose among some of all samples."""
    stacks = by_stack(candidates)
    if sum(map(len, stacks)) < FEWEST_FOR_WHOLE_IMAGES:
        blocks: dict[str, Block] = {}
        for planes in map(flatten, stacks):
            block = find_block([plane.label for plane in planes])
            blocks |= {plane.name: block for plane in planes}
        return HeldOut(names=list(blocks), blocks=blocks)
    if len(stacks) < FEWEST_FOR_WHOLE_IMAGES:
        chosen = _last_planes(stacks)
    else:
        chosen = [moment for number in _spread(len(stacks)) for moment in stacks[number]]
    names = [plane.name for plane in flatten(chosen)]
    return HeldOut(names=names, between=planes_beside(names, samples))


def planes_beside(names: Collection[str], samples: Sequence[Sample]) -> list[str]:
    """Return the names of the planes beside these in their stacks, these left out."""
    found: set[str] = set()
    for stack in by_stack(samples):
        ordered = [{plane.name for plane in moment} for moment in stack]
        for one, other in itertools.pairwise(ordered):
            if not (one | other).isdisjoint(names):
                found |= one | other
    return sorted(found - set(names))


def _describe(held_out: Sequence[Sample], samples: Sequence[Sample], chosen: HeldOut) -> str:
    blocks, words = chosen.blocks, []
    if whole := [sample for sample in held_out if sample.name not in blocks]:
        names = list_some([sample.name for sample in whole])
        words.append(f"{len(whole)} of {len(samples)} images ({names}){_name_silver(whole)}")
    if blocks:
        of = "the image" if len(blocks) == 1 else f"each of the {len(blocks)} images"
        if len(blocks) < len(samples):
            of = list_some(list(blocks))
        gaps = sorted({block.gap for block in blocks.values()} - {0})
        is_last = all(block.stop is None for block in blocks.values())
        part = f"the last {BLOCK_FRACTION:.0%}" if is_last else "a part"
        where = "before" if is_last else "beside"
        gap = f", with a gap of {' or '.join(map(str, gaps))} px {where} it" if gaps else ""
        words.append(f"{part} of {of}{gap}")
    description = f"held out for the score: {' and '.join(words)}"
    if chosen.between:
        description += f"; beside them, left out until then: {list_some(list(chosen.between))}"
    return description


def _spread(num_images: int) -> list[int]:
    num_held_out = max(1, num_images // IMAGES_PER_HELD_OUT)
    return [int((k + 0.5) * num_images / num_held_out) for k in range(num_held_out)]


def last_of_sequences(
    numbers: Iterable[int], samples: Sequence[Sample], *, one_in: int
) -> list[int]:
    """Return the last of every so many samples of each sequence; none of one that is shorter.

    Parameters
    ----------
    numbers : of the samples to choose from, ascending; those of no sequence count as one
    """
    series: dict[str | None, list[int]] = {}
    for k in numbers:
        series.setdefault(samples[k].sequence, []).append(k)
    return _last_of_each(series.values(), one_in)


def _last_of_each(series: Iterable[Sequence[T]], one_in: int) -> list[T]:
    return [k for each in series for k in each[len(each) - len(each) // one_in :]]


def _last_planes(stacks: Sequence[Sequence[Moment]]) -> Sequence[Moment]:
    """Return the last tenth of each stack, or the last plane of the longest one."""
    return _last_of_each(stacks, IMAGES_PER_HELD_OUT) or max(stacks, key=len)[-1:]


def by_stack(samples: Iterable[Sample]) -> list[list[Moment]]:
    """Gather planes of a stack and frames of a sequence, those of one moment together.

    An image of its own is by itself.
    """
    stacks: dict[object, dict[object, Moment]] = {}
    for k, sample in enumerate(samples):
        moments = stacks.setdefault(sample.sequence or sample.stack or k, {})
        moments.setdefault(sample.moment or k, []).append(sample)
    return [list(moments.values()) for moments in stacks.values()]


def flatten(moments: Iterable[Moment]) -> Moment:
    """Return the planes of several moments."""
    return [plane for moment in moments for plane in moment]


def _name_silver(held_out: Sequence[Sample]) -> str:
    num_silver = sum(sample.is_silver for sample in held_out)
    return f"; {num_silver} of them with silver truth alone" if num_silver else ""


def _is_annotated(sample: Sample) -> bool:
    return bool((sample.label != IGNORED).any())
