"""Images of small meshes against an average over the points of each pixel in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.rendering import (
    Light,
    ObjectLayer,
    SensorNoise,
    composite,
    draw,
    exposure,
    linear_light,
    rasterize,
    render,
    vertex_normals,
)
from tests.losses.compiled import jitted

HEIGHT, WIDTH, FOCAL = 13, 19, 20.0
CENTRE = np.float32([[9, 6]])

CUBE = np.float32([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
SIDES = np.int32([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
FACES = np.concatenate([SIDES[:, [0, 1, 2]], SIDES[:, [0, 2, 3]]])


def project(points):
    return FOCAL * points[:, :2] / points[:, 2:] + CENTRE


def cube(seed, *, size=0.12, depth=1.0, right=0.1):
    """A turned cube, partly beyond the image, and its albedo."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    return (size * CUBE @ turn.T + [right, 0, depth]).astype(np.float32), rng.uniform(size=(8, 3)).astype(np.float32)


def light(channels=3):
    return Light(
        direction=np.float32([-1, -2, -2]),
        colour=np.linspace(0.5, 0.7, channels, dtype=np.float32),
        ambient=np.full(channels, 0.1, np.float32),
        specular=np.float32(0.2),
        shininess=np.float32(9),
    )


OPTIONS = {"project": project, "height": HEIGHT, "width": WIDTH}


def drawn(vertices, albedo, faces=FACES, **options):
    return jitted(draw, **OPTIONS, **options)(vertices, faces, albedo, light=light(albedo.shape[1]))


def padded(vertices, faces):
    """A smaller mesh with the shapes of a cube, and a grey albedo."""
    vertices = np.concatenate([vertices, np.full((8 - len(vertices), 3), np.nan, np.float32)])
    faces = np.concatenate([faces, np.full((12 - len(faces), 3), -1, np.int32)])
    return vertices, np.full((8, 3), 0.5, np.float32), faces


def rendered(vertices, albedo, background, **options):
    return jitted(render, project=project, **options)(
        vertices, FACES, albedo, light=light(albedo.shape[1]), background=background
    )


def photograph(seed=0, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, channels)).astype(np.uint8)


def test_equals_an_average_over_the_points_of_each_pixel():
    samples, (vertices, albedo) = 2, cube(0, size=0.3)
    found = drawn(vertices, albedo)
    pixels = (np.asarray(project(vertices)) + 0.5) * samples - 0.5
    run = jitted(rasterize, height=samples * HEIGHT, width=samples * WIDTH)
    points = run(pixels, vertices[:, 2], FACES)
    face, weights, depth, front = points.face, points.barycentric, points.depth, points.front
    normals = np.asarray(jitted(vertex_normals)(vertices, FACES), np.float64)
    lamp = light()
    towards = np.float64(lamp.direction) / np.linalg.norm(lamp.direction)
    seen = np.zeros((HEIGHT, WIDTH), bool)
    for row, column in np.ndindex(HEIGHT, WIDTH):
        block = np.s_[samples * row : samples * (row + 1), samples * column : samples * (column + 1)]
        shown = face[block] >= 0
        assert found.coverage[row, column] == shown.mean()
        assert found.depth[row, column] == pytest.approx(depth[block].min(), rel=1e-6)
        if not shown.any():
            assert not found.radiance[row, column].any()
            continue
        seen[row, column] = True
        corners, weight = FACES[face[block][shown]], weights[block][shown][..., None]
        sign = np.where(front[block][shown], 1, -1)[:, None]
        normal, position, reflected = (
            np.mean(factor * np.sum(weight * values[corners], axis=1), axis=0)
            for factor, values in ((sign, normals), (1, vertices), (1, albedo))
        )
        normal /= np.linalg.norm(normal)
        half = towards - position / np.linalg.norm(position)
        half /= np.linalg.norm(half)
        facing, aligned = max(normal @ towards, 0), max(normal @ half, 0)
        radiance = reflected * (lamp.ambient + facing * lamp.colour)
        radiance += lamp.specular * aligned**lamp.shininess * lamp.colour * (facing > 0)
        np.testing.assert_allclose(found.radiance[row, column], shown.mean() * radiance, atol=2e-5)
    assert 0.2 < seen.mean() < 0.9


