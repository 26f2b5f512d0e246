"""Examples check their image, and one group in two splits is refused."""

import dataclasses

import numpy as np
import pytest

from jaxkd.data.images import ImageExample, ImageSource, require_disjoint_groups


def example(key, group):
    return ImageExample(key=key, group=group, image=np.zeros((2, 3, 3), np.uint8), target=np.zeros((2, 3), np.uint8))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given(ImageSource):
    """(key, group) pairs of each split."""

    train: tuple = ()
    validation: tuple = ()
    test: tuple = ()

    @property
    def size(self):
        return 2, 3

    def examples(self, split):
        return [example(key, group) for key, group in getattr(self, split)]


@pytest.mark.parametrize(
    ("image", "got"),
    [
        (np.zeros((2, 3, 3), np.float32), r"float32 of shape \(2, 3, 3\)"),
        (np.zeros((2, 3), np.uint8), r"uint8 of shape \(2, 3\)"),
        (np.zeros((2, 3, 5), np.uint8), r"uint8 of shape \(2, 3, 5\)"),
        (np.zeros((0, 3, 3), np.uint8), r"uint8 of shape \(0, 3, 3\)"),
        ([[[0, 0, 0]]], r"list of shape \(\)"),
    ],
)
def test_an_image_of_another_type_or_shape_is_refused(image, got):
    with pytest.raises(ValueError, match=rf"image must be uint8 of shape \[height, width, 3 or 4\], got {got} in 'a'"):
        ImageExample(key="a", group="a", image=image, target=np.zeros((2, 3), np.uint8))


def test_by_default_there_is_nothing_to_check():
    Given().validate()


def test_groups_of_one_split_each_are_accepted():
    source = Given(train=(("a1", "a"), ("a2", "a"), ("b", "b")), validation=(("c", "c"),), test=(("d", "d"),))
    require_disjoint_groups(source)
    assert source.groups("train") == [("a1", "a"), ("a2", "a"), ("b", "b")]


@pytest.mark.parametrize("other", ["validation", "test"])
def test_a_group_in_two_splits_is_refused(other):
    source = Given(train=(("a1", "a"), ("b1", "b")), **{other: (("c1", "c"), ("b2", "b"))})
    with pytest.raises(
        ValueError, match=rf"the group 'b' must be in one split of Given, got 'b1' in train and 'b2' in {other}\. Move"
    ):
        require_disjoint_groups(source)
