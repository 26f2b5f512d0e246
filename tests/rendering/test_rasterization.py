"""The depth buffer against every triangle at every pixel in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.rendering import interpolate, rasterize, visibility
from tests.losses.compiled import jitted
from tests.rendering.oracle import assert_nearest, candidates

HEIGHT, WIDTH = 37, 45
VERTICES, FACES = 64, 64
"""Sizes that all tests share, so that one program serves them; the rest is padding."""

ONE, TWO = np.float32([[5, 5], [5, 30], [40, 5]]), np.float32([[40, 30], [20, 35], [44, 2]])


@pytest.fixture(autouse=True, scope="module")
def several_steps():
    """Few pairs of a face and a tile at a time: programs of these shapes need many steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visibility, "PATCHES", 100)
        yield


def padded(pixels, depth, faces):
    """The same mesh with vertices that are not finite and faces that have none."""
    assert len(pixels) <= VERTICES
    assert len(faces) <= FACES
    more = VERTICES - len(pixels)
    return (
        np.concatenate([np.float32(pixels), np.full((more, 2), np.nan, np.float32)]),
        np.concatenate([np.float32(depth), np.full(more, np.nan, np.float32)]),
        np.concatenate([np.int32(faces), np.full((FACES - len(faces), 3), -1, np.int32)]),
    )


def seen(pixels, depth, faces, *, culling="none"):
    run = jitted(rasterize, height=HEIGHT, width=WIDTH, culling=culling)
    return run(*padded(pixels, depth, faces))


