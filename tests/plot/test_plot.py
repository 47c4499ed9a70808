"""Pictures: their pixels are the model's pixels, and the words are written next to the images."""

import math
import re

import numpy as np
import pytest
from pictures import FASHION, images, read

pytest.importorskip("PIL")
pytest.importorskip("matplotlib")


from tinyae import plot  # noqa: E402
from tinyae.errors import ConfigError, ShapeError  # noqa: E402
from tinyae.models import VAE  # noqa: E402
from tinyae.plot import contact_sheet, scatter  # noqa: E402


def shown(image):
    """An image as the bytes (H, W, 3) that a picture must hold."""
    if image.dtype != np.uint8:
        image = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(image, (*image.shape[:2], 3))


def magnified(image, scale):
    return np.kron(shown(image), np.ones((scale, scale, 1), np.uint8))


def cells(picture, count_y, count_x, cell_h, cell_w, gap, first):
    """The grid's cells from `first` = (y, x), row by row, where the rows stand `gap` apart."""
    y0, x0 = first
    for i in range(count_y):
        for j in range(count_x):
            y, x = y0 + i * (cell_h + gap), x0 + j * (cell_w + gap)
            yield picture[y : y + cell_h, x : x + cell_w]


def find(picture, patch):
    """Every (y, x) at which `patch` lies in `picture`."""
    h, w = patch.shape[:2]
    if h > picture.shape[0] or w > picture.shape[1]:
        return []
    places = np.argwhere(picture[: picture.shape[0] - h + 1, : picture.shape[1] - w + 1, 0] == patch[0, 0, 0])
    for dy, dx in np.random.default_rng(0).integers((0, 0), (h, w), (30, 2)):  # few places outlive these
        places = places[(picture[places[:, 0] + dy, places[:, 1] + dx] == patch[dy, dx]).all(axis=1)]
    return [(y, x) for y, x in places.tolist() if np.array_equal(picture[y : y + h, x : x + w], patch)]


def find_scale(picture, image):
    """The largest magnification at which `image` lies in `picture`."""
    return next(scale for scale in range(200, 0, -1) if find(picture, magnified(image, scale)))


def ink(picture):
    return np.count_nonzero((picture < 128).all(axis=2))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_grid_holds_exact_copies_magnified_by_a_whole_number(tmp_path, channels, dtype):
    x = images(6, 5, 7, channels)
    x = (x * 255).astype(np.uint8) if dtype == "uint8" else x
    before = x.copy()
    x.flags.writeable = False
    path = plot.grid(tmp_path / "grid.png", x, columns=3, scale=4, gap=2)
    assert path == tmp_path / "grid.png"
    picture, margin = read(path), contact_sheet.MARGIN
    assert picture.shape == (2 * margin + 2 * 20 + 2, 2 * margin + 3 * 28 + 2 * 2, 3)
    for image, cell in zip(x, cells(picture, 2, 3, 20, 28, 2, (margin, margin)), strict=True):
        assert np.array_equal(cell, magnified(image, 4))
    assert np.array_equal(x, before)


def test_words_stand_beside_the_images(tmp_path):
    x = images(4)
    bare = read(plot.grid(tmp_path / "a.png", x, columns=2, scale=6))
    words = dict(
        title="A title much wider than these two small images are together", column_labels=["left", "right"],
        row_labels=["upper", "lower row"], x_label="across", y_label="up",
    )  # fmt: skip
    full = read(plot.grid(tmp_path / "b.png", x, columns=2, scale=6, **words))
    margin = contact_sheet.MARGIN
    block = bare[margin:-margin, margin:-margin]
    (found,) = find(full, block)
    y, x = found
    h, w = block.shape[:2]
    for strip in (full[: y - 20], full[y - 20 : y, x:], full[y : y + h, :x], full[y + h :]):
        assert ink(strip) > 10
    edges = (full[0], full[-1], full[:, 0], full[:, -1])
    assert all((edge == 255).all() for edge in edges), "words run off the paper"


@pytest.mark.parametrize("shape", [(10, 8, 8, 1), (10, 28, 28, 1), (10, 32, 32, 3), (64, 28, 28, 1), (10, 128, 128, 3)])
def test_the_scale_fills_a_page(tmp_path, shape):
    x = images(*shape)
    picture = read(plot.samples(tmp_path / "a.png", x))
    assert 500 <= picture.shape[1] <= 1450 and 500 <= picture.shape[0] <= 1500
    if shape[1] < 128:
        pair = read(plot.reconstructions(tmp_path / "b.png", x[:10], x[:10], FASHION))
        assert 800 <= pair.shape[1] <= 1400


