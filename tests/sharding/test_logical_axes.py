"""Logical axes: where each lands, what happens where the mesh does not divide, and the refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxkd.sharding import WHOLE, MeshShape, Share, constrain, partition_spec, shard, shardings, with_shardings
from jaxkd.sharding.mesh import make


@pytest.fixture
def mesh():
    return make(MeshShape(data=2, fsdp=2, tensor=2))


def test_each_axis_lands_where_the_table_says(mesh):
    assert partition_spec(("vocab", "embed"), (8, 4), mesh.abstract_mesh) == PartitionSpec("tensor", "fsdp")
    rows = partition_spec(("rows", None, "mlp"), (8, 3, 4), mesh.abstract_mesh)
    assert rows == PartitionSpec(("data", "fsdp"), None, "tensor")


def test_an_axis_that_does_not_divide_stays_whole(mesh):
    assert partition_spec(("kv_heads", "embed"), (3, 4), mesh.abstract_mesh) == PartitionSpec(None, "fsdp")
    assert partition_spec(("rows",), (2,), mesh.abstract_mesh) == PartitionSpec(None)


@pytest.mark.parametrize(
    ("layout", "spec"), [("sharded", ("tensor", "fsdp")), ("tensor", ("tensor", None)), ("replicated", (None, None))]
)
def test_a_layout_leaves_parameters_whole_over_some_axes(mesh, layout, spec):
    tree, axes = {"table": jax.ShapeDtypeStruct((8, 4), jnp.float32)}, {"table": ("vocab", "embed")}
    with jax.set_mesh(mesh):
        assert with_shardings(tree, axes, layout=layout)["table"].sharding.spec == PartitionSpec(*spec)


def test_placing_splits_and_keeps_the_values(mesh):
    tree, axes = {"table": np.arange(32.0).reshape(8, 4)}, {"table": ("vocab", "embed")}
    with jax.set_mesh(mesh):
        placed = shard(tree, axes)
    np.testing.assert_array_equal(placed["table"], tree["table"])
    assert placed["table"].addressable_shards[0].data.shape == (4, 2)


def test_without_a_mesh_nothing_happens():
    array = jnp.ones((2, 3))
    assert constrain(array, "rows", "embed") is array
    assert shardings({"a": array}, {"a": ("rows", "embed")}) is None
    np.testing.assert_array_equal(shard({"a": np.ones(2)}, {"a": ("rows",)})["a"], 1)


def test_unknown_names_and_wrong_ranks_are_refused(mesh):
    with pytest.raises(ValueError, match=r"axes must be logical axis names, got 'widht'\. Known names: embed, heads"):
        partition_spec(("widht",), (4,), mesh.abstract_mesh)
    with pytest.raises(ValueError, match=r"axes must name each dimension once, got \('rows',\) for the shape \(4, 4\)"):
        partition_spec(("rows",), (4, 4), mesh.abstract_mesh)
    with pytest.raises(ValueError, match=r"layout must be one of sharded, tensor, replicated, got 'split'\."):
        partition_spec(("rows",), (4,), mesh.abstract_mesh, layout="split")


def test_a_parameter_without_axes_is_an_error(mesh):
    tree = {"mlp": {"up": jnp.ones((4, 4)), "gate": jnp.ones((4, 8))}}
    with (
        jax.set_mesh(mesh),
        pytest.raises(ValueError, match=r"must have logical axes, got none for mlp\.gate of shape \(4, 8\)"),
    ):
        shardings(tree, {"mlp": {"up": ("embed", "mlp")}})


def test_shares_are_disjoint_and_all_of_the_rows():
    rows = list(range(12))
    assert [row for index in range(3) for row in rows[Share(index=index, count=3).rows(12)]] == rows
    assert rows[WHOLE.rows(12)] == rows


def test_one_process_takes_all():
    assert Share.of_process() == WHOLE


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"index": 2, "count": 2}, r"index must be in \[0, 2\), got 2"),
        ({"index": -1}, r"index must be in \[0, 1\), got -1"),
    ],
)
def test_a_share_that_is_none_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Share(**fields)


def test_rows_that_the_shares_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"rows must be .* got 7 rows for 3 processes\. The nearest: 6\."):
        Share(count=3).rows(7)