def test_hand_values_of_coverage_and_depth():
    """A square whose edges pass between the points of a pixel."""
    vertices = np.float32([[x, y, 1] for x, y in ((-0.2, -0.2), (-0.2, 0.01), (0.01, 0.01), (0.01, -0.2))])
    faces = np.int32([[0, 1, 2], [0, 2, 3]])
    found = drawn(*padded(vertices, faces))
    # It reaches from (5, 2) to (9.2, 6.2): points lie a quarter of a pixel on both sides of a pixel's centre.
    assert found.coverage[2:7, 5:10].tolist() == [
        [0.25, 0.5, 0.5, 0.5, 0.25],
        *[[0.5, 1, 1, 1, 0.5]] * 3,
        [0.25, 0.5, 0.5, 0.5, 0.25],
    ]
    assert float(found.coverage.sum()) == 16
    np.testing.assert_allclose(found.depth[found.coverage > 0], 1, rtol=1e-6)


def test_where_nothing_is_seen_the_background_stays():
    background = photograph()
    vertices, albedo = cube(1)
    found = rendered(vertices, albedo, background)
    assert found.image.dtype == np.uint8
    outside = found.mask == 0
    assert 0.1 < outside.mean() < 0.9
    assert (found.image[outside] == background[outside]).all()
    assert (found.depth[outside] == np.inf).all()
    # Fully covered pixels do not show it.
    other = rendered(vertices, albedo, 255 - background)
    assert (found.mask == 1).any()
    assert (other.image[found.mask == 1] == found.image[found.mask == 1]).all()
    away = rendered(vertices * np.float32([1, 1, -1]), albedo, background)
    assert (away.image == background).all()
    assert not away.mask.any()


def test_faces_that_cannot_be_projected_are_left_out():
    vertices, albedo = cube(2)
    for place, bad in ((2, np.nan), (2, -0.5), (2, 0.0), (2, 0.009), (0, np.inf)):
        broken = vertices.copy()
        broken[3, place] = bad
        whole, found = drawn(vertices, albedo), drawn(broken, albedo)
        assert np.isfinite(found.radiance).all()
        assert 0 < found.coverage.sum() <= whole.coverage.sum()
        # The other side of the cube may show through the hole, but no other pixel is covered.
        assert (found.coverage <= whole.coverage).all()


def test_both_sides_of_a_face_are_lit_alike_unless_backs_are_left_out():
    vertices, faces = np.float32([[-9, -9, 1], [-9, 9, 1], [9, 0, 1]]), np.int32([[0, 1, 2]])
    front, back = drawn(*padded(vertices, faces)), drawn(*padded(vertices, faces[:, ::-1]))
    assert front.radiance[6, 9, 0] > 0.1
    np.testing.assert_allclose(front.radiance, back.radiance, rtol=1e-6)
    assert not drawn(*padded(vertices, faces[:, ::-1]), culling="back").coverage.any()


def test_motion_blur_is_the_mean_light_of_the_instants():
    (first, albedo), (second, _) = cube(3), cube(3, right=-0.15)
    background = photograph(4)
    still = rendered(first, albedo, background)
    same = rendered(np.stack([first] * 2), albedo, background)
    assert (still.image == same.image).all()
    moving = rendered(np.stack([first, second]), albedo, background)
    other = rendered(second, albedo, background)
    np.testing.assert_allclose(moving.mask, (still.mask + other.mask) / 2, atol=1e-6)
    assert (moving.depth == other.depth).all()  # the instant in the middle, of two the second
    one, two, both = map(jitted(linear_light), (still.image, other.image, moving.image))
    # Three roundings to whole pixel values, each of half a step, and a step is at most 0.01 of linear light.
    np.testing.assert_allclose(both, (one + two) / 2, atol=0.01)
    assert (moving.image != still.image).any()


