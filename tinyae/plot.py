"""Pictures of a trained model: arrays in, one PNG out (extra `viz`).

    plot.reconstructions("reconstructions.png", x[:10], model.reconstruct(x[:10]))
    plot.training_report("pictures", model, x, labels, class_names, records)

Images are magnified by a whole number, so that every pixel of the model stays a sharp square. They are laid out with
Pillow alone; `codes` and `curves` draw on a matplotlib `Figure` of their own, without pyplot and its global state.
Every function returns the path it wrote, and raises `MissingExtraError` without the extra. A file is replaced whole, so
pictures may be rewritten while someone looks at them.
"""

import math
from pathlib import Path
from statistics import NormalDist

import numpy as np

from .contact_sheet import INK, WIDTH, grid, needs_viz, pixels, replace
from .data import to_float
from .errors import ConfigError, ShapeError

__all__ = ["codes", "curves", "grid", "manifold", "reconstructions", "restorations", "samples", "training_report"]

FAINT = "#777777"
SERIES = {"train": "#0072b2", "validation": "#d55e00", "test": "#009e73"}
# Ten colours found by search: any two are at least 0.11 apart in OKLab, for normal vision and for simulated protanopia,
# deuteranopia and tritanopia (Machado et al. 2009).
COLOURS = (
    "#0692fc", "#518d0f", "#9a0c0b", "#9144ad", "#eaa512", "#f66086", "#1becab", "#39048e", "#cdb1ff", "#00585f",
)  # fmt: skip


def reconstructions(path, inputs, outputs, labels=None, errors=None, error_name="error"):
    """Inputs above their reconstructions, (N, H, W, C) each, at most ten pairs beside each other.

    labels: N class names. errors: N numbers, written below with `error_name`.
    """
    notes = None if errors is None else {"reconstruction": [_error(error_name, error) for error in errors]}
    rows = {"input": inputs, "reconstruction": outputs}
    _same_shape("reconstructions", rows)
    return _above_each_other(path, rows, "Inputs and their reconstructions", labels, notes)


def restorations(path, rows, labels=None, title="Damaged images, what was made of them, and what they were"):
    """Images above what a model made of them and above the originals, at most ten columns, RMS errors below.

    rows: {name: (N, H, W, C)} from top to bottom, the last one the originals, with which the others are compared.
    labels: N class names.
    """
    _same_shape("restorations", rows)
    *damaged, original = ((name, to_float(np.asarray(images))) for name, images in rows.items())
    notes = {name: [_error("RMS", rms) for rms in _rms(images, original[1])] for name, images in damaged}
    return _above_each_other(path, rows, title, labels, notes)


def _error(name, value):
    return f"{name} {value:.{3 if abs(value) < 10 else 1}f}"


def _rms(a, b):
    """The root of the mean squared difference, per image."""
    return np.sqrt(np.mean((a - b) ** 2, axis=(1, 2, 3)))


def _same_shape(what, rows):
    shapes = {name: np.shape(images) for name, images in rows.items()}
    if len(set(shapes.values())) > 1:
        raise ShapeError(f"{what}: {' and '.join(f'{name}s {s}' for name, s in shapes.items())} differ in shape")


