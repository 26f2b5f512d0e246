"""Trained parameters of a student: all of them, or adapters beside a frozen checkpoint; and projectors.

A student trained whole is `params["student"]`.  If its config has `lora`, the adapters are trained as `params["lora"]`
and the checkpoint stays frozen in `frozen["student"]`.  The functions here take either, so that a recipe need not
distinguish them.  Projectors are `params["projectors"]`, an optimizer group.
"""

from collections.abc import Mapping

import jax

from jaxkd import sharding
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer import decoder, lora
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.records import Variables
from jaxkd.runtime.trained_params import STUDENT
from jaxkd.typing import Key, Params

ADAPTERS, PROJECTORS = "lora", "projectors"

_PROJECTOR_AXES = {"weight": ("embed", None), "bias": (None,)}


def abstract(config: DecoderConfig, checkpoint: Pretrained) -> Variables:
    """Shapes, dtypes and shardings of a student's variables under the ambient mesh; arguments as in `init`."""
    params = checkpoint.abstract_sharded()
    if config.lora is None:
        return Variables(params={STUDENT: params})
    return Variables(params={ADAPTERS: _abstract_adapters(config)}, frozen={STUDENT: params})


def init(config: DecoderConfig, checkpoint: Pretrained, key: Key) -> Variables:
    """Initialise a student's variables at step 0, sharded under the ambient mesh.

    Args:
        config: architecture of the student, with its `lora`.
        checkpoint: initial parameters; they may be quantised if there are adapters.
        key: random key for the adapters.
    """
    if config.lora is None:
        return Variables(params={STUDENT: checkpoint.load_sharded()})
    shardings = jax.tree.map(lambda leaf: leaf.sharding, _abstract_adapters(config))
    # Compiled, so that only the adapters are sampled.
    sample = jax.jit(lambda key: lora.split(decoder.init(config, key))[1], out_shardings=shardings)
    return Variables(params={ADAPTERS: sample(key)}, frozen=load_frozen(config, checkpoint))


def with_projectors(variables: Variables, projectors: Mapping[str, Params]) -> Variables:
    """Add projectors to the trained parameters, sharded under the ambient mesh, or abstract.

    Args:
        variables: from `init`, or from `abstract`.
        projectors: name -> weight and bias as `jaxkd.projector` makes them, or their shapes.
    """
    tree = {name: dict(leaves) for name, leaves in projectors.items()}
    axes = {name: {leaf: _PROJECTOR_AXES[leaf] for leaf in leaves} for name, leaves in tree.items()}
    abstract = all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(tree))
    placed = sharding.with_shardings(tree, axes) if abstract else sharding.shard(tree, axes)
    return variables.replace(params=variables.params | {PROJECTORS: placed})


def load_frozen(config: DecoderConfig, checkpoint: Pretrained) -> Params:
    """Load the frozen part of `init` alone: the checkpoint under adapters, or nothing."""
    return {} if config.lora is None else {STUDENT: checkpoint.load_sharded()}


def student(variables: Variables) -> Params:
    """Return the student's parameters as the forward pass reads them; adapters are not merged."""
    if ADAPTERS in variables.params:
        return lora.join(variables.frozen[STUDENT], variables.params[ADAPTERS])
    return variables.params[STUDENT]


def language_model(config: DecoderConfig, checkpoint: Pretrained, variables: Variables) -> LanguageModel:
    """Return the student with its tokenizer and its source checkpoint."""
    return LanguageModel(config=config, params=student(variables), tokenizer=checkpoint.tokenizer(), source=checkpoint)


def _abstract_adapters(config: DecoderConfig) -> Params:
    tree, axes = (lora.split(whole)[1] for whole in (decoder.abstract(config), decoder.logical_axes(config)))
    return sharding.with_shardings(tree, axes)
