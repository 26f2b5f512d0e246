import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxkd.networks.functional import functional, stateful


class Scale(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.weight = nnx.Param(nnx.initializers.normal()(rngs.params(), (3,)), axes=("embed",))
        self.inner = nnx.Linear(3, 2, use_bias=False, kernel_metadata={"axes": ("embed", None)}, rngs=rngs)

    def __call__(self, x):
        return self.inner(x * self.weight[...])


def test_a_module_becomes_dicts_and_back():
    module = functional(Scale)
    assert module.axes == {"weight": ("embed",), "inner": {"kernel": ("embed", None)}}
    assert jax.tree.map(lambda leaf: leaf.shape, module.abstract) == {"weight": (3,), "inner": {"kernel": (3, 2)}}
    params = module.init(jax.random.key(0))
    assert type(params) is dict
    x = jnp.arange(3.0)
    np.testing.assert_allclose(module.apply(params, x), (x * params["weight"]) @ params["inner"]["kernel"], rtol=1e-5)


def test_gradients_and_scans_see_plain_arrays():
    module = functional(Scale)
    stack = jax.vmap(module.init)(jax.random.split(jax.random.key(0), 4))

    def total(stack):
        _, values = jax.lax.scan(lambda carry, layer: (carry, module.apply(layer, jnp.ones(3))), None, stack)
        return values.sum()

    grads = jax.jit(jax.grad(total))(stack)
    np.testing.assert_allclose(grads["weight"], stack["inner"]["kernel"].sum(-1), rtol=1e-5)


def test_taking_apart_computes_nothing_under_any_mesh():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    with jax.set_mesh(mesh):
        assert functional(Scale).abstract["weight"] == jax.ShapeDtypeStruct((3,), jnp.float32)


def test_what_a_submodule_reads_can_be_observed():
    module = functional(Scale)
    params = module.init(jax.random.key(0))

    @jax.jit
    def observed(params, x):
        return module.observe(["inner"], params, x)

    result, inputs = observed(params, jnp.arange(3.0))
    np.testing.assert_allclose(result, module.apply(params, jnp.arange(3.0)), rtol=1e-6)
    assert list(inputs) == ["inner"]
    np.testing.assert_allclose(inputs["inner"], jnp.arange(3.0) * params["weight"])


class TwoLayers(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.first, self.second = nnx.Linear(3, 3, rngs=rngs), nnx.Linear(3, 3, rngs=rngs)
        self.calls = nnx.BatchStat(jnp.zeros(()))


def test_equal_keys_are_for_shapes_alone():
    module = stateful(TwoLayers)
    params, state = module.init(jax.random.key(0))
    shapes = (module.params, module.state)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (params, state)) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), shapes
    )
    assert not np.allclose(params["first"]["kernel"], params["second"]["kernel"])
