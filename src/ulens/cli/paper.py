"""The commands that go with the paper: `ulens compare` and `ulens reproduce`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ulens.cli.process import training_process
from ulens.cli.terminal import Flag, say, show_table, show_until
from ulens.cli.terminal_datasets import show_fetch
from ulens.labels.meaning import LabelsAre
from ulens.paper.compare import Compared, run_comparison
from ulens.paper.contenders import parse_nets, parse_windows
from ulens.paper.plans import CompareSettings
from ulens.paper.reproduce import Reproduced, ReproduceSettings, fetch_data, run_reproduction
from ulens.planning.recipes import parse_duration


def compare(
    images: Path,
    labels: Path | None = None,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    nets: str = "unet,sliding-window,fcn-8s,fcn-alexnet",
    windows: str = "33,65",
    time: str = "10min",
    frames: str | None = None,
    score: str | None = None,
    labels_are: LabelsAre | None = None,
    ignore: int | None = None,
    width: int | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: Annotated[bool, Flag] = False,
) -> None:
    """Compare the U-Net with its rivals on your images: same images, same time, same machine.

    Parameters
    ----------
    images
        image file, stack, or folder of images; or a data set of the Cell Tracking Challenge
    labels
        label file, stack, or folder; may be left out where labels lie beside the images
    out
        folder of the comparison: compare.html, compare.json, the charts and the models
    nets
        two or more of unet, sliding-window, fcn-8s and fcn-alexnet
    windows
        sides in pixels of further sliding windows, trained beside that of 95 px to show the
        trade-off between localisation and context; none leaves them out
    time
        for the training of each network, the search of its learning rate included
    frames
        images to train on, such as 0-14; all that are not scored without it
    score
        images to score, such as 15-19; all that are not trained on without it; the last quarter
        without both
    labels_are
        how to read the labels, where ulens reads them wrongly
    ignore
        label value of pixels that are not annotated
    width
        channels of every network's first layer; without it each has its own
    seed
        of all random draws
    device
        auto, cpu, cuda or mps
    resume
        go on in OUT: a network that is trained is not trained again
    """
    settings = CompareSettings(
        images=images,
        labels=labels,
        out=out,
        nets=parse_nets(nets),
        windows=parse_windows(windows),
        seconds=parse_duration(time),
        frames=frames,
        score=score,
        labels_are=labels_are,
        ignore=ignore,
        width=width,
        seed=seed,
        device=device,
        resume=resume,
    )
    with training_process() as stop:
        compared = show_until(run_comparison(settings, stop), Compared)
    if compared is not None:
        for title, table in compared.tables.items():
            show_table(title, table)
        say(f"comparison {compared.page}")


def reproduce(
    name: str,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    data: Path | None = None,
    accept_terms: Annotated[bool, Flag] = False,
    cache: Path | None = None,
    time: str | None = None,
    width: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    resume: Annotated[bool, Flag] = False,
) -> None:
    """Train as published on the paper's data, and set our scores beside its own.

    Parameters
    ----------
    name
        isbi2012, phc-u373 or dic-hela
    out
        folder for the model, the page and the data set
    data
        folder of a copy of the data set that you have; without it it is fetched
    accept_terms
        you accept the terms of use of the data set, which are shown; nothing is fetched without
    cache
        folder in which downloaded archives are kept
    time
        for the training; without it the paper's ten hours, or what OUT was begun with
    width
        channels of the network's first level; the paper's 64 without it
    seed
        of all random draws; 0 without it
    device
        auto, cpu, cuda or mps
    resume
        go on in OUT
    """
    settings = ReproduceSettings(
        name=name,
        out=out,
        data=data,
        accept_terms=accept_terms,
        cache=cache,
        seconds=None if time is None else parse_duration(time),
        width=width,
        seed=seed,
        device=device,
        resume=resume,
    )
    show_fetch(fetch_data(settings))
    with training_process() as stop:
        reproduced = show_until(run_reproduction(settings, stop), Reproduced)
    if reproduced is not None:
        show_table("ours beside the paper's", reproduced.table)
        for note in reproduced.notes:
            say(f"- {note}")
        say(f"page {reproduced.page}")
