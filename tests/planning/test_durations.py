import pytest

from ulens.errors import SettingError
from ulens.planning.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20min", 1200), ("90s", 90), ("1h", 3600), ("1h30min", 5400), ("1.5 h", 5400), ("2m", 120)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "min", "-3s", "0s", "3 weeks"])
def test_durations_that_make_no_sense_are_refused(text):
    with pytest.raises(SettingError, match="write it like 20min"):
        parse_duration(text)
