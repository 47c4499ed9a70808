"""Pictures of codes: maps, codebooks, how evenly they are used, and what a prior draws."""

import builtins
import importlib
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import read

pytest.importorskip("PIL")
pytest.importorskip("matplotlib")


from tinyae import plot  # noqa: E402
from tinyae.data.dataset import Dataset, Split  # noqa: E402
from tinyae.errors import MissingExtraError  # noqa: E402
from tinyae.models import VQVAE, PixelCNN  # noqa: E402
from tinyae.plot import code_sheet, prior_sheet, report  # noqa: E402
from tinyae.plot.axes import save  # noqa: E402
from tinyae.training import pictures  # noqa: E402

FASHION = "T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag Boot".split()


def history(n):
    return [{"epoch": i + 1, "train": {"loss": 100.0 / (i + 1)}, "test": {"loss": 90.0 / (i + 1)}} for i in range(n)]


def small(codebooks=1, shape=(8, 8, 1), codes=6):
    return VQVAE(input_shape=shape, network="small", codes=codes, latent_dim=4, codebooks=codebooks)


@pytest.fixture
def sheets(monkeypatch):
    """What pictures laid out by `grid` were given: a list of (images, columns, words)."""
    seen, real = [], code_sheet.grid

    def watched(path, images, columns=None, **words):
        seen.append((np.asarray(images), columns, words))
        return real(path, images, columns, **words)

    for module in (code_sheet, prior_sheet, plot.sheets):
        monkeypatch.setattr(module, "grid", watched)
    return seen


@pytest.mark.parametrize("count", [1, 2, 128, 512])
def test_every_code_has_a_colour_of_its_own(count):
    colours = code_sheet.code_colours(count)
    assert colours.shape == (count, 3) and colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) == count


def test_the_first_codes_have_colours_far_apart():
    colours = code_sheet.code_colours(16).astype(int)
    apart = np.abs(colours[:, None] - colours).max(axis=2) + 255 * np.eye(16, dtype=int)
    assert apart.min() > 40