def test_noise_depends_on_the_key_alone():
    vertices, albedo = cube(5)
    background = photograph(6)
    noise = SensorNoise(shot=0.001, read=0.01)
    run = jitted(functools.partial(render, project=project, noise=noise))
    arrays = {"light": light(), "background": background}
    first, again, other = (run(vertices, FACES, albedo, key=jax.random.key(seed), **arrays).image for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).mean() > 0.5
    clean = rendered(vertices, albedo, background).image
    assert (first != clean).mean() > 0.5
    assert abs(np.mean(np.float64(first) - clean)) < 2


def test_views_of_a_batch_equal_single_ones_and_have_lights_of_their_own():
    vertices, albedo = zip(*(cube(seed, right=0.1 * seed) for seed in range(2)), strict=True)
    lights = jax.tree.map(lambda *leaves: np.stack(leaves), light(), jax.tree.map(lambda leaf: 0.5 * leaf, light()))

    def one(vertices, albedo, light):
        return draw(vertices, jnp.asarray(FACES), albedo, light=light, **OPTIONS)

    found = jitted(jax.vmap(one))(np.stack(vertices), np.stack(albedo), lights)
    for index in range(2):
        single = jax.tree.map(lambda leaf, at=index: leaf[at], lights)
        expected = jitted(draw, **OPTIONS)(vertices[index], FACES, albedo[index], light=single)
        assert (found.coverage[index] == expected.coverage).all()
        np.testing.assert_allclose(found.radiance[index], expected.radiance, atol=1e-6)


def test_without_faces_there_is_the_background():
    found = jitted(render, project=lambda points: points[:, :2])(
        np.zeros((0, 3), np.float32),
        np.zeros((0, 3), np.int32),
        np.zeros((0, 1), np.float32),
        light=light(1),
        background=np.full((2, 3, 1), 9, np.uint8),
    )
    assert found.image.tolist() == [[[9]] * 3] * 2


def test_layers_refuse_another_background():
    ones = functools.partial(np.ones, dtype=np.float32)
    layer = ObjectLayer(radiance=ones((2, 1, 1, 3)), coverage=ones((2, 1, 1)), depth=ones((2, 1, 1)))
    with pytest.raises(ValueError, match=r"background must have the shape of layer, got \(1, 1, 1\) and \(1, 1, 3\)"):
        jitted(lambda layer, background: composite(exposure(layer), background))(layer, ones((1, 1, 1)))


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_does_not_fit():
    vertices, albedo = cube(7)
    background = photograph()

    def run(vertices, albedo, normals=None, **options):
        return jax.eval_shape(
            functools.partial(draw, **OPTIONS | options), vertices, FACES, albedo, light=light(), normals=normals
        )

    def image(vertices, albedo, **options):
        return jax.eval_shape(
            functools.partial(render, project=project, **options),
            vertices,
            FACES,
            albedo,
            light=light(),
            background=background,
        )

    with pytest.raises(
        ValueError, match=r"vertices and albedo must be \[v, 3\] and \[v, c\], got \(8, 3\) and \(7, 3\)"
    ):
        run(vertices, albedo[1:])
    with pytest.raises(ValueError, match=r"normals must have the shape of vertices, got \(7, 3\) and \(8, 3\)"):
        run(vertices, albedo, normals=vertices[1:])
    with pytest.raises(ValueError, match=r"samples must be 1, 2, 4 or 8, got 3: a pixel has samples x samples points"):
        run(vertices, albedo, samples=3)
    with pytest.raises(ValueError, match=r"near must be positive and finite, in metres, got 0"):
        run(vertices, albedo, near=0)
    with pytest.raises(ValueError, match=r"project must return a pixel for each of 8 points, got the shape \(8, 3\)"):
        run(vertices, albedo, project=lambda points: points)
    with pytest.raises(
        ValueError, match=r"vertices must be \[v, 3\] or \[t, v, 3\], with an instant or more, got \(0,"
    ):
        image(vertices[None][:0], albedo)
    with pytest.raises(
        ValueError, match=r"background must be \[h, w, c\] with the channels of albedo, got .* \(8, 1\)"
    ):
        image(vertices, albedo[:, :1])
    with pytest.raises(ValueError, match=r"noise and key must be given together: the key is that of the noise"):
        image(vertices, albedo, noise=SensorNoise())