def test_images_too_large_for_a_page_keep_their_pixels(tmp_path):
    x = images(4, 900, 800)
    picture = read(plot.samples(tmp_path / "a.png", x))
    assert find(picture, shown(x[3]))


def test_reconstructions_stand_below_their_inputs(tmp_path):
    x, y = images(3), images(3, seed=1)
    picture = read(plot.reconstructions(tmp_path / "a.png", x, y, ["one", "two", "three"], [0.25, 12.5, 3.0], "nats"))
    scale = find_scale(picture, x[0])
    places = []
    for image in (*x, *y):
        (place,) = find(picture, magnified(image, scale))
        places.append(place)
    assert len({y for y, _ in places[:3]}) == len({y for y, _ in places[3:]}) == 1
    for (y1, x1), (y2, x2) in zip(places[:3], places[3:], strict=True):
        assert x1 == x2 and y2 > y1
        assert ink(picture[y2 + 8 * scale :, x2 : x2 + 8 * scale]) > 20  # the name and the error


def test_more_than_ten_pairs_go_on_below(tmp_path):
    x, y = images(13), images(13, seed=1)
    picture = read(plot.reconstructions(tmp_path / "a.png", x, y))
    scale = find_scale(picture, x[0])
    places = np.array([find(picture, magnified(image, scale))[0] for image in (*x, *y)])
    assert len(set(places[:, 0])) == 4 and len(set(places[:, 1])) == 7
    assert (places[:13, 1] == places[13:, 1]).all() and (places[:13, 0] < places[13:, 0]).all()


class Plane:
    """Decodes z into two pixels: Phi(z1) and Phi(z2)."""

    name, latent_dim, input_shape, dtype = "plane", 2, (1, 2, 1), np.dtype("float32")

    def decode(self, z):
        return np.vectorize(lambda v: (1 + math.erf(v / math.sqrt(2))) / 2)(z).reshape(-1, 1, 2, 1)


def test_the_manifold_grows_to_the_right_and_upwards(tmp_path):
    side, levels, where, scale = 5, (55, 65, 75, 85, 95), {}, None
    picture = read(plot.manifold(tmp_path / "a.png", Plane(), side=side, low=55 / 255, high=95 / 255))
    for i, z1 in enumerate(levels):
        for j, z2 in enumerate(levels):
            pair = np.array([[[[z1], [z2]]]], np.uint8)[0]
            scale = scale or find_scale(picture, pair)
            where[i, j] = find(picture, magnified(pair, scale))[0]
    for i in range(side):
        for j in range(side):
            assert where[i, j][1] == where[i, 0][1] and where[i, j][0] == where[0, j][0]
            assert i == 0 or where[i, j][1] > where[i - 1, j][1]
            assert j == 0 or where[i, j][0] < where[i, j - 1][0]


def test_a_manifold_of_two_chosen_dimensions(tmp_path):
    class Cube(Plane):
        latent_dim = 3

        def decode(self, z):
            assert (z[:, 1] == 0).all()
            return super().decode(z[:, [2, 0]])

    two, three = (read(plot.manifold(tmp_path / "a.png", model, side=3, chosen=chosen))
                  for model, chosen in ((Plane(), (0, 1)), (Cube(), (2, 0))))  # fmt: skip
    middle = slice(100, -100)  # the words at the edges differ: z1 and z3
    assert np.array_equal(two[middle, middle], three[middle, middle])
    with pytest.raises(ConfigError, match="dimension 3: vae has dimensions 1 to 2"):
        plot.manifold(tmp_path / "a.png", VAE(input_shape=(4, 4, 1), latent_dim=2, hidden=(5,)), chosen=(0, 2))


def halves(points):
    """A probe that is sure of class 0 left of the origin, of class 1 right of it, and never thinks of class 2."""
    return np.eye(3)[(points[:, 0] > 0).astype(int)]


