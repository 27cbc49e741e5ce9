"""Every error a user can meet.

UlensError
├── ShapeError        an array has a size or channel count the network or measure cannot take
├── DataError         images or labels that cannot be used
│   ├── PairingError  images and labels that cannot be matched to each other
│   ├── FileError     a file that is missing, truncated or of an unknown format
│   └── LabelError    label values that make no sense
├── ModelError        a model folder that is damaged, foreign or does not fit the request
├── DownloadError     a file that cannot be fetched from the web
├── OutputError       an output that exists already or cannot be written
├── TrainingError     training that cannot start or cannot go on
├── Stopped           a training that was told to end before its first step
└── SettingError      an option or plan value out of range

A message says what came, what is needed and what to do.
"""


class UlensError(Exception):
    """Base of all errors that ulens raises on purpose."""


class ShapeError(UlensError, ValueError):
    """An array has a size or channel count the network or measure cannot take."""


class DataError(UlensError, ValueError):
    """Images or labels that cannot be used."""


class PairingError(DataError):
    """Images and labels that cannot be matched to each other."""


class FileError(DataError):
    """A file that is missing, truncated or of an unknown format."""


class LabelError(DataError):
    """Label values that make no sense."""


class ModelError(UlensError):
    """A model folder that is damaged, foreign or does not fit the request."""


class DownloadError(UlensError):
    """A file that cannot be fetched from the web."""


class OutputError(UlensError):
    """An output that exists already or cannot be written."""


class TrainingError(UlensError):
    """Training that cannot start or cannot go on."""


class Stopped(UlensError):
    """A training that was told to end before its first step: there is nothing to keep."""


class SettingError(UlensError, ValueError):
    """An option or plan value out of range."""