@pytest.mark.parametrize("shape, size", [((28, 28, 1), (7, 7)), ((30, 25, 3), (8, 7)), ((5, 4, 1), (2, 1))])
@pytest.mark.parametrize("books", [None, 1, 3])
def test_a_code_is_a_square_of_one_colour(shape, size, books):
    codes = np.random.default_rng(0).integers(0, 9, (4, *size) if books is None else (4, *size, books))
    maps = plot.code_maps(codes, 9, shape)
    assert list(maps) == (["codes 1", "codes 2", "codes 3"] if books == 3 else ["codes"])
    colours, sides = code_sheet.code_colours(9), [-(-side // n) for side, n in zip(shape[:2], size, strict=True)]
    for b, images in enumerate(maps.values()):
        assert images.shape == (4, *shape[:2], 3) and images.dtype == np.uint8
        book = codes if books is None else codes[..., b]
        for n, i, j in np.ndindex(book.shape):
            y, x = i * sides[0], j * sides[1]
            square = images[n, y : y + sides[0], x : x + sides[1]]
            assert square.size and (square == colours[book[n, i, j]]).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_maps_stand_below_the_reconstructions_in_colour(tmp_path, sheets, channels):
    x = np.random.default_rng(0).uniform(size=(3, 8, 8, channels)).astype(np.float32)
    maps = plot.code_maps(np.arange(3 * 4).reshape(3, 2, 2), 12, (8, 8))
    picture = read(plot.reconstructions(tmp_path / "a.png", x, x, list("abc"), [1, 2, 3], maps=maps, title="Through"))
    images, columns, words = sheets[0]
    assert columns == 3 and words["row_labels"] == ["input", "reconstruction", "codes"] and words["title"] == "Through"
    assert words["captions"][3:] == ["error 1.000", "error 2.000", "error 3.000", "a", "b", "c"]
    assert np.array_equal(images[6:], maps["codes"])
    assert np.array_equal(images[:3], np.broadcast_to(np.rint(255 * x).astype(np.uint8), (3, 8, 8, 3)))
    for colour in code_sheet.code_colours(12):
        assert np.count_nonzero((picture == colour).all(axis=2)) >= 16 * 15**2  # scale 15 at least


def test_a_codebook_shows_the_most_used_codes_first(tmp_path, sheets):
    class Decoder:
        code_shape = (2, 3)

        def decode(self, codes):
            assert codes.shape[1:] == (2, 3) and (codes == codes[:, :1, :1]).all()
            return np.broadcast_to(codes[:, :1, :1, None] / 10, (len(codes), 4, 6, 1))

    plot.codebook(tmp_path / "a.png", Decoder(), np.array([5, 0, 80, 15]))
    images, _, words = sheets[0]
    assert np.rint(images[:, 0, 0, 0] * 10).tolist() == [2, 3, 0, 1]
    assert words["captions"] == ["80 %", "15 %", "5 %", "0 %"]
    assert words["title"] == "What each code decodes to, filling a map"
    plot.codebook(tmp_path / "a.png", Decoder(), np.arange(9), most=2)
    assert np.rint(sheets[1][0][:, 0, 0, 0] * 10).tolist() == [8, 7]
    assert "each of the 2 most used of 9 codes" in sheets[1][2]["title"]


def words_of(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


@pytest.fixture
def figures(monkeypatch):
    """The matplotlib figures that were saved."""
    seen = []
    for name in ("usage", "training_curves"):
        module = importlib.import_module(f"tinyae.plot.{name}")
        monkeypatch.setattr(module, "save", lambda path, figure: seen.append(figure) or save(path, figure))
    return seen


def test_usage_tells_perplexity_and_the_number_of_codes_used(tmp_path, figures):
    counts = np.array([[0, 8, 0, 8], [1, 1, 1, 1]])
    plot.usage(tmp_path / "a.png", counts, 4)
    (figure,) = figures
    assert words_of(figure) == ["codebook 1: 2 of 4 codes used, perplexity 2.0",
                                "codebook 2: 4 of 4 codes used, perplexity 4.0"]  # fmt: skip
    assert figure.get_suptitle() == "Codes of 4 images"
    first, second = (axes.patches[0].get_data() for axes in figure.axes)
    assert first.values.tolist() == [0.5, 0.5, 0, 0] and second.values.tolist() == [0.25] * 4
    assert first.edges.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    for axes in figure.axes:
        (line,) = axes.lines
        assert list(line.get_ydata()) == [0.25, 0.25]
        low, high = axes.get_ylim()
        assert low < 0.25 and high > 0.5


@pytest.mark.parametrize("counts", [[[7]], [[0, 0]], [[100, 0, 0]], [[3] * 1024], [[5, 1]] * 8])
def test_usage_of_any_codebook_is_drawn(tmp_path, figures, counts):
    picture = read(plot.usage(tmp_path / "a.png", np.array(counts)))
    assert all(" used, perplexity " in text for text in words_of(figures[0]))
    edges = picture[0], picture[-1], picture[:, 0], picture[:, -1]
    assert all((edge == 255).all() for edge in edges), "words run off the paper"


def test_one_codebook_has_no_number(tmp_path, figures):
    plot.usage(tmp_path / "a.png", np.array([[2, 1, 0]]), 1)
    assert words_of(figures[0]) == ["2 of 3 codes used, perplexity 1.9"]
    assert figures[0].get_suptitle() == "Codes of 1 image"


def test_curves_per_code_have_a_scale_of_bits(tmp_path, figures):
    plot.curves(tmp_path / "a.png", history(3), per=("code", 50))
    axes = figures[0].axes[0]
    assert axes.lines[0].get_ydata().tolist() == [2.0, 1.0, pytest.approx(2 / 3)]
    (bits,) = axes.child_axes
    assert (axes.get_ylabel(), bits.get_ylabel()) == ("nats per code", "bits per code")
    nats, scale = np.array(axes.get_ylim()), np.array(bits.get_ylim())
    assert np.allclose(scale, nats / np.log(2))


class Prior:
    """Draws maps whose codes are the labels, or the image's number."""

    codec, classes, levels, input_shape = None, 0, 9, (2, 2)

    def sample(self, n, seed, labels):
        self.labels = labels
        numbers = np.arange(n) % self.levels if labels is None else labels
        return np.broadcast_to(numbers.reshape(n, 1, 1), (n, *self.input_shape))

    def images(self, drawn):
        return self.codec.decode(drawn.reshape(-1, *self.codec.code_shape))


class Codec:
    """Decodes a map to its mean over ten; its uniform codes are all 9."""

    code_shape = (2, 2)

    def decode(self, codes):
        means = codes.mean(axis=(1, 2)).reshape(-1, 1, 1, 1)
        return np.broadcast_to(means / 10, (len(codes), 8, 8, 1))

    def uniform_codes(self, n, seed):
        return np.full((n, *self.code_shape), 9)


def first_pixels(images, columns):
    return images[:, 0, 0, 0].reshape(-1, columns)


def test_a_prior_s_samples_stand_beside_those_of_uniform_codes(tmp_path, sheets):
    model = Prior()
    model.codec = Codec()
    plot.priors(tmp_path / "a.png", model)
    images, columns, words = sheets[0]
    shown = first_pixels(images, columns)
    assert shown.shape == (8, 8 + 1 + 4) and "row_labels" not in words
    assert shown[:, :8].ravel().tolist() == np.rint(25.5 * (np.arange(64) % 9)).tolist()
    assert (shown[:, 8] == 255).all() and (shown[:, 9:] == 230).all()
    assert words["column_labels"] == ["prior", *[""] * 8, "uniform", "", "", ""]


@pytest.mark.parametrize("names, expected", [(None, ["0", "1", "2"]), (["a", "b", "c"], ["a", "b", "c"])])
def test_a_row_for_each_class(tmp_path, sheets, names, expected):
    model = Prior()
    model.codec, model.classes = Codec(), 3
    plot.priors(tmp_path / "a.png", model, names)
    images, columns, words = sheets[0]
    assert words["row_labels"] == expected
    assert (first_pixels(images, columns)[:, :8] == np.rint(25.5 * np.arange(3))[:, None]).all()


def test_codes_without_a_decoder_are_shown_as_codes(tmp_path, sheets):
    plot.priors(tmp_path / "a.png", Prior())
    images, _, words = sheets[0]
    assert np.array_equal(images[:, 0, 0], code_sheet.code_colours(9)[np.arange(64) % 9])
    assert words["title"] == "Maps of 9 codes sampled from the prior"


@pytest.mark.parametrize("shape, classes, count", [
    ((7, 7), 0, 64), ((7, 7), 10, 80), ((32, 32), 0, 16), ((32, 32), 10, 20), ((32, 32, 3), 0, 9), ((200, 200), 30, 32),
])  # fmt: skip
def test_large_maps_are_drawn_fewer_times(tmp_path, shape, classes, count):
    model = Prior()
    model.input_shape, model.classes = shape, classes
    model.sample = lambda n, seed, labels: np.zeros((n, *shape), np.uint8 if len(shape) == 3 else int)
    seen = []
    model.sample, real = lambda n, *rest: (seen.append(n), real(n, *rest))[1], model.sample
    plot.priors(tmp_path / "a.png", model)
    assert seen == [count]


def names(paths):
    return [path.name for path in paths]


@pytest.mark.parametrize("books, shape", [(1, (8, 8, 1)), (2, (9, 6, 3))])
def test_a_report_of_codes(tmp_path, books, shape):
    x = np.random.default_rng(0).integers(0, 256, (30, *shape), np.uint8)
    x.flags.writeable = False
    written = plot.training_report(tmp_path, small(books, shape), x, np.arange(30) % 10, FASHION, history(2))
    expected = ["reconstructions.png", "usage.png", "uniform.png", "codebook.png", "curves.png"]
    assert names(written) == [name for name in expected if books == 1 or name != "codebook.png"]
    assert all(path.stat().st_size > 1000 for path in written)


def test_a_report_tells_how_many_codes_an_image_has(tmp_path, sheets):
    x = np.zeros((3, 8, 8, 1), np.float32)
    plot.training_report(tmp_path, small(), x)
    assert sheets[0][2]["title"] == "Inputs and their reconstructions from 2 x 2 codes of 6"
    assert [len(images) for images, *_ in sheets] == [9, 64, 6]  # three rows of three, samples, codes
    plot.training_report(tmp_path, small(2), x)
    assert sheets[3][2]["title"].endswith("from 2 x 2 x 2 codes of 6")
    assert sheets[3][2]["row_labels"] == ["input", "reconstruction", "codes 1", "codes 2"]


def test_usage_is_counted_over_a_bounded_number_of_vectors(tmp_path, monkeypatch, figures):
    monkeypatch.setattr(report, "VECTORS", 20)
    plot.training_report(tmp_path, small(shape=(8, 8, 2)), np.zeros((30, 8, 8, 2), np.float32))
    assert figures[0].get_suptitle() == "Codes of 5 images"


def test_a_report_of_a_prior(tmp_path, figures):
    codec = small(2, codes=5)
    x = codec.encode(np.random.default_rng(0).uniform(size=(12, 8, 8, 1))).reshape(12, 2, 4)
    model = PixelCNN((2, 4), levels=5, width=4, blocks=1, classes=3)
    for known in (codec, None):
        model.codec = known
        written = plot.training_report(tmp_path, model, x, np.arange(12) % 3, list("abc"), history(2))
        assert names(written) == ["samples.png", "curves.png"]
    for figure in figures:
        assert figure.axes[0].get_ylabel() == "nats per code"
        assert figure.axes[0].lines[0].get_ydata().tolist() == [12.5, 6.25]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_report_of_pixels(tmp_path, figures, channels):
    model = PixelCNN((3, 2, channels), levels=4, width=4, blocks=1)
    x = np.zeros((4, 3, 2, channels), np.uint8)
    assert names(plot.training_report(tmp_path, model, x, records=history(1))) == ["samples.png", "curves.png"]
    axes = figures[0].axes[0]
    assert (axes.get_ylabel(), axes.child_axes[0].get_ylabel()) == ("nats per dim", "bits per dim")


def test_pictures_take_a_tenth_of_the_time_at_most(tmp_path, monkeypatch):
    clock, drawn = [0.0], []

    def draw(*_):
        drawn.append(clock[0])
        clock[0] += 6
        return []

    monkeypatch.setattr(pictures, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(plot, "training_report", draw)
    shown = pictures.Pictures(tmp_path, Dataset("d", Split(np.zeros((2, 4, 4, 1), np.uint8))))
    for epoch in range(160):
        clock[0] += 1
        shown.from_time_to_time(None, {"epoch": epoch})
    assert drawn == [21, 88, 155]


def test_a_missing_extra_is_told_in_one_line(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] in ("PIL", "matplotlib"):
            raise ImportError(f"No module named '{name}'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    calls = [
        lambda path: plot.usage(path, np.ones((1, 4))),
        lambda path: plot.code_maps(np.zeros((1, 2, 2), int), 4, (4, 4)),
        lambda path: plot.codebook(path, small(), np.ones(6)),
        lambda path: plot.priors(path, Prior()),
    ]
    for call in calls:
        with pytest.raises(MissingExtraError, match=r"^drawing needs the extra 'viz': pip install '\.\[viz\]' in "):
            call(tmp_path / "a.png")
