"""The tables of Ronneberger, Fischer and Brox (2015), with the images behind each number."""

from collections.abc import Mapping
from dataclasses import dataclass

from ulens.errors import SettingError
from ulens.predict.predictor import Average


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperTable:
    """One of the paper's tables, and how it is reproduced.

    Parameters
    ----------
    name, title : for the command line and for readers
    dataset : as `find_dataset` knows it
    training, unseen : our frames, as `read_annotated` takes them
    ours_trained, ours_scored, paper_trained, paper_scored : the images, in words
    average, views_in_words : the views that are averaged
    num_decimals : of each measure, as the paper prints it
    rows : the paper's values by who reached them, and by measure
    notes : what else differs
    """

    name: str
    title: str
    dataset: str
    training: str
    unseen: str
    ours_trained: str
    ours_scored: str
    paper_trained: str
    paper_scored: str
    average: Average
    views_in_words: str
    num_decimals: Mapping[str, int]
    rows: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures, as the scores name them."""
        return tuple(self.num_decimals)


def find_table(name: str) -> PaperTable:
    """Return the table of a name.

    Raises
    ------
    SettingError : there is none

    Examples
    --------
    >>> find_table("isbi2012").rows["u-net"]["warping error"]
    0.000353
    """
    for table in PAPER_TABLES:
        if table.name == name.lower():
            return table
    names = ", ".join(table.name for table in PAPER_TABLES)
    raise SettingError(f"there is no table {name!r} to reproduce; choose of {names}")


def _em(warping: float, rand: float, pixel: float) -> dict[str, float]:
    return {"warping error": warping, "Rand error": rand, "pixel error": pixel}


def _seg(values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    return {name: {"SEG": value} for name, value in values.items()}


_EIGHT_VIEWS = "the mean over 8 flipped and transposed views"
_OF_THE_CELLS = (
    f"ours is {_EIGHT_VIEWS}; the paper does not say, and the released network averages 4 flips",
    "silver truth, which programs made, is learned where there is no gold; the paper's images were "
    "partially annotated by hand",
    "scored are the frames with gold truth alone; what the paper calls IoU is the challenge's SEG",
)

PAPER_TABLES = (
    PaperTable(
        name="isbi2012",
        title="Table 1: membranes, ISBI 2012",
        dataset="ISBI2012",
        training="0-14",
        unseen="15-19",
        ours_trained="slices 0-14 of the training stack",
        ours_scored="slices 15-19 of the training stack",
        paper_trained="the 30 slices of the training stack",
        paper_scored="the hidden test stack, board of 6 March 2015",
        average="rotations7",
        views_in_words="the mean over 7 rotations",
        num_decimals={"warping error": 6, "Rand error": 4, "pixel error": 4},
        rows={
            "human": _em(0.000005, 0.0021, 0.0010),
            "u-net": _em(0.000353, 0.0382, 0.0611),
            "DIVE-SCI": _em(0.000355, 0.0305, 0.0584),
            "IDSIA (sliding window)": _em(0.000420, 0.0504, 0.0613),
            "DIVE": _em(0.000430, 0.0545, 0.0582),
            "IDSIA-SCI": _em(0.000653, 0.0189, 0.1027),
        },
    ),
    PaperTable(
        name="phc-u373",
        title="Table 2: PhC-U373",
        dataset="PhC-C2DH-U373",
        training="02:0-39",
        unseen="02:40-59",
        ours_trained="frames 0-39 of training sequence 02",
        ours_scored="frames 40-59 of training sequence 02",
        paper_trained="35 partially annotated images",
        paper_scored="the hidden test sequences of 2015",
        average=8,
        views_in_words=_EIGHT_VIEWS,
        num_decimals={"SEG": 4},
        rows=_seg(
            {
                "u-net": 0.9203,
                "second best of 2015": 0.83,
                "KTH-SE": 0.7953,
                "HOUS-US": 0.5323,
                "IMCB-SG": 0.2669,
            }
        ),
        notes=_OF_THE_CELLS,
    ),
    PaperTable(
        name="dic-hela",
        title="Table 2: DIC-HeLa",
        dataset="DIC-C2DH-HeLa",
        training="01:0-49",
        unseen="01:54-83",
        ours_trained="frames 0-49 of training sequence 01",
        ours_scored="frames 54-83 of training sequence 01",
        paper_trained="20 partially annotated images",
        paper_scored="the hidden test sequences of 2015",
        average=8,
        views_in_words=_EIGHT_VIEWS,
        num_decimals={"SEG": 4},
        rows=_seg(
            {"u-net": 0.7756, "second best of 2015": 0.46, "KTH-SE": 0.4607, "IMCB-SG": 0.2935}
        ),
        notes=_OF_THE_CELLS,
    ),
)
