"""Transformer decoder whose learned queries read the parameters of hands and objects from an image's tokens."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.networks.functional import Stateful, stateful
from jaxkd.typing import Key, Params
from jaxkd.vision.layers import layer_norm, linear

OBJECT_QUERIES = ("rotation", "camera", "angle")
"""Queries of an object, in their order."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryOutputs:
    """Parameters of the hands and objects in each image, as the linear heads return them.

    Sizes of the last axes are fields of `QueryDecoder`; what their numbers mean is up to the losses.  Below is what
    JointTransformer's mean.
    """

    joint_rotations: Float[Array, "b hands joints rotation"]
    """Rotation of each joint: 6 numbers, two columns of its matrix before they are made orthonormal."""
    hand_cameras: Float[Array, "b hands camera"]
    """Weak-perspective camera of each hand: scale, and translation to the right and down."""
    hand_shapes: Float[Array, "b hands shape"]
    """Coefficients of each hand's shape: 10."""
    object_rotations: Float[Array, "b objects axis"] | None
    """Rotation of each object: 3 numbers, an axis times the angle in radians; None: no objects."""
    object_cameras: Float[Array, "b objects camera"] | None
    """Weak-perspective camera of each object; None: no objects."""
    object_angles: Float[Array, "b objects angle"] | None
    """Angle of each object's hinge in radians; None: no objects."""
    queries: Float[Array, "b q w"]
    """Queries after the last layer, which the heads read: of each hand its joints, its camera and its shape, then of
    each object its rotation, its camera and its angle."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryDecoder:
    """Decoder of tokens, from any backbone, into `QueryOutputs`: a frozen description with separate parameters.

    The tokens are mapped linearly to `width`, and the learned queries pass through layers of

        x = x + SelfAttention(LN(x)),  x = x + CrossAttention(LN(x), tokens),  x = x + W2 ReLU(W1 LN(x)),

    a last LN, and a linear head for each kind of query, which all hands share.  By default there are 39 queries and
    51,269,658 parameters.  Without a positional encoding, the order of the tokens changes nothing.

    Source: JointTransformer in HANDS23 (arXiv 2403.16428), kabouzeid/JointTransformer@b4209c1 as described.  Deviation:
    that ReLU is the activation, that the two hands share heads, the last LN, the initial weights, and no dropout, are
    inferred.

    Raises:
        ValueError: a number outside its range.
    """

    inputs: int = 1536
    """Channels of the tokens; a ViT-G/14 has 1536."""
    positions: int | None = None
    """Number of tokens, each of which gets a learned encoding of its position, for backbones whose tokens have none;
    None: no encoding, and any number of tokens."""
    width: int = 512
    """Channels of the queries."""
    heads: int = 8
    """Heads of each attention."""
    layers: int = 12
    """Layers."""
    hidden: int = 2048
    """Hidden units of each layer's feed-forward network."""
    hands: int = 2
    """Hands, each with a query for every joint, for its camera and for its shape."""
    joints: int = 16
    """Joints of a hand that rotate, the wrist included."""
    objects: int = 1
    """Objects with a hinge, each with a query for its rotation, its camera and its angle; 0: hands alone."""
    rotation_size: int = 6
    """Numbers that stand for a joint's rotation."""
    shape_size: int = 10
    """Coefficients of a hand's shape."""
    camera_size: int = 3
    """Parameters of a camera."""
    object_rotation_size: int = 3
    """Numbers that stand for an object's rotation."""
    angle_size: int = 1
    """Angles of an object's hinges."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), 0 if field.name == "objects" else 1
            if value is not None and value < least:
                raise ValueError(f"{field.name} must be at least {least}, got {value}.")
        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads, so that each head has as many channels, got {self.width} and "
                f"{self.heads}."
            )

    @property
    def queries(self) -> int:
        """Number of learned queries."""
        return self.hands * (self.joints + 2) + 3 * self.objects

    def module(self, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module, called as `module(tokens)`."""
        return QueryDecoderModule(self, rngs=rngs)

    def init(self, key: Key) -> Params:
        """Return initial parameters."""
        return _stateful(self).init(key)[0]

    def abstract(self) -> Params:
        """Return the shapes and dtypes of `init`."""
        return _stateful(self).params

    def apply(self, params: Params, tokens: Float[Array, "b n c"]) -> QueryOutputs:
        """Return the parameters of hands and objects.

        Args:
            params: parameters from `init`, or learnt since.
            tokens: tokens of each image, such as a vision transformer's patches, or the pixels of a feature map.

        Raises:
            ValueError: tokens of another width, or another number of them than there are encodings of positions.
        """
        if tokens.shape[2] != self.inputs:
            raise ValueError(
                f"tokens must have {self.inputs} channels, the inputs of the decoder, got {tokens.shape[2]}."
            )
        if self.positions is not None and tokens.shape[1] != self.positions:
            raise ValueError(
                f"tokens must be {self.positions}, each of which has a learned encoding of its position, got "
                f"{tokens.shape[1]}. Take images of the size that positions is for."
            )
        outputs, _ = _stateful(self).apply(params, {}, tokens)
        return outputs


