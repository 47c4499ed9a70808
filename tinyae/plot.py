"""Pictures of a trained model: arrays in, one PNG out (extra `viz`).

    plot.reconstructions("reconstructions.png", x[:10], model.reconstruct(x[:10]))
    plot.training_report("pictures", model, x, labels, class_names, records)

Images are magnified by a whole number, so that every pixel of the model stays a sharp square. They are laid out with
Pillow alone; `codes` and `curves` draw on a matplotlib `Figure` of their own, without pyplot and its global state.
Every function returns the path it wrote, and raises `MissingExtraError` without the extra. A file is replaced whole, so
pictures may be rewritten while someone looks at them.
"""

import math
import os
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import NormalDist

import numpy as np

from .errors import ConfigError, MissingExtraError, ShapeError

WIDTH = HEIGHT = 1400  # pixels that a grid fills at most, unless it is larger at scale 1
LARGEST_CELL = 360  # pixels: a few small images are not blown up beyond this
MARGIN = 16  # pixels around a grid
INK, FAINT = "#222222", "#777777"
SERIES = {"train": "#0072b2", "validation": "#d55e00"}
COLOURS = (  # ten that stay apart for colour-blind eyes, after P. Tol's "muted" and "bright" schemes
    "#332288", "#ee7733", "#117733", "#cc6677", "#33bbee", "#999933", "#aa4499", "#882255", "#44aa99", "#bbbbbb",
)  # fmt: skip


# Grids of images, with Pillow