def _above_each_other(path, rows, title, labels=None, notes=None):
    """Rows of N images each, {name: (N, H, W, C)}, in blocks of at most ten columns.

    labels: N class names, below the last row. notes: {name: N strings} below the row of that name.
    """
    rows = {name: pixels(images) for name, images in rows.items()}
    first = next(iter(rows.values()))
    n, _, w, _ = first.shape
    blocks = math.ceil(n / min(10, max(4, 1200 // w)))
    columns = math.ceil(n / blocks)
    lines = {name: [[] for _ in range(n)] for name in rows}  # below each image
    for name, texts in [(list(rows)[-1], labels)] * (labels is not None) + list((notes or {}).items()):
        lines[name] = [line + [str(text)] for line, text in zip(lines[name], texts, strict=True)]

    shown, captions = [], []
    for start in range(0, n, columns):
        part = slice(start, start + columns)
        missing = columns - len(first[part])  # the last block is filled up with the paper's white
        for name, images in rows.items():
            shown += [images[part], np.full((missing, *first.shape[1:]), 255, np.uint8)]
            captions += ["\n".join(line) for line in lines[name][part]] + [""] * missing
    return grid(
        path, np.concatenate(shown), columns, title=title, row_labels=list(rows) * blocks,
        captions=captions if any(captions) else None,
    )  # fmt: skip


def samples(path, images, title=None):
    """Images (N, H, W, C) drawn from a model's prior, in a grid as square as it gets."""
    return grid(path, images, title=title or f"{len(images)} sample{'s' * (len(images) != 1)} from the prior")


def manifold(path, model, side=15, low=0.05, high=0.95):
    """What a model with two latent dimensions decodes, side x side points at equal steps of the prior's probability.

    z1 grows from left to right and z2 from bottom to top, both over the standard normal's quantiles low..high
    (Kingma & Welling 2014, figure 4). Raises `ConfigError` for other models.
    """
    dim = getattr(model, "latent_dim", None)
    if dim != 2:
        raise ConfigError(f"a manifold needs a model with latent_dim 2, {model.name} has {dim}")
    values = np.array([NormalDist().inv_cdf(q) for q in np.linspace(low, high, side)])
    z2, z1 = np.meshgrid(values[::-1], values, indexing="ij")
    images = model.decode(np.stack((z1.ravel(), z2.ravel()), axis=1))
    ticks = [f"{round(v, 2) + 0.0:.2f}".replace("-", "−") for v in values]  # + 0.0: no minus before a zero
    scale = f"at quantiles {low:g} to {high:g} of the prior"
    return grid(
        path, images, side, title="Decoded points of the latent plane", row_labels=ticks[::-1],
        captions=[""] * (side * side - side) + ticks, x_label=f"z1, {scale}", y_label=f"z2, {scale}", gap=2,
    )  # fmt: skip


def codes(path, z, labels=None, class_names=None, prior=True):
    """Scatter of codes z (N, D), coloured by class. More than two dimensions are projected on the first two principal
    directions of the codes; one dimension is spread at random over the other axis.

    labels: (N,) integers. class_names: by label. prior: draw circles at one and two standard deviations of N(0, I),
    which projections keep. Rows that are not finite are left out, and the axes pass over a few outliers and say so.
    Raises `ShapeError` where nothing is left to show.
    """
    with needs_viz():
        from matplotlib import colormaps, patheffects
        from matplotlib.colors import to_rgba_array
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
        from matplotlib.patches import Circle

    z = np.asarray(z, np.float64)
    finite = np.isfinite(z).all(axis=1) if z.ndim == 2 else np.zeros(0, bool)
    if not finite.any():
        raise ShapeError(f"codes: expected finite numbers of shape (N, D), got {z.shape}")
    if labels is not None and len(labels) != len(z):
        raise ShapeError(f"codes: {len(labels)} labels for {len(z)} codes")
    order = np.random.default_rng(0).permutation(np.flatnonzero(finite))  # so that no class is painted over the rest
    points, names = _plane(z[order])
    n = len(points)

    figure = Figure(figsize=(7.5, 7.5), dpi=120)
    axes = figure.add_subplot(box_aspect=1)
    size, alpha = min(36, max(5, 15000 / n)), 0.85 if n < 3000 else 0.7
    if labels is None:
        axes.scatter(*points.T, size, SERIES["train"], alpha=alpha, linewidths=0)
    else:
        labels = np.asarray(labels)[order]
        class_names = () if class_names is None else class_names
        classes = np.union1d(np.arange(len(class_names)), labels)
        if len(classes) > 20:
            shown = axes.scatter(*points.T, size, labels, alpha=alpha, linewidths=0, cmap="viridis")
            figure.colorbar(shown, cax=axes.inset_axes((1.04, 0, 0.04, 1)), label="class").solids.set_alpha(1)
        else:
            palette = to_rgba_array(COLOURS if len(classes) <= len(COLOURS) else colormaps["tab20"].colors)
            axes.scatter(*points.T, size, palette[np.searchsorted(classes, labels)], alpha=alpha, linewidths=0)
            dots, texts = [], []
            for label, colour in zip(classes, palette[: len(classes)], strict=True):
                if label in labels:
                    text = _name(label, class_names)
                    texts.append(text if len(text) <= 30 else text[:29] + "…")
                    dots.append(Line2D([], [], linestyle="", marker="o", markersize=8, color=colour))
            legend = axes.legend(
                dots, texts, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, handletextpad=0
            )
            for text in legend.get_texts():
                text.set_parse_math(False)  # a name may hold a $
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
    if z.shape[1] == 1:
        axes.set_yticks([])
    hidden = np.count_nonzero((np.abs(points - centre) > half).any(axis=1))
    note = f", {hidden} of them outside the frame" if hidden else ""
    axes.set_title(f"Codes of {n} example{'s' * (n != 1)}{note}", loc="left", color=INK)
    _tidy(axes)
    return _save(path, figure)


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


def _core(points):
    """(low, high) of each column, at most 30 % of the middle 99 %'s range beyond it: a few outliers stay outside."""
    low, high = np.percentile(points, (0.5, 99.5), axis=0)
    reach = 0.3 * (high - low)
    return np.maximum(points.min(axis=0), low - reach), np.minimum(points.max(axis=0), high + reach)


def curves(path, records, unit="nats"):
    """The loss and each of its terms over the epochs, a panel each.

    records: [{"epoch": 1, "train": {"loss": 203.1, "kl": ...}, "test": {...}}, ...], with "validation" and "test"
    where they are known. Where the first tenth of the epochs would squash the rest, the axis is cut and the panel
    says so. Raises `ConfigError` without records.
    """
    with needs_viz():
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    terms = list(dict.fromkeys(name for record in records for name in record.get("train") or ()))
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
        if len(records) == 1:
            axes.set_xlim(records[0]["epoch"] - 1, records[0]["epoch"] + 1)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        axes.set(xlabel="epoch", ylabel=unit)
        axes.set_title(term, loc="left", color=INK)
        _tidy(axes)
        if i == 0:
            axes.legend(frameon=False)
    return _save(path, figure)


def _cut(axes, drawn, least=4):
    """Limit y where all but the first tenth of the epochs would fill less than a fifth of the height.

    drawn: (points, 2) of epoch and value. They fill half of it then, and a note tells how far the line goes on.
    """
    drawn = drawn[np.isfinite(drawn[:, 1])]
    epochs = np.unique(drawn[:, 0])
    if len(epochs) < least:
        return
    values, late = drawn[:, 1], drawn[drawn[:, 0] > epochs[(len(epochs) - 1) // 10], 1]
    low, high = late.min(), late.max()
    span = high - low
    if not 0 < span < (values.max() - values.min()) / 5:
        return
    bottom, top = max(values.min(), low - span / 2), min(values.max(), high + span / 2)
    axes.set_ylim(bottom - span * 0.1, top + span * 0.1)
    notes = [f"down to {values.min():.4g}"] * bool(values.min() < bottom)
    notes += [f"up to {values.max():.4g}"] * bool(values.max() > top)
    axes.set_title(f"cut: goes {' and '.join(notes)}", loc="right", fontsize=8, color=FAINT)


def _tidy(axes):
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(color=FAINT, labelcolor=INK)


def _save(path, figure):
    return replace(path, lambda file: figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.15))


def training_report(folder, model, x, labels=None, class_names=None, records=()):
    """Write the pictures that apply to `model` into `folder`, made if it is missing; the list of their paths.

    x: (N, H, W, C) or (N, D), uint8 or floats, with labels (N,) or None. reconstructions.png shows ten examples spread
    over the classes, or restorations.png in its place where the model mends images; samples.png needs a generative
    model, manifold.png one with two latent dimensions as well; these need images of one or three channels. codes.png
    shows all of x, curves.png needs records. What the model refuses with a `ConfigError`, having no codes or decoding
    from more than codes, is left out.
    """
    folder, shape, written = Path(folder), tuple(model.input_shape), []
    x = np.asarray(x).reshape(-1, *shape)

    def add(name, draw):
        try:
            written.append(draw(folder / name))
        except ConfigError:
            pass

    def name_of(chosen):
        return None if labels is None else [_name(labels[i], class_names) for i in chosen]

    def draw_reconstructions(path):
        chosen = _spread(labels, len(x))
        inputs = to_float(x[chosen])
        outputs = model.reconstruct(inputs)
        return reconstructions(path, inputs, outputs, name_of(chosen), _rms(inputs, outputs), "RMS")

    def draw_restorations(path):
        chosen = _spread(labels, len(x))
        return restorations(path, model.demonstration(x[chosen]), name_of(chosen))

    def draw_codes(path):
        z = model.encode(x)
        if z.dtype.kind != "f":
            raise ConfigError(f"{model.name} has codes without an order, which a plane cannot show")
        return codes(path, z.reshape(len(z), -1), labels, class_names, model.generative)

    if len(shape) == 3 and shape[2] in (1, 3):
        if hasattr(model, "demonstration"):
            add("restorations.png", draw_restorations)
        else:
            add("reconstructions.png", draw_reconstructions)
        if model.generative:
            side = min(8, max(3, WIDTH // shape[1]))
            add("samples.png", lambda path: samples(path, model.sample(side * side)))
            if getattr(model, "latent_dim", None) == 2:
                add("manifold.png", lambda path: manifold(path, model, min(15, max(5, WIDTH // shape[1]))))
    add("codes.png", draw_codes)
    if records:
        add("curves.png", lambda path: curves(path, records, model.unit))
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
    known = class_names is not None and 0 <= label < len(class_names)
    return str(class_names[label] if known else label)
