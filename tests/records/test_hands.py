"""Orders of joints: what is where, how one becomes another, and which arrays cannot be what they claim to be."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.records.hand_checks import palm_bend, require_hands
from jaxkd.records.hands import (
    ARCTIC,
    ASSEMBLY_HANDS,
    JOINTS,
    MEDIAPIPE,
    ORDERS,
    HandJoints,
    JointOrder,
    hands_of_42,
    pair_of_hands,
    reordered,
)
from tests.tiny_hands import hands

every_order = pytest.mark.parametrize("order", ORDERS, ids=str)
every_pair = pytest.mark.parametrize(
    ("claimed", "real"), [(one, other) for one in ORDERS for other in ORDERS if one != other], ids=str
)


def test_places_of_the_data_sets():
    assert (ARCTIC.wrist, ASSEMBLY_HANDS.wrist, MEDIAPIPE.wrist) == (0, 20, 0)
    assert (ARCTIC.unit, ASSEMBLY_HANDS.unit, ASSEMBLY_HANDS.metres) == ("m", "mm", 1e-3)
    tips = [f"{finger}_tip" for finger in ("thumb", "index", "middle", "ring", "pinky")]
    assert ARCTIC.indices(*tips) == (16, 17, 18, 19, 20)
    assert ASSEMBLY_HANDS.indices(*tips) == (0, 4, 8, 12, 16)
    assert MEDIAPIPE.indices(*tips) == (4, 8, 12, 16, 20)
    bases = [f"{finger}_{'cmc' if finger == 'thumb' else 'mcp'}" for finger in ("index", "middle", "pinky", "thumb")]
    assert ARCTIC.indices(*bases) == (1, 4, 7, 13)
    assert str(ARCTIC) == "ARCTIC"


@every_order
def test_bones_lead_from_the_wrist_to_every_joint(order):
    assert len(order.bones) == 20
    assert {child for _, child in order.bones} == set(range(21)) - {order.wrist}
    for start in range(21):
        place = start
        for _ in range(4):
            place = order.parents[place]
        assert place == order.wrist
    names = {order.joints[child]: order.joints[parent] for parent, child in order.bones}
    assert (names["ring_tip"], names["ring_mcp"], names["thumb_cmc"]) == ("ring_dip", "wrist", "wrist")


@every_pair
def test_reordering_keeps_names_and_is_undone(claimed, real):
    joints = np.arange(2 * 21 * 3.0).reshape(2, 21, 3)
    moved = reordered(joints, source=real, target=claimed)
    for name in JOINTS:
        np.testing.assert_array_equal(moved[:, claimed.joints.index(name)], joints[:, real.joints.index(name)])
    np.testing.assert_array_equal(reordered(moved, source=claimed, target=real), joints)
    np.testing.assert_array_equal(reordered(jnp.asarray(joints), source=real, target=claimed), moved)


def test_hands_of_two_orders_do_not_mix():
    record = HandJoints(joints=np.ones((5, 2, 21, 3)), valid=np.ones((5, 2, 21), bool), order=ARCTIC)
    other = record.with_order(ASSEMBLY_HANDS)
    assert len(jax.tree.leaves(record)) == 2
    with pytest.raises(ValueError, match="static|metadata|pytree"):
        jax.tree.map(jnp.add, record, other)
    moving = np.where(np.arange(21)[:, None] == 0, 7.0, record.joints)
    wrists = HandJoints(joints=moving, valid=record.valid, order=ARCTIC).with_order(MEDIAPIPE).wrists
    np.testing.assert_array_equal(wrists, np.full((5, 2, 3), 7))


def test_arrays_of_both_hands_have_the_right_one_first():
    joints = np.arange(42.0)[:, None] * np.ones(3)
    split = hands_of_42(joints)
    assert (split[0, ASSEMBLY_HANDS.wrist, 0], split[1, ASSEMBLY_HANDS.wrist, 0]) == (20, 41)
    np.testing.assert_array_equal(pair_of_hands(split), joints)
    with pytest.raises(ValueError, match=re.escape("must hold 42 joints on the last axis but one, 21 of the right")):
        hands_of_42(joints[:40])
    with pytest.raises(ValueError, match="joints must hold the 21 joints of a hand on the last axis but one, got 20"):
        pair_of_hands(split[:, :20])


def test_an_order_has_every_joint_once_and_a_unit():
    with pytest.raises(
        ValueError, match=r"joints must be the 21 of .* in some order, got 20 for Mine, without thumb_cmc|without wrist"
    ):
        JointOrder(name="Mine", joints=JOINTS[1:], unit="m")
    with pytest.raises(ValueError, match="got 21 for Mine, without pinky_tip"):
        JointOrder(name="Mine", joints=(*JOINTS[:20], "wrist"), unit="m")
    with pytest.raises(ValueError, match="unit must be one of m, mm, got 'cm'"):
        JointOrder(name="Mine", joints=JOINTS, unit="cm")
    with pytest.raises(ValueError, match=r"names must be of wrist, .*, got 'elbow'"):
        ARCTIC.indices("elbow")


@every_order
@pytest.mark.parametrize("side", ["right", "left"])
def test_hands_in_metres_and_their_own_order_pass(order, side):
    joints = hands(1, 30, order=order, side=side)
    require_hands(joints, order=order, side=side)
    require_hands(np.where(np.arange(30)[:, None, None] % 2, np.nan, joints), order=order, side=side)
    require_hands(np.full((3, 21, 3), np.nan), order=order, side=side)
    require_hands(hands(1, 30, order=order, bend=(0.0, 0.02)), order=order, side=side)  # straight fingers tell nothing


@every_pair
def test_an_order_of_another_data_set_is_rejected_with_both_wrists(claimed, real):
    message = f"poses must be in the order of {claimed}, whose wrist is joint {claimed.wrist}, got bones"
    with pytest.raises(ValueError, match=f"{message}.*in the order of {real}, whose wrist is joint {real.wrist}"):
        require_hands(hands(2, 20, order=real), order=claimed, name="poses")


@every_order
def test_a_wrist_at_the_other_end_is_rejected(order):
    joints = hands(2, 20, order=order)
    moved = np.roll(joints, -1 if order.wrist == 0 else 1, axis=1)
    message = f"in the order of {order} but for the wrist, whose wrist is joint {20 - order.wrist}"
    with pytest.raises(ValueError, match=message):
        require_hands(moved, order=order)
    require_hands(np.roll(moved, 1 if order.wrist == 0 else -1, axis=1), order=order)


@pytest.mark.parametrize("bend", [(0.0, 0.05), (0.9, 1.4), (-0.1, 1.5)])
@every_order
def test_no_order_is_rejected_that_is_right_whatever_the_pose(order, bend):
    for joints in hands(8, 200, order=order, bend=bend):
        require_hands(joints, order=order)


def test_units_are_rejected_with_the_size_of_the_hand():
    joints = hands(3, 20, order=ARCTIC)
    most = np.arange(21) < 12
    require_hands(np.where(most[:, None], joints, 1e4), order=ARCTIC, valid=np.tile(most, (20, 1)))
    with pytest.raises(ValueError, match="the median of 20. These are millimetres"):
        require_hands(1000 * joints, order=ARCTIC, valid=np.tile(most, (20, 1)))
    message = r"got a hand of 1\d\d m from the wrist to the farthest joint, the median of 20. These are millimetres"
    with pytest.raises(ValueError, match=f"joints must be in metres, {message}: divide them by 1,000"):
        require_hands(joints * 1000, order=ARCTIC)
    with pytest.raises(ValueError, match=r"got a hand of 1\d\.?\d? m .*Convert them, or check them"):
        require_hands(joints * 100, order=ARCTIC)
    with pytest.raises(
        ValueError, match=r"must be in millimetres, got a hand of 0\.00.*are metres, multiply them by 1"
    ):
        require_hands(joints / 1000, order=ARCTIC, unit="millimetres")


@pytest.mark.parametrize(("side", "other"), [("right", "left"), ("left", "right")])
def test_a_hand_of_the_other_side_is_rejected(side, other):
    with pytest.raises(
        ValueError, match=f"joints must be of the {side} hand, got fingers that bend as those of the {other}"
    ):
        require_hands(hands(4, 20, order=ASSEMBLY_HANDS, side=other), order=ASSEMBLY_HANDS, side=side)


def test_the_bend_of_the_fingers_is_that_of_the_mirror_image_with_the_sign_changed():
    joints = hands(5, 20, order=MEDIAPIPE)
    bend = palm_bend(joints, order=MEDIAPIPE)
    assert (bend > 0.2).all()
    np.testing.assert_allclose(palm_bend(joints * [1, 1, -1], order=MEDIAPIPE), -bend, rtol=1e-12)
    np.testing.assert_allclose(palm_bend(joints * 1000 + 3, order=MEDIAPIPE), bend, rtol=1e-8)
    assert np.isnan(palm_bend(np.zeros((21, 3)), order=MEDIAPIPE))


def test_twenty_joints_and_infinite_ones_are_rejected():
    joints = hands(6, 4, order=ARCTIC)
    with pytest.raises(
        ValueError, match=re.escape("axis but one, got 20 of shape (4, 20, 3). Add what is missing, often")
    ):
        require_hands(joints[:, 1:], order=ARCTIC)
    with pytest.raises(ValueError, match="axis but one, got no of shape"):
        reordered(np.zeros(21), source=ARCTIC, target=MEDIAPIPE)
    joints[1, 3] = np.inf
    with pytest.raises(ValueError, match="joints must hold finite positions where they are valid, got inf"):
        require_hands(joints, order=ARCTIC)
    require_hands(joints, order=ARCTIC, valid=np.isfinite(joints).all(axis=-1))
