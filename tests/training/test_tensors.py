import numpy as np
import pytest
import torch

from tiny_training import squares, tiny_plan
from ulens.annotated.samples import Annotated, Sample
from ulens.augment.geometry import GeometrySettings, sample, sampling_points
from ulens.augment.pipeline import draw_tile
from ulens.encodings import distance
from ulens.encodings.weights import falk_weight, separation_weight
from ulens.errors import LabelError
from ulens.io.store import ArrayStore
from ulens.nets.shapes import unet_geometry
from ulens.normalize import fit_normalization
from ulens.planning.fingerprint import take_fingerprint
from ulens.planning.plan import Plan
from ulens.training.tensors import TrainingImage, class_frequencies, cut, draw, prepare
from ulens.training.trainer import Trainer


def a_sample(label, name="a"):
    label = np.asarray(label, np.int32)
    image = np.random.default_rng(0).normal(100, 20, (1, *label.shape))
    return Sample(name=name, image=image, label=label)


def prepared(samples, encoding, **changes):
    return prepare(
        samples,
        fit_normalization(sample.image for sample in samples),
        plan=tiny_plan(encoding=encoding, **changes),
        device=torch.device("cpu"),
    )


def test_classes_are_targets_with_class_weights_and_ignored_pixels_weigh_nothing():
    (image,) = prepared([a_sample([[0, 1, -1], [1, 1, 0]])], "classes", class_weights=(3.0, 0.5))
    assert image.target.tolist() == [[0, 1, -1], [1, 1, 0]]
    assert image.weight.tolist() == [[3.0, 0.5, 0.0], [0.5, 0.5, 3.0]]
    assert abs(float(image.image.mean())) < 1e-6


def test_the_gaps_of_instances_get_their_separation_weight():
    label = np.repeat([[1] * 9 + [2] * 9], 12, axis=0)
    (image,) = prepared([a_sample(label)], "boundary", border_weight=10.0)
    expected = 1 + separation_weight(label, w0=10.0, sigma_px=5.0)
    np.testing.assert_allclose(image.weight.numpy(), expected)
    assert image.weight.max() > 9


def test_in_two_classes_the_instances_are_the_components_of_the_foreground():
    label = np.ones((12, 19), int)
    label[:, 9] = 0
    (image,) = prepared([a_sample(label)], "classes", border_weight=10.0)
    instances = label.copy()
    instances[:, 10:] *= 2
    expected = 1 + separation_weight(instances, w0=10.0, sigma_px=5.0)
    np.testing.assert_allclose(image.weight.numpy(), expected)


@pytest.mark.parametrize(("encoding", "second"), [("boundary", 2), ("classes", 1)])
def test_a_plan_can_ask_for_the_weight_map_of_falk(encoding, second):
    label = np.repeat([[1] * 9 + [0] * 3 + [second] * 9 + [-1] * 4], 12, axis=0)
    gaps = {"border_weight": 50.0, "border_sigma_px": 6.0}
    (image,) = prepared([a_sample(label)], encoding, weight_map="falk", **gaps)
    instances = np.repeat([[1] * 9 + [0] * 3 + [2] * 9 + [0] * 4], 12, axis=0)
    expected = np.where(label < 0, 0, falk_weight(instances))
    np.testing.assert_allclose(image.weight.numpy(), expected)
    assert image.weight.max() > 40


def test_balanced_tiles_are_centred_on_each_class_in_turn():
    label = np.zeros((40, 40), int)
    label[20, 20:23] = 1
    label[:, :3] = -1
    plan = tiny_plan(balanced=True, seed=3)
    images = prepared([a_sample(label)], "classes")
    for visit in range(40):
        y, x = draw(images, plan, visit).geometry.centre
        assert label[int(y), int(x)] == visit % 2
    centres = {draw(images, plan, visit).geometry.centre for visit in range(1, 200, 2)}
    assert centres == {(20.0, 20.0), (20.0, 21.0), (20.0, 22.0)}


def partly_annotated() -> tuple[Plan, list[TrainingImage]]:
    """A plan for large steps, and an image of which a part at its edge is annotated."""
    label = np.full((150, 150), -1)
    label[100:124, :24] = 0
    label[108:116, 4:12] = 1
    geometry = GeometrySettings(elastic_sd_px=1.0, beyond_edges=True)
    return tiny_plan(geometry=geometry), prepared([a_sample(label)], "classes")


def test_tiles_are_drawn_where_something_is_annotated():
    plan, images = partly_annotated()
    weights = [cut(images, plan, draw(images, plan, visit))[2] for visit in range(200)]
    assert np.mean([bool((weight > 0).any()) for weight in weights]) > 0.45
    # anywhere, one in six would be
    assert images[0].near_annotation(10**6) is None


