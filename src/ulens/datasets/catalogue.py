"""The public data sets that ulens fetches: what they show, on what terms, and what to cite."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from ulens.annotated.challenge import find_annotated_sequences
from ulens.errors import FileError, SettingError


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """A public data set.

    Parameters
    ----------
    name : as its publisher calls it; case, blanks and hyphens do not count
    shows : what is in the images, one line
    made_by : who took the images
    url : of the ZIP archive
    size_mb : of the archive, about, in units of 10⁶ bytes, or None where it is not published
    train_on : what to train on: files, relative to the unpacked folder, or none for all of it
    or_train_on : the same in a copy that was unpacked into files or folders of other names
    terms : the conditions of use in short
    terms_page : where they stand in full
    cite : the publications to cite
    """

    name: str
    shows: str
    made_by: str
    url: str
    size_mb: int | None
    train_on: tuple[str, ...]
    terms: str
    terms_page: str
    cite: str
    or_train_on: tuple[str, ...] = ()


def list_datasets() -> tuple[Dataset, ...]:
    """Return all data sets, in the order to show them."""
    return _CATALOGUE


def find_dataset(name: str) -> Dataset:
    """Return the data set of a name.

    Raises
    ------
    SettingError : there is none

    Examples
    --------
    >>> find_dataset("isbi-2012").name
    'ISBI2012'
    """
    by_key = {_key(each.name): each for each in list_datasets()}
    if found := by_key.get(_key(name)):
        return found
    close = difflib.get_close_matches(_key(name), by_key, n=1)
    guess = f"did you mean {by_key[close[0]].name}? " if close else ""
    names = ", ".join(each.name for each in list_datasets())
    raise SettingError(f"there is no data set {name!r}; {guess}ulens knows {names}")


def training_paths(dataset: Dataset, folder: Path) -> list[Path]:
    """Return what to train on: images and labels, or one data set of the challenge.

    Parameters
    ----------
    folder : a copy of the data set, or the folder that holds such a copy under its name

    Raises
    ------
    FileError : the folder holds no such copy
    PairingError : it holds the sequences of the challenge, but no truth
    """
    for place in (folder, folder / dataset.name):
        for names in (dataset.train_on, dataset.or_train_on):
            paths = [place / name for name in names]
            if paths and all(path.exists() for path in paths):
                return paths
        if not dataset.train_on and place.is_dir() and find_annotated_sequences(place):
            return [place]
    needed = " and ".join(dataset.train_on) or "sequences such as 01 with 01_GT beside it"
    raise FileError(
        f"{folder} is no copy of {dataset.name}: it lacks {needed}; name the folder of the "
        "unpacked archive"
    )


def _key(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.casefold())


def _of_the_challenge(name: str, shows: str, made_by: str, size_mb: int) -> Dataset:
    """Return a training set of the Cell Tracking Challenge."""
    return Dataset(
        name=name,
        shows=shows,
        made_by=made_by,
        url=f"https://data.celltrackingchallenge.net/training-datasets/{name}.zip",
        size_mb=size_mb,
        train_on=(),
        terms=(
            "No open licence. Publications must cite the challenge's paper and name the Cell "
            "Tracking Challenge as the source. Preparing or reporting a submission to the "
            "challenge needs no permission; other scientific use that becomes public needs that "
            "of the data provider; commercial use that of the organizers and of the provider. "
            "The images may not be republished."
        ),
        terms_page="https://celltrackingchallenge.net/datasets/",
        cite=(
            "Maška M et al. The Cell Tracking Challenge: 10 years of objective benchmarking. "
            "Nature Methods 20, 1010 (2023). Ulman V et al. An objective comparison of "
            "cell-tracking algorithms. Nature Methods 14, 1141 (2017)."
        ),
    )


_STANFORD = "H. Blau, Baxter Laboratory for Stem Cell Biology, Stanford University"
_CATALOGUE = (
    Dataset(
        name="ISBI2012",
        shows="Membranes of neurons in a fruit fly larva's nerve cord, electron microscopy",
        made_by="A. Cardona, Institute of Neuroinformatics, University and ETH Zurich",
        url="https://downloads.imagej.net/ISBI-2012-challenge.zip",
        size_mb=None,
        train_on=("train-volume.tif", "train-labels.tif"),
        or_train_on=("train/image", "train/label"),
        terms=(
            "Free for generating or testing non-commercial image segmentation software. "
            "Publications must cite TrakEM2 and Cardona et al. 2010."
        ),
        terms_page="https://imagej.net/events/isbi-2012-segmentation-challenge",
        cite=(
            "Cardona A et al. An Integrated Micro- and Macroarchitectural Analysis of the "
            "Drosophila Brain by Computer-Assisted Serial Section Electron Microscopy. PLoS "
            "Biology 8(10), e1000502 (2010). Cardona A et al. TrakEM2 Software for Neural "
            "Circuit Reconstruction. PLoS ONE 7(6), e38011 (2012)."
        ),
    ),
    _of_the_challenge(
        "BF-C2DL-HSC",
        "Mouse blood stem cells in hydrogel microwells, bright field",
        _STANFORD,
        1600,
    ),
    _of_the_challenge(
        "BF-C2DL-MuSC",
        "Mouse muscle stem cells in hydrogel microwells, bright field",
        _STANFORD,
        1200,
    ),
    _of_the_challenge(
        "DIC-C2DH-HeLa",
        "HeLa cells, dense, on flat glass, differential interference contrast",
        "G. van Cappellen, Erasmus Medical Center, Rotterdam",
        37,
    ),
    _of_the_challenge(
        "Fluo-C2DL-Huh7",
        "Human liver cancer cells (Huh7) with YFP-TIA-1, fluorescence",
        "A. Ruggieri and P. Klein, University Hospital Heidelberg",
        36,
    ),
    _of_the_challenge(
        "Fluo-C2DL-MSC",
        "Rat mesenchymal stem cells on polyacrylamide, fluorescence",
        "F. Prósper, Center for Applied Medical Research, Pamplona",
        72,
    ),
    _of_the_challenge(
        "Fluo-N2DH-GOWT1",
        "Nuclei of mouse stem cells with GFP (GOWT1), fluorescence",
        "E. Bártová, Academy of Sciences of the Czech Republic, Brno",
        53,
    ),
    _of_the_challenge(
        "Fluo-N2DH-SIM+",
        "Simulated nuclei of HL60 cells, exact truth for every frame",
        "V. Ulman and D. Svoboda, Masaryk University, Brno",
        91,
    ),
    _of_the_challenge(
        "Fluo-N2DL-HeLa",
        "Nuclei of HeLa cells with H2b-GFP, many and small, fluorescence",
        "Mitocheck Consortium",
        182,
    ),
    _of_the_challenge(
        "PhC-C2DH-U373",
        "Glioblastoma-astrocytoma cells (U373) on polyacrylamide, phase contrast",
        "S. Kumar, University of California at Berkeley",
        40,
    ),
    _of_the_challenge(
        "PhC-C2DL-PSC",
        "Pancreatic stem cells on polystyrene, many and small, phase contrast",
        "T. Becker and D. Rapoport, Fraunhofer Institution for Marine Biotechnology, Lübeck",
        124,
    ),
)