def soup(seed):
    """Triangles of all sizes, up to that of the image, many of which reach beyond it."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-5, [WIDTH + 5, HEIGHT + 5], (20, 1, 2))
    corners = centres + rng.normal(size=(20, 3, 2)) * rng.choice([0.5, 6, 20], (20, 1, 1))
    pixels, depth = corners.reshape(-1, 2).astype(np.float32), rng.uniform(0.3, 2, 60).astype(np.float32)
    return pixels, depth, np.arange(60).reshape(20, 3).astype(np.int32)


def same(one, other):
    """Equal in every field."""
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_hand_values():
    found = seen([[0, 0], [0, 2], [4, 0]], [1.0, 1.0, 2.0], [[0, 1, 2]])
    assert found.face[:4, :6].tolist() == [[0, 0, 0, 0, 0, -1], [0, 0, 0, -1, -1, -1], [0, *[-1] * 5], [-1] * 6]
    assert (found.face >= 0).sum() == 9
    # Half way between depths of 1 and 2, the inverse depth is 3/4, and the nearer corner weighs twice as much.
    np.testing.assert_allclose(found.depth[0, :5], [1, 8 / 7, 4 / 3, 8 / 5, 2], rtol=1e-6)
    np.testing.assert_allclose(found.barycentric[0, 2], [2 / 3, 0, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(found.barycentric[1, 0], [0.5, 0.5, 0], rtol=1e-6)
    assert found.depth[3, 3] == np.inf
    assert not found.barycentric[3, 3].any()
    assert found.front[0, 0]
    assert not found.front[3, 3]


@pytest.mark.parametrize("seed", range(4))
def test_equals_every_triangle_at_every_pixel(seed):
    pixels, depth, faces = soup(seed)
    found = seen(pixels, depth, faces)
    assert assert_nearest(found, pixels, depth, faces) > 0.995
    share, _, planes = candidates(pixels, depth, faces, height=HEIGHT, width=WIDTH)
    covered, rows = found.face >= 0, np.maximum(found.face, 0)[None]
    assert 0.15 < covered.mean() < 1
    np.testing.assert_allclose(found.depth[covered], np.take_along_axis(planes, rows, 0)[0][covered], rtol=1e-5)
    weights = np.take_along_axis(share, rows[..., None], 0)[0] / depth[faces][rows[0]]
    weights /= weights.sum(axis=-1, keepdims=True)
    # The weights of a triangle of the size of a pixel have errors of the edges, 1e-5 px, over its height.
    wide = np.abs(np.linalg.det(pixels[faces][:, 1:] - pixels[faces][:, :1]))[rows[0]] > 4
    np.testing.assert_allclose(found.barycentric[covered & wide], weights[covered & wide], atol=1e-4)
    np.testing.assert_allclose(found.barycentric.sum(axis=-1), covered, atol=1e-6)
    assert (found.barycentric >= 0).all()


def test_triangles_far_larger_than_the_image():
    pixels = np.float32([[-300, -200], [-250, 400], [500, 90], [400, -300]])
    depth, faces = np.float32([0.4, 0.5, 3, 1]), np.int32([[0, 1, 2], [0, 2, 3], [1, 3, 2]])
    found = seen(pixels, depth, faces)
    assert (found.face >= 0).all()
    assert assert_nearest(found, pixels, depth, faces) > 0.995


def test_a_shift_by_whole_pixels_moves_the_image():
    pixels, depth, faces = soup(5)
    pixels = np.round(pixels * 1024) / 1024  # so that the shift is exact
    found, moved = seen(pixels, depth, faces), seen(pixels + np.float32([3, 5]), depth, faces)
    assert (moved.face[5:, 3:] == found.face[:-5, :-3]).all()
    np.testing.assert_allclose(moved.depth[5:, 3:], found.depth[:-5, :-3], rtol=1e-6)


def test_the_order_of_the_faces_and_of_their_corners_changes_nothing():
    pixels, depth, faces = soup(6)
    found, order = seen(pixels, depth, faces), np.random.default_rng(0).permutation(len(faces))
    other = seen(pixels, depth, np.roll(faces[order], 1, axis=1))
    assert (np.where(other.face < 0, -1, order[other.face]) == found.face).all()
    np.testing.assert_allclose(other.depth, found.depth, rtol=1e-6)
    np.testing.assert_allclose(np.roll(other.barycentric, -1, axis=-1), found.barycentric, atol=1e-4)


def test_the_nearer_triangle_hides_the_other_one():
    pixels, faces = np.concatenate([ONE, ONE]), np.int32([[0, 1, 2], [3, 4, 5]])
    behind = seen(pixels, np.float32([1, 1, 1, 2, 2, 2]), faces)
    assert set(np.unique(behind.face)) == {-1, 0}
    before = seen(pixels, np.float32([1, 1, 1, 0.5, 0.5, 0.5]), faces)
    assert set(np.unique(before.face)) == {-1, 1}
    crossing = seen(pixels, np.float32([1, 1, 1, 2, 2, 0.5]), faces)
    assert set(np.unique(crossing.face)) == {-1, 0, 1}
    # Along the upper edge the inverse depths 1 and 1/2 + 3/2 s are equal at s = 1/3.
    assert crossing.face[5, 5 + 11] == 0
    assert crossing.face[5, 5 + 12] == 1


@pytest.mark.parametrize("whole", [False, True], ids=["anywhere", "on pixels"])
def test_between_the_triangles_of_a_surface_no_pixel_is_lost(whole):
    rng = np.random.default_rng(2)
    column, row = np.meshgrid(np.linspace(0, WIDTH - 1, 6), np.linspace(0, HEIGHT - 1, 6))
    pixels = np.stack([column, row], axis=-1)
    pixels[1:-1, 1:-1] += rng.uniform(-2, 2, (4, 4, 2))
    pixels = (np.round(pixels) if whole else pixels).astype(np.float32).reshape(-1, 2)
    corner = (6 * np.arange(5)[:, None] + np.arange(5)).reshape(-1)
    square = np.stack([corner, corner + 6, corner + 7, corner + 1], axis=-1)
    faces = np.concatenate([square[:, [0, 1, 2]], square[:, [0, 2, 3]]])
    # A plane: its inverse depth is linear in the image.
    inverse = 1 + 0.01 * pixels[:, 0] + 0.02 * pixels[:, 1]
    found = seen(pixels, 1 / inverse, faces)
    assert (found.face >= 0).all()
    assert found.front.all()
    row, column = np.indices((HEIGHT, WIDTH))
    np.testing.assert_allclose(1 / found.depth, 1 + 0.01 * column + 0.02 * row, rtol=1e-5)
    assert len(np.unique(found.face)) == len(faces)


def test_back_faces_are_seen_or_left_out():
    pixels, depth, faces = np.concatenate([ONE, ONE]), np.float32([1, 1, 1, 2, 2, 2]), np.int32([[0, 2, 1], [3, 4, 5]])
    both, front = seen(pixels, depth, faces), seen(pixels, depth, faces, culling="back")
    assert set(np.unique(both.face)) == {-1, 0}
    assert not both.front.any()
    assert set(np.unique(front.face)) == {-1, 1}
    assert (front.front == (front.face == 1)).all()
    assert ((both.face >= 0) == (front.face >= 0)).all()


@pytest.mark.parametrize(
    ("pixels", "depth", "face"),
    [
        pytest.param([[0, 0], [0, np.nan], [9, 9]], [1, 1, 1], [3, 4, 5], id="pixel that is not a number"),
        pytest.param([[0, 0], [0, np.inf], [9, 9]], [1, 1, 1], [3, 4, 5], id="infinite pixel"),
        pytest.param([[0, 0], [0, 9], [9, 0]], [1, np.nan, 1], [3, 4, 5], id="depth that is not a number"),
        pytest.param([[0, 0], [0, 9], [9, 0]], [1, np.inf, 1], [3, 4, 5], id="infinite depth"),
        pytest.param([[0, 0], [0, 9], [9, 0]], [1, -0.1, 1], [3, 4, 5], id="behind the camera"),
        pytest.param([[0, 0], [0, 9], [9, 0]], [1, 0, 1], [3, 4, 5], id="in the plane of the camera"),
        pytest.param([[0, 0], [4, 4], [9, 9]], [1, 1, 1], [3, 4, 5], id="line"),
        pytest.param([[3, 3], [3, 3], [3, 3]], [1, 1, 1], [3, 4, 5], id="point"),
        pytest.param([[0, 0], [0, 9], [9, 0]], [1, 1, 1], [3, 4, 4], id="one vertex twice"),
        pytest.param([[0, 0], [0, 9], [9, 0]], [1, 1, 1], [3, 4, -1], id="index below 0"),
        pytest.param([[0, 0], [0, 9], [9, 0]], [1, 1, 1], [3, 4, VERTICES], id="index beyond the vertices"),
        pytest.param([[3.2, 3.2], [3.2, 3.8], [3.8, 3.2]], [1, 1, 1], [3, 4, 5], id="between the pixels"),
        pytest.param([[-9, 0], [-9, 9], [-1, 0]], [1, 1, 1], [3, 4, 5], id="left of the image"),
        pytest.param([[0, HEIGHT], [0, 99], [9, HEIGHT]], [1, 1, 1], [3, 4, 5], id="below the image"),
    ],
)
def test_what_cannot_be_seen_changes_nothing(pixels, depth, face):
    expected = seen(ONE, [2, 2, 2], [[0, 1, 2]])
    assert (expected.face >= 0).any()
    found = seen(np.concatenate([ONE, np.float32(pixels)]), [2, 2, 2, *depth], [[0, 1, 2], face])
    same(found, expected)


def test_slivers_stay_between_the_depths_of_their_corners():
    rng = np.random.default_rng(3)
    along = rng.uniform(0, 30, (20, 3, 1)) * np.float32([[1.0, 1.0]]) + np.float32([2, 1])
    pixels = (along + rng.normal(size=(20, 3, 2)) * 3e-6).astype(np.float32).reshape(-1, 2)
    depth = rng.uniform(1, 2, 60).astype(np.float32)
    found = seen(pixels, depth, np.arange(60).reshape(20, 3))
    covered = found.face >= 0
    assert covered.any()
    assert (found.depth[covered] > 0.999).all()
    assert (found.depth[covered] < 2.001).all()
    assert np.isfinite(found.barycentric).all()


def test_without_faces_or_vertices_nothing_is_seen():
    for vertices, faces in ((3, 0), (0, 1)):
        none = np.zeros((faces, 3), np.int32)
        run = jitted(rasterize, height=3, width=2)
        found = run(np.zeros((vertices, 2), np.float32), np.ones(vertices, np.float32), none)
        assert found.face.tolist() == [[-1, -1]] * 3
        assert found.depth.tolist() == [[np.inf] * 2] * 3
        assert not found.front.any()
        values = jitted(interpolate)(found, none, np.zeros((vertices, 4), np.float32))
        assert values.shape == (3, 2, 4)
        assert not values.any()


def test_interpolated_positions_lie_on_the_rays_of_the_pixels():
    """Weights of the triangle itself, not of its image: those would miss by pixels here."""
    rng = np.random.default_rng(4)
    points = rng.uniform([-0.6, -0.5, 0.5], [0.6, 0.5, 2], (12, 3)).astype(np.float32)
    pixels = 40 * points[:, :2] / points[:, 2:] + np.float32([22, 18])
    faces = np.arange(12).reshape(4, 3).astype(np.int32)
    found = seen(pixels, points[:, 2], faces)
    _, _, padding = padded(pixels, points[:, 2], faces)
    values = np.concatenate([points, np.zeros((VERTICES - 12, 3), np.float32)])
    position = jitted(interpolate)(found, padding, values)
    covered = found.face >= 0
    assert covered.sum() > 200
    row, column = np.nonzero(covered)
    back = 40 * position[covered][:, :2] / position[covered][:, 2:] + [22, 18]
    np.testing.assert_allclose(back, np.stack([column, row], axis=-1), atol=1e-3)
    np.testing.assert_allclose(position[covered][:, 2], found.depth[covered], rtol=1e-5)
    assert not position[~covered].any()


def test_gradients_of_depth_equal_finite_differences_and_bad_vertices_get_none():
    pixels, depth, faces = (
        np.concatenate([ONE, TWO]) + np.float32(0.3),
        np.float32([1, 1.5, 2, 2.2, 1.2, 1.7]),
        [[0, 1, 2], [3, 4, 5]],
    )
    arrays = padded(pixels, depth, faces)
    found = seen(pixels, depth, faces)
    cotangent = np.where(found.face >= 0, np.random.default_rng(5).normal(size=(HEIGHT, WIDTH)), 0).astype(np.float32)

    def total(pixels, depth):
        fragments = rasterize(pixels, depth, jnp.asarray(arrays[2]), height=HEIGHT, width=WIDTH)
        return jnp.sum(jnp.where(fragments.face >= 0, fragments.depth * cotangent, 0))

    gradients = jax.device_get(jax.jit(jax.grad(total, argnums=(0, 1)))(*arrays[:2]))

    def planes(pixels, depth):
        """The same sum in float64, of the planes of the faces that are seen now."""
        corners, rows = pixels[np.int32(faces)], np.maximum(found.face, 0)
        matrix = np.concatenate([corners, np.ones((2, 3, 1))], axis=-1)
        plane = np.linalg.solve(matrix, 1 / depth[np.int32(faces)][..., None])[..., 0][rows]
        row, column = np.indices(rows.shape)
        return np.sum(cotangent / (plane[..., 0] * column + plane[..., 1] * row + plane[..., 2]))

    for argument in range(2):
        wide = [np.float64(pixels), np.float64(depth)]
        for place in np.ndindex(wide[argument].shape):
            values = []
            for step in (1e-5, -1e-5):
                moved = [one.copy() for one in wide]
                moved[argument][place] += step
                values.append(planes(*moved))
            np.testing.assert_allclose(gradients[argument][place], np.diff(values)[0] / -2e-5, rtol=1e-3, atol=1e-3)
        assert not gradients[argument][6:].any()


def test_vmap_equals_a_loop():
    sets = [padded(*soup(seed)) for seed in (7, 8)]
    run = jax.vmap(functools.partial(rasterize, height=HEIGHT, width=WIDTH))
    found = jitted(run)(*(np.stack(arrays) for arrays in zip(*sets, strict=True)))
    for index, arrays in enumerate(sets):
        one = jitted(rasterize, height=HEIGHT, width=WIDTH, culling="none")(*arrays)
        assert (found.face[index] == one.face).all()
        np.testing.assert_allclose(found.depth[index], one.depth, rtol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_does_not_fit():
    pixels, depth, faces = np.zeros((3, 2), np.float32), np.ones(3, np.float32), np.int32([[0, 1, 2]])
    run = functools.partial(rasterize, height=4, width=4)
    message = r"must be \[v, 2\], \[v\] and \[f, 3\], got \(3, 2\), \(2,\) and \(1, 3\)\. Use jax\.vmap for the images"
    with pytest.raises(ValueError, match=message):
        run(pixels, depth[1:], faces)
    with pytest.raises(ValueError, match=r"must be \[v, 2\], \[v\] and \[f, 3\], got \(3, 2\), \(3,\) and \(1, 2\)"):
        run(pixels, depth, faces[:, :2])
    with pytest.raises(ValueError, match=r"height and width must be 1 or more, got 0 and 4: they are those of the"):
        rasterize(pixels, depth, faces, height=0, width=4)
    with pytest.raises(ValueError, match=r"culling must be one of none, back, got 'front'"):
        run(pixels, depth, faces, culling="front")
    with pytest.raises(
        ValueError, match=r"times tiles of 8 x 8 pixels must be below 2\^30, got 20000 times 65536\. Draw"
    ):
        rasterize(pixels, depth, np.zeros((20_000, 3), np.int32), height=2048, width=2048)
    fragments = jax.eval_shape(run, pixels[:0], depth[:0], faces)
    with pytest.raises(ValueError, match=r"faces and values must be \[f, 3\] and \[v, k\], got \(1, 3\) and \(3,\)"):
        interpolate(fragments, faces, depth)