@pytest.mark.parametrize("shape", [(28, 28, 1), (5, 9, 3), (200, 200, 3)])
def test_regions_have_the_colours_of_their_classes(tmp_path, shape):
    points, places = np.random.default_rng(0).uniform(-1, 1, (300, 2)), []

    def decode(plane):
        places.append(plane)
        return np.zeros((len(plane), *shape))

    before = points.copy()
    labels = halves(points).argmax(axis=1)
    picture = read(plot.regions(tmp_path / "a.png", points, labels, halves, decode, ["l", "r", "none"], title="T"))
    assert np.array_equal(points, before)
    lattice = places[-1]
    assert (np.abs(lattice) < 1.1).all()
    assert (np.diff(lattice[:, 1]) <= 0).all() and lattice[0, 0] < 0 < lattice[-1, 0]  # from the top left corner on
    h, w, _ = picture.shape
    left, right = picture[:, : w // 2].astype(int), picture[:, w // 2 :].astype(int)
    first, second = ([int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in plot.COLOURS[:2])

    def pale(panel, colour, share):
        return np.abs(panel - np.rint(255 + share * (np.array(colour) - 255))).max(axis=2) <= 1

    for colour, side in ((first, slice(0, w // 4)), (second, slice(w // 4, w // 2))):
        assert np.count_nonzero(pale(left, colour, 0.45)[:, side]) > 0.2 * h * w / 4  # the ground of the points
        assert np.count_nonzero(pale(right, colour, 0.9)) > 100  # frames
    assert np.count_nonzero((right == 0).all(axis=2)) > 0.3 * h * w / 2  # the decoded images, all black
    assert not np.count_nonzero(pale(left, [int(plot.COLOURS[2][i : i + 2], 16) for i in (1, 3, 5)], 0.45))


def test_a_region_is_paler_where_the_probe_is_less_sure(tmp_path):
    def unsure(points):
        return np.full((len(points), 2), 0.5)

    picture = read(plot.regions(
        tmp_path / "a.png", np.random.default_rng(0).normal(size=(50, 2)), np.zeros(50, int), unsure,
        lambda plane: np.ones((len(plane), 8, 8, 1)),
    ))  # fmt: skip
    assert np.count_nonzero((picture == 255).all(axis=2)) > 0.8 * picture.shape[0] * picture.shape[1]


def test_more_classes_than_colours_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="colours tell at most 20 classes apart, the data have 21"):
        plot.regions(tmp_path / "a.png", np.zeros((9, 2)), np.zeros(9, int), lambda p: np.eye(21)[[0] * len(p)], len)


@pytest.mark.parametrize("bad", [np.zeros((3, 8, 8)), np.zeros((3, 8, 8, 2)), np.zeros((0, 8, 8, 1))])
def test_what_is_no_image_is_refused(tmp_path, bad):
    with pytest.raises(ShapeError):
        plot.grid(tmp_path / "a.png", bad)
    assert not list(tmp_path.iterdir())


def test_a_wrong_number_of_labels_is_refused(tmp_path):
    with pytest.raises(ShapeError, match="3 labels for 2 columns"):
        plot.grid(tmp_path / "a.png", images(4), columns=2, column_labels=["a", "b", "c"])
    with pytest.raises(ShapeError, match="differ in shape"):
        plot.reconstructions(tmp_path / "a.png", images(4), images(3))
    with pytest.raises(ShapeError, match="a label for each of 4 examples, got shape \\(3,\\)"):
        plot.scatter_codes(tmp_path / "a.png", np.zeros((4, 2)), [1, 2, 3])


def test_values_out_of_range_are_clipped_and_nan_is_black(tmp_path):
    x = np.array([-1.0, 0.5, 7.0, np.nan]).reshape(1, 2, 2, 1)
    picture = read(plot.grid(tmp_path / "a.png", x, scale=1))
    margin = contact_sheet.MARGIN
    assert picture[margin : margin + 2, margin : margin + 2, 0].tolist() == [[0, 128], [255, 0]]


def test_long_words_are_wrapped_then_cut():
    from PIL import ImageFont

    font = contact_sheet.load_font(ImageFont, 15)
    assert contact_sheet.fit("Ankle boot", font, 500) == ["Ankle boot"]
    assert contact_sheet.fit("Ankle boot", font, 60) == ["Ankle", "boot"]
    for text in ("Supercalifragilistic", "one two three four five six seven", "a\nvery-long-second-paragraph", ""):
        lines = contact_sheet.fit(text, font, 70)
        assert all(font.getlength(line) <= 70 for line in lines)
        assert len(lines) <= 2 * max(1, len(text.splitlines()))
    assert contact_sheet.fit("one two three four five six", font, 70)[-1].endswith("…")


@pytest.mark.parametrize("dim, classes", [(1, None), (2, 15), (2, 40), (3, None), (20, 10)])
def test_codes_of_any_size_are_drawn(tmp_path, dim, classes):
    z = np.random.default_rng(0).normal(size=(200, dim))
    labels = None if classes is None else np.arange(200) % classes
    z.flags.writeable = False
    picture = read(plot.scatter_codes(tmp_path / "a.png", z, labels, FASHION if classes == 10 else None))
    coloured = np.ptp(picture.astype(int), axis=2) > 60
    assert np.count_nonzero(coloured) > 2000


def test_every_class_has_its_colour(tmp_path):
    z, labels = np.random.default_rng(0).normal(size=(400, 2)), np.arange(400) % 10
    picture = read(plot.scatter_codes(tmp_path / "a.png", z, labels, ["$x_1$", "_y", "a" * 90, *FASHION[3:]]))
    for colour in plot.COLOURS:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert np.count_nonzero((picture == rgb).all(axis=2)) > 30, colour  # the legend's dot at least


def test_a_class_keeps_its_colour_without_the_others(tmp_path):
    z = np.random.default_rng(0).normal(size=(50, 2))
    picture = read(plot.scatter_codes(tmp_path / "a.png", z, np.full(50, 7), FASHION))
    rgb = [int(plot.COLOURS[7][i : i + 2], 16) for i in (1, 3, 5)]
    assert np.count_nonzero((picture == rgb).all(axis=2)) > 30


def test_outliers_do_not_stretch_the_axes():
    points = np.random.default_rng(0).normal(size=(2000, 2))
    low, high = scatter.core(points)
    assert np.array_equal(low, points.min(axis=0)) and np.array_equal(high, points.max(axis=0))
    points[:3] = 1e6
    low, high = scatter.core(points)
    assert (low > -6).all() and (high < 6).all()


def test_principal_directions_keep_the_origin_and_tell_their_share():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 5)) * [0.1, 3, 0.1, 1, 0.1] + [0, 10, 0, 0, 0]
    points, moved, names = scatter._plane(z, z[:7] + [0, 0, 0, 2, 0])
    assert np.linalg.norm(moved - points[:7], axis=1) == pytest.approx(2, abs=0.1), "draws go where codes would"
    assert abs(abs(points[:, 0].mean()) - 10) < 0.5  # not centred: the prior's mean stays at 0
    assert abs(points[:, 0].std() - 3) < 0.3 and abs(points[:, 1].std() - 1) < 0.1
    shares = [int(re.fullmatch(r"principal direction \d of 5 \((\d+)% of the variance\)", name)[1]) for name in names]
    assert abs(shares[0] - 90) < 3 and abs(shares[1] - 10) < 3


@pytest.mark.parametrize("dim", (1, 2, 4))
def test_codes_lie_over_draws_of_their_prior(tmp_path, dim):
    """The grey ground is seen where there are no codes, and the frame holds it."""
    rng = np.random.default_rng(0)
    z, drawn = 0.3 * rng.normal(size=(300, dim)), 3 * rng.normal(size=(3000, dim))

    def of_ground(prior):
        picture = read(plot.scatter_codes(tmp_path / "a.png", z, prior=prior)).astype(int)
        return ((np.ptp(picture, axis=2) < 4) & (picture.mean(axis=2) > 150) & (picture.mean(axis=2) < 222)).mean()

    assert of_ground(drawn) > 0.015 > 3 * of_ground(drawn[:0])


def test_the_title_of_codes_separates_thousands(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(scatter, "save", lambda path, figure: figures.append(figure))
    rng = np.random.default_rng(0)
    plot.scatter_codes(tmp_path / "a.png", rng.normal(size=(1200, 2)), prior=rng.normal(size=(2000, 2)))
    title = figures[0].axes[0].get_title(loc="left")
    assert title.startswith("Codes of 1,200 examples over 2,000 samples of the prior")


@pytest.mark.parametrize("n", [1, 2])
def test_few_codes_are_drawn(tmp_path, n):
    plot.scatter_codes(tmp_path / "a.png", np.ones((n, 4)))
    plot.scatter_codes(tmp_path / "b.png", np.ones((n, 2)), [3] * n, prior=False)


def test_codes_that_are_not_finite_are_left_out(tmp_path):
    z = np.random.default_rng(0).normal(size=(20, 2))
    z[3] = np.nan
    plot.scatter_codes(tmp_path / "a.png", z, np.arange(20))
    with pytest.raises(ShapeError):
        plot.scatter_codes(tmp_path / "a.png", np.full((4, 2), np.inf))