def test_of_a_part_every_annotated_pixel_is_seen_as_often():
    plan, images = partly_annotated()
    numbers = torch.arange(150 * 150, dtype=torch.float32).reshape(1, 150, 150)
    counts = np.zeros(150 * 150)
    for visit in range(6000):
        drawn = draw(images, plan, visit)
        points = sampling_points(drawn.geometry, (30, 30), torch.device("cpu"))
        seen = sample(numbers, points, nearest=True).round().long().flatten().numpy()
        counts += np.bincount(seen, minlength=len(counts))
    shares = counts.reshape(150, 150)[100:124, 1:24]
    blocks = shares[:, 1:].reshape(4, 6, -1, 2).sum(axis=(1, 3))
    assert blocks.min() > 0.8 * blocks.mean()
    assert blocks.max() < 1.2 * blocks.mean()


def test_fully_annotated_images_are_drawn_from_as_ever():
    plan, _ = partly_annotated()
    images = prepared([a_sample(np.zeros((150, 150), int))], "classes")
    drawn = draw(images, plan, 5)
    size = [(150, 150)]
    output = (plan.network_geometry.output_size(plan.tiles.crop),) * 2
    settings = plan.augmentation
    assert drawn == draw_tile(
        settings.geometry, settings.intensity, image_sizes=size, output_size=output,
        seed=plan.seed, visit=5,
    )  # fmt: skip


def test_frequencies_are_of_the_annotated_pixels_of_all_images():
    few, many = np.zeros((10, 10), int), np.ones((20, 10), int)
    few[:, :5] = -1
    images = prepared([a_sample(few), a_sample(many)], "classes")
    np.testing.assert_allclose(class_frequencies(images, 3), [50 / 250, 200 / 250, 0])


def test_an_image_without_the_class_gives_any_annotated_pixel():
    label = np.full((30, 30), -1)
    label[10:12] = 0
    images = prepared([a_sample(label)], "classes")
    drawn = [draw(images, tiny_plan(balanced=True), visit).geometry.centre for visit in range(20)]
    assert {int(y) for y, _ in drawn} == {10, 11}


def test_distances_weigh_the_same_wherever_something_is_annotated():
    label = np.repeat([[1] * 5 + [2] * 4 + [0] * 3 + [-1] * 4], 8, axis=0)
    (image,) = prepared([a_sample(label)], "distance")
    assert image.target.dtype == torch.float32
    np.testing.assert_array_equal(image.target.numpy(), distance.encode(label))
    np.testing.assert_array_equal(image.weight.numpy(), label >= 0)


@pytest.mark.parametrize("encoding", ["classes", "boundary", "distance"])
def test_a_tile_has_the_target_of_the_network_and_a_weight_of_its_size(encoding):
    label = np.repeat([[1] * 20 + [0] * 20], 40, axis=0)
    plan = tiny_plan(encoding=encoding)
    images = prepared([a_sample(label)], encoding)
    tile, target, weight = cut(images, plan, draw(images, plan, 0))
    size = unet_geometry(plan.network.depth).output_size(plan.tiles.crop)
    assert tile.shape == (1, plan.tiles.crop, plan.tiles.crop)
    assert target.shape == ((2, size, size) if encoding == "distance" else (size, size))
    assert weight.shape == (size, size)


def test_images_without_annotation_are_left_out_and_none_at_all_is_an_error():
    nothing = a_sample(np.full((5, 5), -1), "nothing")
    assert [i.name for i in prepared([nothing, a_sample(np.eye(5))], "classes")] == ["a"]
    with pytest.raises(LabelError, match="no pixel of the training images is annotated"):
        prepared([nothing], "classes")


def test_a_fingerprint_counts_what_there_is():
    label = np.zeros((10, 20), np.int32)
    label[:5, :4], label[:5, 4:8], label[7:9, 12:17], label[9, 19] = 1, 2, 3, -1
    annotated = Annotated(
        samples=[a_sample(label)],
        labels_are="instances",
        class_values=(0, 1),
        spacing_um=None,
        reading="",
        unpaired=[],
    )
    found = take_fingerprint(annotated)
    assert found.num_instances == 3
    assert found.median_area_px == 20
    assert found.touching_fraction == pytest.approx(2 / 3)
    assert found.contact_fraction == pytest.approx(10 / 199)
    assert found.ignored_fraction == pytest.approx(1 / 200)
    assert found.class_fractions == pytest.approx((149 / 199, 50 / 199))


class CountingStore(ArrayStore):
    num_kept = 0

    def keep(self, array):
        self.num_kept += 1
        return super().keep(array)


def test_images_in_mapped_files_are_learned_as_those_in_memory():
    samples = [a_sample(squares(seed)[1] > 0, str(seed)) for seed in range(3)]
    plan = tiny_plan(steps=6)
    weights = []
    for room in (2**30, 0):
        store = CountingStore(room)
        images = prepare(
            samples,
            fit_normalization(sample.image for sample in samples),
            plan=plan,
            device=torch.device("cpu"),
            store=store,
        )
        assert store.num_kept == 9  # image, target and weight of each
        trainer = Trainer(plan.make_network(1), images, plan)
        list(trainer)
        weights.append(trainer.weights())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])
