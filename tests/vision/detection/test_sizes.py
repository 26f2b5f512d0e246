"""Parameters of the published networks, part by part, from the shapes alone."""

import jax
import pytest

from jaxkd.networks.functional import stateful
from jaxkd.vision.detection import EarlyFusion, MediumFusion
from jaxkd.vision.detection.modules.resnet import ResNet
from tests.vision.detection.tiny import paths

PYRAMID = {"lateral": 918_272, "output": 2_950_400}
HEAD = {
    "class_tower": 2_361_344,
    "box_tower": 2_361_344,
    "classifier": 13_830,
    "edges": 156_740,
    "scales": 5,
}
RESNET_50 = {"stem": 9_408, "stem_norm": 128, "c2": 215_808, "c3": 1_219_584, "c4": 7_098_368, "c5": 14_964_736}
RESNET_101 = RESNET_50 | {"c4": 26_090_496}


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def counts(params):
    return {name: count(part) for name, part in params.items()}


def backbone(params):
    parts = {name: part for name, part in params.items() if name != "stages"} | params["stages"]
    return counts(parts)


@pytest.mark.parametrize("stem", ["visible", "thermal", "plain", "shape"])
def test_gfl_on_resnet_50_and_882_parameters_of_fusion(stem):
    params, state = EarlyFusion(stem=stem, norm="running").abstract()
    assert backbone(params["backbone"]) == RESNET_50
    assert counts(params["pyramid"]) == PYRAMID
    assert counts(params["head"]) == HEAD
    fusion = {} if stem in ("visible", "thermal") else {"stem": 882}
    assert counts(params) == {"backbone": 23_508_032, "pyramid": 3_868_672, "head": 4_893_263} | fusion
    assert count(params) == 32_269_967 + sum(fusion.values())
    # A mean and a variance for each scale and bias of the backbone; they are no parameters.
    assert state.keys() == {"backbone"}
    assert count(state) == 53_120


def test_groups_have_the_parameters_of_batch_norm_and_no_state():
    params, state = EarlyFusion(norm="group").abstract()
    assert state == {}
    assert params == EarlyFusion(norm="batch").abstract()[0]


def test_medium_fusion_on_one_resnet_101():
    params, state = MediumFusion(norm="running").abstract()
    assert backbone(params["backbone"]) == RESNET_101
    assert counts(params["fusion"]) == {"c2": 131_584, "c3": 525_312, "c4": 2_099_200, "c5": 8_392_704}
    assert counts(params["pyramid"]) == PYRAMID
    assert counts(params["head"]) == HEAD
    parts = {"backbone": 42_500_160, "fusion": 11_148_800, "pyramid": 3_868_672, "head": 4_893_263}
    assert counts(params) == parts
    assert count(params) == 62_410_895
    assert count(state) == 113_024


def test_the_branch_for_weak_supervision():
    params, state = EarlyFusion(weak_branch=True).abstract()
    assert counts(params["weak"]) == {
        "project": 917_504,
        "image": 1_536,
        "cells": 1_536,
        "cells_norm": 12,
        "smooth": 324,
        "smooth_norm": 12,
        "scores": 105,
    }
    assert count(params) == 32_270_849 + 921_029
    assert state.keys() == {"weak"}
    assert paths(state["weak"]) == [
        f"{norm}/{name}" for norm in ("cells_norm", "smooth_norm") for name in ("mean", "variance")
    ]


@pytest.mark.parametrize(("depth", "expected"), [(10, 4_905_792), (18, 11_176_512), (34, 21_284_672)])
def test_backbones_of_basic_blocks(depth, expected):
    assert count(stateful(lambda rngs: ResNet(depth, rngs=rngs)).params) == expected
