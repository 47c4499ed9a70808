"""`tinyae interpolate`, `tinyae traverse` and `tinyae arithmetic`: walks through the space of codes, decoded."""

import numpy as np

from .. import explore
from ..data.numpy_files import load_array
from ..errors import ConfigError, DataError
from .arguments import CALLED, NATURAL, POSITIVE, at_least, number
from .coded import MANY, Coded, coded_options, label_option

PATHS = {"linear": explore.linear, "spherical": explore.spherical}

COLUMNS = 1000  # of a picture, at most


def interpolate_options(parser):
    add = coded_options(parser, "interpolation")
    index = "images of the data, or of gan draws of the prior, two and two (default 0 1 2 3 4 5)"
    add("--index", type=NATURAL, nargs="+", metavar="I", help=index)
    add("--codes", metavar="FILE", help="a .npy of codes, or an .npz as 'tinyae encode' writes, in place of the data's")
    path = "codes on a path, its ends included (default 10)"
    add("--steps", type=at_least(2, COLUMNS), default=10, metavar="N", help=path)
    paths = "straight, turning at an even rate, or one below the other (default both)"
    add("--path", choices=(*PATHS, "both"), default="both", help=paths)
    label_option(add)


def interpolate(arguments):
    """Walk from the code of one image to that of another, straight and over the sphere."""
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
        raise ConfigError(f"an interpolation needs images two and two, --index I J, got {len(indices)}")

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
    title = "From one code to another" + (", under the first one's label" if coded.told else "")
    coded.answer(images, {"codes": walks}, {"walks": facts}, title=title, row_labels=rows, column_labels=columns)


def _given_codes(path, indices, model):
    """Codes (N, latent_dim) to choose among that are not of images, or None where an encoder gives those of images.

    They are of the file `path`, or where that is None of the prior, so many that `indices` (a list or None) has them.
    """
    if path is not None:
        return read_codes(path, model)
    if not model.code.encoded:
        return model.draw_prior(max(indices or [5]) + 1)
    return None


def read_codes(path, model):
    """Codes (N, latent_dim) of a model from a .npy, or from an .npz as `tinyae encode` writes. Raises `DataError`."""
    codes = load_array(path, "codes").astype(model.dtype, copy=False)
    if codes.ndim != 2 or codes.shape[1] != model.latent_dim:
        raise DataError(f"{path}: expected codes of shape (N, {model.latent_dim}), got {codes.shape}")
    if not np.isfinite(codes).all():
        raise DataError(f"{path}: holds codes that are NaN or infinite")
    return codes


def traverse_options(parser):
    add = coded_options(parser, "traversal")
    index = "start from the code of this image (default: the prior's mean), or of gan this draw (default 0)"
    add("--index", type=NATURAL, metavar="I", help=index)
    add("--dims", type=POSITIVE, nargs="+", metavar="D", help="dimensions, from 1 (default: the ten most informative)")
    add("--steps", type=at_least(2, COLUMNS), default=11, metavar="N", help="values of each dimension (default 11)")
    add("--range", type=number, default=3.0, metavar="R", help="standard deviations either side (default 3)")
    label_option(add)


def traverse(arguments):
    """Change one dimension of a code at a time, the dimension with the largest KL first."""
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
        # Not the prior's mean: in many dimensions no draw lies near it, and the generator was never asked about it.
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
        title=f"One dimension at a time, from {where}{coded.as_class(labels)}", row_labels=rows,
        column_labels=[signed(s, 1) for s in steps], x_label=unit,
    )  # fmt: skip


def arithmetic_options(parser):
    add = coded_options(parser, "arithmetic")
    add("--add", required=True, metavar="CLASS", help=f"the class whose mean code is added, {CALLED}")
    add("--subtract", metavar="CLASS", help="the class whose mean code is taken away (default: all other classes)")
    add("--index", type=NATURAL, nargs="+", metavar="I", help="images to change (default: six without the attribute)")
    strengths = "how much of the difference to add (default -0.5 to 1.5 in steps of 0.25)"
    add("--strengths", type=number, nargs="+", default=np.linspace(-0.5, 1.5, 9).tolist(), metavar="S", help=strengths)


def arithmetic(arguments):
    """Add the mean code of one class, less that of the others, to the codes of images."""
    coded = Coded(
        "arithmetic", arguments.run_path, arguments.backend, arguments.data_options, arguments.out, arguments.json
    )
    coded.need_labels("an attribute is made of")
    labels, model = coded.labels, coded.model
    wanted = coded.data.find_class(arguments.add)
    other = None if arguments.subtract is None else coded.data.find_class(arguments.subtract)
    if wanted == other:
        raise ConfigError(f"--subtract {arguments.subtract} is the class of --add: nothing is left to add")
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
        title=f"Codes plus so much of ({coded.class_name(wanted)} − {less})",
        row_labels=[coded.name(i) for i in indices], **words,
    )  # fmt: skip


def signed(value, digits):
    """+0.5 or −0.5, and 0 without a sign."""
    return f"{value:+.{digits}f}".replace("-", "−") if round(value, digits) else "0"