def grid(
    path, images, columns=None, scale=None, title=None, column_labels=None, row_labels=None, captions=None,
    x_label=None, y_label=None, gap=4,
):  # fmt: skip
    """Images in rows, read like text, with words around them.

    images: (N, H, W, C), C of 1 or 3, floats in [0, 1] (clipped) or uint8. columns: as square as it gets by default.
    scale: screen pixels along a side of an image's pixel, a whole number; by default the largest that fits. gap: pixels
    between cells. column_labels stand above the columns, row_labels left of the rows, captions (N strings, "" for
    none) below the images; x_label and y_label name the sides. Long words wrap, then are cut with an ellipsis.
    Raises `ShapeError` for other images or a wrong number of labels.
    """
    with _viz():
        from PIL import Image, ImageDraw, ImageFont

    images = _pixels(images)
    n, h, w, _ = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    for kind, texts, count in (("column", column_labels, columns), ("row", row_labels, rows), ("image", captions, n)):
        if texts is not None and len(texts) != count:
            raise ShapeError(f"grid: {len(texts)} labels for {count} {kind}{'s' * (count != 1)}")

    font, large = _font(ImageFont, 15), _font(ImageFont, 20)
    line = sum(font.getmetrics())
    row_texts = [_fit(text, font, 180) for text in row_labels or ()]
    left = MARGIN + (line + 6 if y_label else 0)
    left += math.ceil(max((font.getlength(part) for text in row_texts for part in text), default=-10)) + 10
    if scale is None:
        across = (WIDTH - left - MARGIN - gap * (columns - 1)) / (columns * w)
        scale = max(1, int(min(across, HEIGHT / (rows * h), LARGEST_CELL / max(h, w))))
    cell_h, cell_w = h * scale, w * scale

    # Vertical layout: the title, the column labels, then each row with its captions.
    above = [_fit(text, font, cell_w) for text in column_labels or ()]
    below = [_fit(text, font, cell_w) for text in captions or ()]
    top = MARGIN + (sum(large.getmetrics()) + 10 if title else 0)
    top += line * max(map(len, above), default=0) + 4 * bool(above)
    tops, bottom = [], top
    for row in range(rows):
        tops.append(bottom)
        lines = max(map(len, below[row * columns : (row + 1) * columns]), default=0)
        bottom += cell_h + (line * lines + 8 if lines else 0) + gap
    bottom -= gap
    right = left + columns * (cell_w + gap) - gap
    heading = large.getlength(title) if title else 0
    width = math.ceil(max(right, left + heading) + MARGIN)
    height = bottom + (line + 6 if x_label else 0) + MARGIN

    canvas = np.full((height, width, 3), 255, np.uint8)
    corners = [(tops[i // columns], left + i % columns * (cell_w + gap)) for i in range(n)]
    for image, (y, x) in zip(images, corners, strict=True):
        canvas[y : y + cell_h, x : x + cell_w] = image.repeat(scale, axis=0).repeat(scale, axis=1)

    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)

    def write(x, y, text, anchor, align="center"):
        if text:
            draw.multiline_text((x, y), "\n".join(text), INK, font, anchor, spacing=0, align=align)

    if title:
        draw.text((left, MARGIN), title, INK, large)
    for column, text in enumerate(above):
        write(left + column * (cell_w + gap) + cell_w / 2, top - 4, text, "md")
    for y, text in zip(tops, row_texts, strict=bool(row_texts)):
        write(left - 10, y + cell_h / 2, text, "rm", "right")
    for (y, x), text in zip(corners, below, strict=bool(below)):
        write(x + cell_w / 2, y + cell_h + 3, text, "ma")
    if x_label:
        write((left + right) / 2, bottom + 6, [x_label], "ma")
    if y_label:
        upright = ImageFont.TransposedFont(font, Image.Transpose.ROTATE_90)
        draw.text((MARGIN - 4, (top + bottom - font.getlength(y_label)) / 2), y_label, INK, upright)
    return _replace(path, lambda file: picture.save(file, "PNG"))


def reconstructions(path, inputs, outputs, labels=None, errors=None, error_name="error"):
    """Inputs above their reconstructions, (N, H, W, C) each, at most ten pairs beside each other.

    labels: N class names. errors: N numbers, written below with `error_name`.
    """
    inputs, outputs = _pixels(inputs), _pixels(outputs)
    if inputs.shape != outputs.shape:
        raise ShapeError(f"reconstructions: inputs {inputs.shape} and outputs {outputs.shape} differ in shape")
    n, _, w, _ = inputs.shape
    blocks = math.ceil(n / min(10, max(4, 1200 // w)))
    columns = math.ceil(n / blocks)
    notes = [[str(label)] for label in labels] if labels is not None else [[] for _ in range(n)]
    if errors is not None:
        notes = [note + [f"{error_name} {error:.3g}"] for note, error in zip(notes, errors, strict=True)]

    images, captions = [], []
    for start in range(0, n, columns):
        part = slice(start, start + columns)
        missing = columns - len(inputs[part])  # the last block is filled up with the paper's white
        filler = np.full((missing, *inputs.shape[1:]), 255, np.uint8)
        images += [inputs[part], filler, outputs[part], filler]
        captions += [""] * columns + ["\n".join(note) for note in notes[part]] + [""] * missing
    return grid(
        path, np.concatenate(images), columns, title="Inputs and their reconstructions",
        row_labels=["input", "reconstruction"] * blocks, captions=captions if any(captions) else None,
    )  # fmt: skip


def samples(path, images, title=None):
    """Images (N, H, W, C) drawn from a model's prior, in a grid as square as it gets."""
    return grid(path, images, title=title or f"{len(images)} sample{'s' * (len(images) != 1)} from the prior")


def manifold(path, model, side=15, low=0.05, high=0.95):
    """What a model with two latent dimensions decodes, side x side points at equal steps of the prior's probability.

    z1 grows from left to right and z2 from bottom to top, both over the standard normal's quantiles low..high
    (Kingma & Welling 2014, figure 4). Raises `ConfigError` for other models.
    """
    if getattr(model, "latent_dim", None) != 2:
        raise ConfigError(f"a manifold needs a model with latent_dim 2, {model.name} has {model.latent_dim}")
    values = np.array([NormalDist().inv_cdf(q) for q in np.linspace(low, high, side)])
    z2, z1 = np.meshgrid(values[::-1], values, indexing="ij")
    images = model.decode(np.stack((z1.ravel(), z2.ravel()), axis=1))
    ticks = [f"{round(v, 2) + 0.0:.2f}".replace("-", "−") for v in values]
    return grid(
        path, images, side, title="Decoded points of the latent plane", row_labels=ticks[::-1],
        captions=[""] * (side * side - side) + ticks, gap=0,
        x_label=f"z1, at quantiles {low:g} to {high:g} of the prior", y_label="z2, likewise",
    )  # fmt: skip


def _pixels(images):
    """(N, H, W, 1 or 3) of floats in [0, 1] or uint8 -> uint8. NaN becomes black."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not images.size:
        raise ShapeError(f"pictures show images of shape (N, H, W, 1) or (N, H, W, 3), got {images.shape}")
    if images.dtype == np.uint8:
        return images
    return np.rint(np.clip(np.nan_to_num(images), 0, 1) * 255).astype(np.uint8)


def _font(ImageFont, size):
    """DejaVu Sans, which comes with matplotlib and knows more alphabets than Pillow's own font."""
    found = find_spec("matplotlib")  # finds the folder without the import's cost
    file = found and Path(found.submodule_search_locations[0], "mpl-data/fonts/ttf/DejaVuSans.ttf")
    return ImageFont.truetype(str(file), size) if file and file.exists() else ImageFont.load_default(size)


def _fit(text, font, width, most=3):
    """`text` as lines no wider than `width` pixels: wrapped between words, cut with an ellipsis where that fails."""
    lines = []
    for paragraph in str(text).splitlines():
        words = paragraph.split()
        while words:
            taken = 1
            while taken < len(words) and font.getlength(" ".join(words[: taken + 1])) <= width:
                taken += 1
            lines.append(" ".join(words[:taken]))
            words = words[taken:]
    if len(lines) > most:
        lines = lines[: most - 1] + [lines[most - 1] + "…"]
    for i, text in enumerate(lines):
        while font.getlength(text) > width and len(text) > 1:
            text = text.removesuffix("…")[:-1] + "…"
        lines[i] = text
    return lines


# Plots, with matplotlib


def codes(path, z, labels=None, class_names=None, prior=True):
    """Scatter of codes z (N, D), coloured by class. More than two dimensions are projected on the first two principal
    directions of the codes; one dimension is spread at random over the other axis.

    labels: (N,) integers. class_names: by label. prior: draw circles at one and two standard deviations of N(0, I),
    which projections keep. Rows that are not finite are left out, and the axes pass over a few outliers and say so.
    Raises `ShapeError` where nothing is left to show.
    """
    with _viz():
        from matplotlib import colormaps, patheffects
        from matplotlib.colors import to_rgba_array
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
        from matplotlib.patches import Circle

    z = np.asarray(z, np.float64)
    finite = np.isfinite(z).all(axis=1) if z.ndim == 2 else np.zeros(0, bool)
    if not finite.any():
        raise ShapeError(f"codes: expected finite numbers of shape (N, D), got {z.shape}")
    order = np.random.default_rng(0).permutation(np.flatnonzero(finite))  # so that no class is painted over the rest
    points, names = _plane(z[order])
    n = len(points)

    figure = Figure(figsize=(9, 7), dpi=120, layout="constrained")
    axes = figure.add_subplot(box_aspect=1)
    size, alpha = min(36, max(3, 12000 / n)), 0.8 if n < 3000 else 0.6
    if labels is None:
        axes.scatter(*points.T, size, SERIES["train"], alpha=alpha, linewidths=0)
    else:
        labels = np.asarray(labels)[order]
        class_names = class_names or ()
        classes = np.union1d(np.arange(len(class_names)), labels)
        if len(classes) > 20:
            shown = axes.scatter(*points.T, size, labels, alpha=alpha, linewidths=0, cmap="viridis")
            figure.colorbar(shown, label="class", shrink=0.8).solids.set_alpha(1)
        else:
            palette = to_rgba_array(COLOURS if len(classes) <= len(COLOURS) else colormaps["tab20"].colors)
            axes.scatter(*points.T, size, palette[np.searchsorted(classes, labels)], alpha=alpha, linewidths=0)
            dots, texts = [], []
            for label, colour in zip(classes, palette, strict=False):
                if label in labels:
                    text = str(class_names[label]) if 0 <= label < len(class_names) else str(label)
                    texts.append(text if len(text) <= 24 else text[:23] + "…")
                    dots.append(Line2D([], [], linestyle="", marker="o", markersize=8, color=colour))
            legend = figure.legend(dots, texts, loc="outside right upper", frameon=False)
            for text in legend.get_texts():
                text.set_parse_math(False)
    if prior and z.shape[1] > 1:
        for radius in (1, 2):
            axes.add_patch(Circle((0, 0), radius, fill=False, color=INK, linestyle=(0, (4, 3)), linewidth=1))
            axes.text(
                0, radius, f"{radius}σ", color=INK, ha="center", va="center", clip_on=True,
                path_effects=[patheffects.withStroke(linewidth=3, foreground="white")],
            )  # fmt: skip

    low, high = _core(points)
    if prior:
        low, high = np.minimum(low, -2.1), np.maximum(high, 2.1)
    centre, half = (low + high) / 2, 1.04 * ((high - low).max() / 2 or 1)
    axes.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half))
    axes.set(xlabel=names[0], ylabel=names[1])
    hidden = np.count_nonzero((np.abs(points - centre) > half).any(axis=1))
    note = f", {hidden} of them outside the frame" if hidden else ""
    axes.set_title(f"Codes of {n} example{'s' * (n != 1)}{note}", loc="left", color=INK)
    _tidy(axes)
    return _replace(path, lambda file: figure.savefig(file, format="png"))


def _plane(z):
    """(N, D) -> (N, 2) and the names of the two axes."""
    if z.shape[1] == 1:
        spread = np.random.default_rng(1).uniform(-1, 1, z.shape) * (z.std() or 1)
        return np.concatenate((z, spread), axis=1), ("z1", "(spread at random)")
    if z.shape[1] == 2:
        return z, ("z1", "z2")
    _, singular, directions = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    share = singular**2 / (np.sum(singular**2) or 1)
    # The origin is kept, not moved to the mean, so that the prior's projection is a standard normal again.
    points = z @ directions[:2].T
    if len(directions) < 2:  # a single example
        points, share = np.pad(points, ((0, 0), (0, 1))), np.zeros(2)
    return points, [f"principal direction {i + 1} of {z.shape[1]} ({share[i]:.0%} of the variance)" for i in (0, 1)]


def _core(points, ratio=1.6):
    """(low, high) of each column: of all points, or of all but 1 % where those would stretch the range by `ratio`."""
    low, high = points.min(axis=0), points.max(axis=0)
    core_low, core_high = np.percentile(points, (0.5, 99.5), axis=0)
    stretched = high - low > ratio * (core_high - core_low)
    return np.where(stretched, core_low, low), np.where(stretched, core_high, high)


def curves(path, records, unit="nats"):
    """The loss and each of its terms over the epochs, a panel each.

    records: [{"epoch": 1, "train": {"loss": 203.1, "kl": ...}, "validation": {...}}, ...], "validation" where there is
    one. Where the first quarter of the epochs would squash the rest, the axis is cut and the panel says so.
    Raises `ConfigError` without records.
    """
    with _viz():
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    terms = list(dict.fromkeys(name for record in records for name in record.get("train", {})))
    if not terms:
        raise ConfigError("curves: there are no records of a training to draw")
    columns = min(3, len(terms))
    rows = math.ceil(len(terms) / columns)
    figure = Figure(figsize=(max(6, 4.2 * columns), 3.6 * rows), dpi=110, layout="constrained")
    for i, term in enumerate(terms):
        axes = figure.add_subplot(rows, columns, i + 1)
        drawn = []
        for part, colour in SERIES.items():
            line = [(r["epoch"], float(r[part][term])) for r in records if term in (r.get(part) or {})]
            if line:
                dots = "o" if len(line) <= 20 else ""
                axes.plot(*zip(*line, strict=True), color=colour, marker=dots, markersize=4, linewidth=1.6, label=part)
                drawn += line
        _cut(axes, np.array(drawn))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch", ylabel=unit)
        axes.set_title(term, loc="left", color=INK)
        _tidy(axes)
        if i == 0:
            axes.legend(frameon=False)
    return _replace(path, lambda file: figure.savefig(file, format="png"))


def _cut(axes, drawn, least=4):
    """Limit y where the later three quarters of the epochs would fill less than a quarter of the height.

    drawn: (points, 2) of epoch and value. They fill half of it then, and a note tells how far the line goes on.
    """
    drawn = drawn[np.isfinite(drawn[:, 1])]
    epochs = np.unique(drawn[:, 0])
    if len(epochs) < least:
        return
    values, late = drawn[:, 1], drawn[drawn[:, 0] > epochs[(len(epochs) - 1) // 4], 1]
    low, high = np.percentile(late, (1, 99))
    span = high - low
    if not 0 < span < (values.max() - values.min()) / 4:
        return
    bottom, top = max(values.min(), low - span / 2), min(values.max(), high + span / 2)
    axes.set_ylim(bottom - span * 0.1, top + span * 0.1)
    notes = [f"up to {values.max():.4g}"] * bool(values.max() > top) + [f"down to {values.min():.4g}"] * bool(
        values.min() < bottom
    )
    axes.set_title(f"cut: goes {' and '.join(notes)}", loc="right", fontsize=8, color=FAINT)


def _tidy(axes):
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(color=FAINT, labelcolor=INK)


# All that apply to a model


def training_report(folder, model, x, labels=None, class_names=None, records=()):
    """Write the pictures that apply to `model` into `folder`, made if it is missing; the list of their paths.

    x: (N, H, W, C) or (N, D), uint8 or floats, with labels (N,) or None. reconstructions.png shows ten examples spread
    over the classes, samples.png needs a generative model, manifold.png one with two latent dimensions as well;
    these three need images of one or three channels. codes.png shows all of x, curves.png needs records.
    """
    folder, shape = Path(folder), tuple(model.input_shape)
    dim = getattr(model, "latent_dim", None)
    x = np.asarray(x).reshape(-1, *shape)
    written = []
    if len(shape) == 3 and shape[2] in (1, 3):
        chosen = _spread(labels, len(x))
        inputs = x[chosen] / np.float32(255) if x.dtype == np.uint8 else x[chosen]
        outputs = np.asarray(model.reconstruct(inputs))
        errors = np.sqrt(np.mean((inputs - outputs) ** 2, axis=(1, 2, 3)))
        names = None if labels is None else [_name(labels[i], class_names) for i in chosen]
        written.append(reconstructions(folder / "reconstructions.png", inputs, outputs, names, errors, "RMS"))
        if model.generative:
            written.append(samples(folder / "samples.png", model.sample(64)))
            if dim == 2:
                side = min(15, max(5, WIDTH // shape[1]))
                written.append(manifold(folder / "manifold.png", model, side))
    z = np.asarray(model.encode(x))
    written.append(codes(folder / "codes.png", z.reshape(len(z), -1), labels, class_names, model.generative))
    if records:
        written.append(curves(folder / "curves.png", records))
    return written


def _spread(labels, n, count=10):
    """Indices of `count` of n examples: the first of each class, then the second of each, ...; sorted by class."""
    if labels is None:
        return np.arange(min(n, count))
    labels = np.asarray(labels)
    order = np.argsort(labels, kind="stable")
    ranked = labels[order]
    turn = np.arange(n) - np.searchsorted(ranked, ranked)  # the how-manieth of its class each one is
    return order[np.sort(np.lexsort((ranked, turn))[:count])]


def _name(label, class_names):
    return str(class_names[label]) if class_names and 0 <= label < len(class_names) else str(label)


@contextmanager
def _viz():
    try:
        yield
    except ImportError as error:
        raise MissingExtraError("pictures", "viz") from error


def _replace(path, write):
    """write(temporary file beside `path`), then move it there in one step."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