@functools.lru_cache(maxsize=16)
def _stateful(decoder: QueryDecoder) -> Stateful:
    return stateful(decoder.module)


class QueryDecoderModule(nnx.Module):
    """Module of `QueryDecoder`."""

    def __init__(self, decoder: QueryDecoder, *, rngs: nnx.Rngs):
        self.hands, self.joints, self.objects = decoder.hands, decoder.joints, decoder.objects
        width = decoder.width
        self.embed = linear(decoder.inputs, width, rngs=rngs)
        small, unit = nnx.initializers.normal(0.02), nnx.initializers.normal(1.0)
        positions = decoder.positions
        self.encoding = None if positions is None else nnx.Param(small(rngs.params(), (positions, width)))
        self.queries = nnx.Param(unit(rngs.params(), (decoder.queries, width)))
        # Dicts, not lists: paths of parameters are made of strings.
        self.layers = nnx.Dict(
            {
                f"layer{place}": DecoderLayer(width, heads=decoder.heads, hidden=decoder.hidden, rngs=rngs)
                for place in range(decoder.layers)
            }
        )
        self.norm = layer_norm(width, rngs=rngs)
        sizes = {
            "joint": decoder.rotation_size,
            "hand_camera": decoder.camera_size,
            "hand_shape": decoder.shape_size,
        }
        if decoder.objects:
            sizes |= {
                "object_rotation": decoder.object_rotation_size,
                "object_camera": decoder.camera_size,
                "object_angle": decoder.angle_size,
            }
        self.heads = nnx.Dict({name: linear(width, size, rngs=rngs) for name, size in sizes.items()})

    def __call__(self, tokens: Float[Array, "b n c"]) -> QueryOutputs:
        """Return what the heads read from the queries."""
        memory = self.embed(tokens)
        if self.encoding is not None:
            memory = memory + self.encoding[...][None]
        learned = self.queries[...].astype(memory.dtype)
        queries = jnp.broadcast_to(learned[None], (tokens.shape[0], *learned.shape))
        for layer in self.layers.values():
            queries = layer(queries, memory)
        queries = self.norm(queries)
        split = self.hands * (self.joints + 2)
        hands = queries[:, :split].reshape(tokens.shape[0], self.hands, self.joints + 2, queries.shape[2])
        objects = queries[:, split:].reshape(tokens.shape[0], self.objects, 3, queries.shape[2])
        of_objects = (
            [self.heads[f"object_{name}"](objects[:, :, place]) for place, name in enumerate(OBJECT_QUERIES)]
            if self.objects
            else [None] * len(OBJECT_QUERIES)
        )
        return QueryOutputs(
            joint_rotations=self.heads["joint"](hands[:, :, : self.joints]),
            hand_cameras=self.heads["hand_camera"](hands[:, :, self.joints]),
            hand_shapes=self.heads["hand_shape"](hands[:, :, self.joints + 1]),
            object_rotations=of_objects[0],
            object_cameras=of_objects[1],
            object_angles=of_objects[2],
            queries=queries,
        )


class DecoderLayer(nnx.Module):
    """Let queries attend to one another and to the tokens, and map each, normalised before each of the three.

    Source: torch's `TransformerDecoderLayer(norm_first=True)` after Vaswani et al. (arXiv 1706.03762), section 3.1.
    Deviation: no dropout.
    """

    def __init__(self, width: int, *, heads: int, hidden: int, rngs: nnx.Rngs):
        self.self_norm, self.self_attention = layer_norm(width, rngs=rngs), QueryAttention(width, heads, rngs=rngs)
        self.cross_norm, self.cross_attention = layer_norm(width, rngs=rngs), QueryAttention(width, heads, rngs=rngs)
        self.feed_norm = layer_norm(width, rngs=rngs)
        self.up, self.down = linear(width, hidden, rngs=rngs), linear(hidden, width, rngs=rngs)

    def __call__(self, queries: Float[Array, "b q w"], tokens: Float[Array, "b n w"]) -> Float[Array, "b q w"]:
        """Return the queries after the layer."""
        normed = self.self_norm(queries)
        queries = queries + self.self_attention(normed, normed)
        queries = queries + self.cross_attention(self.cross_norm(queries), tokens)
        return queries + self.down(jax.nn.relu(self.up(self.feed_norm(queries))))


class QueryAttention(nnx.Module):
    """Attention of queries to tokens, out(softmax(q k^T / sqrt(width / heads)) v), softmax in float32."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.count = heads
        self.query, self.key = linear(width, width, rngs=rngs), linear(width, width, rngs=rngs)
        self.value, self.out = linear(width, width, rngs=rngs), linear(width, width, rngs=rngs)

    def __call__(self, queries: Float[Array, "b q w"], tokens: Float[Array, "b n w"]) -> Float[Array, "b q w"]:
        """Return what each query reads from the tokens."""
        pairs = ((self.query, queries), (self.key, tokens), (self.value, tokens))
        split = [layer(values).reshape(*values.shape[:2], self.count, -1) for layer, values in pairs]
        return self.out(jax.nn.dot_product_attention(*split).reshape(queries.shape))
