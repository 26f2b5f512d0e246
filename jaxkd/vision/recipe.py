"""Base recipe for learning a network on images: the network, its running statistics, and the data."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxkd import sharding
from jaxkd.data.images.augmentation import Augmentation, ImageAugmentation
from jaxkd.data.images.batches import image_batches
from jaxkd.data.images.source import ImageExample, ImageSource
from jaxkd.records import ImageBatch, Variables
from jaxkd.runtime.trained_params import STUDENT
from jaxkd.sharding import WHOLE, Share
from jaxkd.training.recipe import Count, Recipe
from jaxkd.typing import Key, Params, Split
from jaxkd.vision.network import ImageNetwork, NetworkModel

if TYPE_CHECKING:
    import grain


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkRecipe(Recipe):
    """Recipe that trains one network on images.

    A method adds its hyper-parameters and `loss`, and `abstract_teachers` and `load_teachers` if its loss reads other
    networks.  The network's parameters are `params["student"]`, and its running statistics, if it has any,
    `state["student"]`; arrays are whole on each device, and rows are split over all of them.
    """

    data: ImageSource
    """Images to learn from."""
    network: ImageNetwork
    """Network to train."""
    rows: int = 8
    """Images per batch."""
    augmentation: ImageAugmentation | None = Augmentation()
    """Random changes of the training images; None: none."""

    def validate(self) -> None:
        """Reject images that the network does not take, and batches too small for its statistics.

        Raises:
            ValueError: in these cases.
        """
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}.")
        self.network.require_size(*self.data.size)
        batch = self.abstract_batch()
        self.network.require_channels(batch.images.shape[3])
        outputs, _ = jax.eval_shape(self.outputs, self.abstract(), batch, jax.random.key(0))
        self.require_outputs(outputs)

    def require_outputs(self, outputs: Any) -> None:
        """Reject a network whose outputs the loss does not take.  Default: accept any.

        Args:
            outputs: shapes of the outputs in training.

        Raises:
            ValueError: such outputs.
        """
        del outputs

    def reads_whole_batches(self) -> bool:
        return bool(self.network.abstract()[1])

    def abstract(self) -> Variables:
        params, state = map(sharding.with_shardings, self.network.abstract())
        return _variables(params, state, sharding.with_shardings(self.abstract_teachers()))

    def init(self, key: Key) -> Variables:
        params, state = map(sharding.shard, self.network.init(key))
        return _variables(params, state, self.load_frozen())

    def load_frozen(self) -> Params:
        return sharding.shard(self.load_teachers())

    def abstract_teachers(self) -> Params:
        """Return shapes of `load_teachers`.  Default: empty."""
        return {}

    def load_teachers(self) -> Params:
        """Return the frozen variables of other networks.  Default: none."""
        return {}

    def model(self, variables: Variables) -> NetworkModel:
        return NetworkModel(
            network=self.network, params=variables.params[STUDENT], state=variables.state.get(STUDENT, {})
        )

    def provenance(self) -> str:
        count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.network.abstract()[0]))
        size = " x ".join(map(str, self.data.size))
        return f"{type(self.network).__name__} of {count:,} parameters, from {type(self.data).__name__} at {size}"

    def abstract_batch(self) -> ImageBatch[Any]:
        return _abstract_batch(self.data, self.rows)

    def examples(self, split: Split) -> Sequence[ImageExample]:
        """Return the images to learn from.  Default: those of `data`."""
        return self.data.examples(split)

    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        augmentation = self.augmentation if split == "train" else None
        return image_batches(self.examples(split), rows=self.rows, seed=seed, augmentation=augmentation, share=share)

    def counts(self, batch: ImageBatch[Any]) -> dict[str, jax.Array]:
        return {"images": jnp.asarray(batch.images.shape[0], jnp.float32)}

    @property
    def counted(self) -> Count:
        return Count(name="images", word="images", column="images\ntrained on")

    def outputs(self, variables: Variables, batch: ImageBatch[Any], key: Key) -> tuple[Any, Params]:
        """Return the network's outputs in training, and the state of `variables` after them."""
        outputs, state = self.network.apply(
            variables.params[STUDENT], variables.state.get(STUDENT, {}), batch.images, train=True, key=key
        )
        return outputs, variables.state | ({STUDENT: state} if state else {})


def _variables(params: Params, state: Params, frozen: Params) -> Variables:
    return Variables(params={STUDENT: params}, state={STUDENT: state} if state else {}, frozen=frozen)


@functools.lru_cache(maxsize=32)
def _abstract_batch(data: ImageSource, rows: int) -> ImageBatch[Any]:
    example = data.examples("train")[0]
    shapes: Any = {
        "images": jax.ShapeDtypeStruct((rows, *example.image.shape), jnp.uint8),
        "targets": jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape), leaf.dtype), example.target),
    }
    return ImageBatch(**shapes)
