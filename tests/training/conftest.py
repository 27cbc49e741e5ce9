import pytest

from tiny_training import training_images
from ulens.training.tensors import TrainingImage


@pytest.fixture
def tiny_images() -> list[TrainingImage]:
    """Three training images of 40 px."""
    return training_images()
