"""Networks on images that are no decoders of text: their description, and a trained one as evaluators take it."""

import abc
import dataclasses
import functools
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, UInt8

from jaxkd.networks.functional import Stateful, stateful
from jaxkd.typing import Key, Params
from jaxkd.vision.pixels import Pixels, normalised


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageNetwork(abc.ABC):
    """Kind of network on images: a frozen description, whose parameters and running statistics are stored separately.

    An architecture adds its hyper-parameters, `module`, and `require_size`.
    """

    pixels: Pixels = "min_max"
    """Normalisation of the pixel values; the network normalises its images itself."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Numbers of channels of the images that the network takes.  Default: 3."""
        return (3,)

    @abc.abstractmethod
    def module(self, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module, called as `module(images, train=..., rngs=...)`.

        `images` are normalised and of the dtype of the parameters, [b, h, w, c]; `rngs` has the stream "dropout" in
        training, and is None else.  Running statistics are `nnx.BatchStat`.
        """

    def require_size(self, height: int, width: int) -> None:
        """Reject images of a size that the network does not take.  Default: accept any.

        Raises:
            ValueError: the size; the message says which sizes are taken.
        """
        del height, width

    def require_channels(self, channels: int) -> None:
        """Reject images of a number of channels that the network does not take.

        Raises:
            ValueError: the number; the message says which are taken.
        """
        if channels not in self.channels:
            taken = " or ".join(map(str, self.channels))
            raise ValueError(f"images must have {taken} channels for {type(self).__name__}, got {channels}.")

    def init(self, key: Key) -> tuple[Params, Params]:
        """Return initial parameters and running statistics; an empty dict for a network without any."""
        return _stateful(self).init(key)

    def abstract(self) -> tuple[Params, Params]:
        """Return the shapes and dtypes of `init`."""
        network = _stateful(self)
        return network.params, network.state

    def apply(
        self,
        params: Params,
        state: Params,
        images: UInt8[Array, "b h w c"],
        *,
        train: bool = False,
        key: Key | None = None,
    ) -> tuple[Any, Params]:
        """Return the outputs, and the running statistics after them.

        Args:
            params: parameters from `init`, or learnt since; in their dtype the network computes.
            state: running statistics.
            images: images, of any size that `require_size` accepts.
            train: whether statistics are those of the batch, and dropout is on.
            key: random key of the dropout, required in training.

        Raises:
            ValueError: a size or a number of channels that the network does not take, or no key in training.
        """
        self.require_channels(images.shape[3])
        self.require_size(*images.shape[1:3])
        rngs = None
        if train:
            if key is None:
                raise ValueError("key must be given in training, where units are dropped at random, got None.")
            rngs = nnx.Rngs(dropout=key)
        values = normalised(images, self.pixels, jax.tree.leaves(params)[0].dtype)
        return _stateful(self).apply(params, state, values, train=train, rngs=rngs)


@functools.lru_cache(maxsize=64)
def _stateful(network: ImageNetwork) -> Stateful:
    return stateful(network.module)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkModel:
    """Trained network on images, which evaluators and the export take."""

    network: ImageNetwork = dataclasses.field(metadata={"static": True})
    params: Params
    state: Params

    def __str__(self) -> str:
        return f"a {type(self.network).__name__}"

    def __call__(self, images: UInt8[Array, "b h w c"]) -> Any:
        """Return the network's outputs, with its running statistics and without dropout."""
        outputs, _ = self.network.apply(self.params, self.state, images)
        return outputs
