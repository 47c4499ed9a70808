"""`tinyae interpolate`, `tinyae traverse` and `tinyae arithmetic` decode paths through the latent space."""

import numpy as np

from .. import explore
from ..data.numpy_files import load_array
from ..errors import ConfigError, DataError
from .arguments import CALLED, NATURAL, POSITIVE, at_least, number
from .coded import MANY, Coded, coded_options, label_option

PATHS = {"linear": explore.linear, "spherical": explore.spherical}

COLUMNS = 1000  # the largest number of columns in a picture


def interpolate_options(parser):
    add = coded_options(parser, "interpolation")
    index = "pairs of images, or of samples of the prior for gan (default 0 1 2 3 4 5: three pairs)"
    add("--index", type=NATURAL, nargs="+", metavar="I", help=index)
    add("--codes", metavar="FILE", help="a .npy of codes, or an .npz from 'tinyae encode', instead of codes of images")
    path = "codes on a path, both ends included (default 10)"
    add("--steps", type=at_least(2, COLUMNS), default=10, metavar="N", help=path)
    paths = "a straight line, an arc on a sphere, or both, one below the other (default both)"
    add("--path", choices=(*PATHS, "both"), default="both", help=paths)
    label_option(add)


def interpolate(arguments):
    """Interpolate between the codes of two images, along a straight line and along a sphere."""
    coded = Coded(
        "interpolation", arguments.run_path, arguments.backend, arguments.data_options, arguments.out, arguments.json,
        arguments.label,
    )  # fmt: skip
    given = _given_codes(arguments.codes, arguments.index, coded.model)
    if given is None:
        indices = coded.find(arguments.index or range(min(6, len(coded.split) // 2 * 2)))
        codes, names = coded.encode(indices), [coded.name(i) for i in indices]
    else:
        indices = np.array(arguments.index or range(min(6, len(given) // 2 * 2)))
        if indices.max(initial=-1) >= len(given):
            raise ConfigError(f"--index {indices.max()}: {arguments.codes} has codes 0 to {len(given) - 1}")
        codes, names = given[indices], [f"code {i}" for i in indices]
    if len(indices) % 2 or not len(indices):
        raise ConfigError(f"an interpolation needs pairs of images, --index I J, got {len(indices)} images")

    chosen = list(PATHS) if arguments.path == "both" else [arguments.path]
    walks, rows, facts = [], [], []
    for i in range(0, len(indices), 2):
        for path in chosen:
            walk = PATHS[path](codes[i], codes[i + 1], arguments.steps)
            norms = np.linalg.norm(walk, axis=1)
            rows.append(f"{names[i]}\nto {names[i + 1]}\n{path}, |z| {norms.min():.1f} to {norms.max():.1f}")
            facts.append({"from": int(indices[i]), "to": int(indices[i + 1]), "path": path, "norms": norms.tolist()})
            walks.append(walk)
    walks = np.stack(walks)
    firsts = indices[::2].repeat(len(chosen)) if given is None else None
    images = explore.decode(coded.model, walks, coded.decoded_as(firsts))
    columns = [f"{t:.2f}" for t in np.linspace(0, 1, arguments.steps)]
    if given is None and coded.kind == ".png":
        ends = coded.images(indices).reshape(-1, 2, *images.shape[2:]).repeat(len(chosen), axis=0)
        images = np.concatenate((ends[:, :1], images, ends[:, 1:]), axis=1)
        columns = ["first image", *columns, "second image"]
    title = "From one code to another" + (", decoded with the first image's label" if coded.told else "")
    coded.answer(images, {"codes": walks}, {"walks": facts}, title=title, row_labels=rows, column_labels=columns)


def _given_codes(path, indices, model):
    """Codes (N, latent_dim) from the file `path`, or from the prior if the model has no encoder; otherwise None.

    The prior gives enough codes for the largest of `indices`, a list or None.
    """
    if path is not None:
        return read_codes(path, model)
    if not model.code.encoded:
        return model.draw_prior(max(indices or [5]) + 1)
    return None


def read_codes(path, model):
    """Read codes (N, latent_dim) from a .npy, or from an .npz that `tinyae encode` wrote. Raises `DataError`."""
    codes = load_array(path, "codes").astype(model.dtype, copy=False)
    if codes.ndim != 2 or codes.shape[1] != model.latent_dim:
        raise DataError(f"{path}: expected codes of shape (N, {model.latent_dim}), got {codes.shape}")
    if not np.isfinite(codes).all():
        raise DataError(f"{path}: some codes are NaN or infinite")
    return codes


def traverse_options(parser):
    add = coded_options(parser, "traversal")
    index = "start from this image's code (default: the prior's mean), or for gan from this sample (default 0)"
    add("--index", type=NATURAL, metavar="I", help=index)
    dims = "dimensions to change, counted from 1 (default: the ten most informative)"
    add("--dims", type=POSITIVE, nargs="+", metavar="D", help=dims)
    add("--steps", type=at_least(2, COLUMNS), default=11, metavar="N", help="values of each dimension (default 11)")
    add("--range", type=number, default=3.0, metavar="R", help="go from -R to R standard deviations (default 3)")
    label_option(add)


def traverse(arguments):
    """Change one dimension of a code at a time, and decode; the dimension with the largest KL comes first."""
    if arguments.range <= 0:
        raise ConfigError(f"--range {arguments.range:g}: expected a number above 0")
    coded = Coded(
        "traversal", arguments.run_path, arguments.backend, arguments.data_options, arguments.out, arguments.json,
        arguments.label,
    )  # fmt: skip
    model, measured = coded.model, explore.dimensions(coded.model, *coded.sample())
    chosen = measured.order[:10] if arguments.dims is None else np.array(arguments.dims) - 1
    explore.check_dimensions(model, chosen)
    chosen = chosen[np.argsort(-measured.relevance[chosen], kind="stable")]
    if not model.code.encoded:
        # The start is not the prior's mean: in many dimensions no sample is near it, so no training step has used it.
        index = arguments.index or 0
        start, where, labels = model.draw_prior(index + 1)[index], f"code {index}", coded.decoded_as()
    elif arguments.index is None:
        start, where, labels = measured.centre, "the mean code", coded.decoded_as()
    else:
        (index,) = coded.find([arguments.index])
        start, where = coded.encode([index])[0], coded.name(index)
        labels = coded.decoded_as(np.full(len(chosen), index))
    steps = np.linspace(-arguments.range, arguments.range, arguments.steps)
    values = measured.centre[chosen, None] + measured.scale[chosen, None] * steps
    codes = explore.traverse(start, chosen, values).astype(model.dtype)

    facts = [{"dimension": int(i) + 1, measured.measure: float(measured.relevance[i])} for i in measured.order]
    rows = [f"z{i + 1}\n{measured.measure} {measured.relevance[i]:.2f}" for i in chosen]
    unit = "the prior's standard deviations" if model.prior.standard else "standard deviations of the codes"
    coded.answer(
        explore.decode(model, codes, labels), {"codes": codes}, {"start": where, "dimensions": facts},
        title=f"One dimension of the code changed at a time, from {where}{coded.as_class(labels)}", row_labels=rows,
        column_labels=[signed(s, 1) for s in steps], x_label=unit,
    )  # fmt: skip


def arithmetic_options(parser):
    add = coded_options(parser, "arithmetic")
    add("--add", required=True, metavar="CLASS", help=f"the class whose mean code is added, {CALLED}")
    add("--subtract", metavar="CLASS", help="the class whose mean code is subtracted (default: all others)")
    add("--index", type=NATURAL, nargs="+", metavar="I", help="images to change (default: six without the attribute)")
    strengths = "multiples of the difference to add (default -0.5 to 1.5 in steps of 0.25)"
    add("--strengths", type=number, nargs="+", default=np.linspace(-0.5, 1.5, 9).tolist(), metavar="S", help=strengths)


def arithmetic(arguments):
    """Add the difference between the mean codes of two classes to the codes of images, and decode."""
    coded = Coded(
        "arithmetic", arguments.run_path, arguments.backend, arguments.data_options, arguments.out, arguments.json
    )
    coded.need_labels("an attribute is a difference between classes")
    labels, model = coded.labels, coded.model
    wanted = coded.data.find_class(arguments.add)
    other = None if arguments.subtract is None else coded.data.find_class(arguments.subtract)
    if wanted == other:
        raise ConfigError(f"--subtract {arguments.subtract} is the same class as --add: give another class")
    without = labels != wanted if other is None else labels == other
    rows = coded.evenly_spaced(MANY)
    direction = explore.attribute(coded.encode(rows), labels[rows] == wanted, without[rows])
    indices = coded.find(np.flatnonzero(without)[:6] if arguments.index is None else arguments.index)
    codes = explore.add(coded.encode(indices), direction, arguments.strengths)

    images = explore.decode(model, codes, labels[indices])
    words = {}
    if coded.kind == ".png":
        images = np.concatenate((coded.images(indices)[:, None], images), axis=1)
        words["column_labels"] = ["image", *(signed(s, 2) for s in arguments.strengths)]
    less = "the others" if other is None else coded.class_name(other)
    coded.answer(
        images, {"codes": codes, "direction": direction},
        {
            "add": coded.class_name(wanted), "subtract": less, "norm": float(np.linalg.norm(direction)),
            "direction": direction.tolist(), "images": indices.tolist(), "strengths": arguments.strengths,
        },
        title=f"Codes plus a multiple of the attribute ({coded.class_name(wanted)} − {less})",
        row_labels=[coded.name(i) for i in indices], **words,
    )  # fmt: skip


def signed(value, digits):
    """Format a value with its sign, as +0.5 or −0.5, and zero as 0."""
    return f"{value:+.{digits}f}".replace("-", "−") if round(value, digits) else "0"
