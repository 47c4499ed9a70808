"""`tinyae sample` and `tinyae reconstruct`: what a trained model draws."""

import numpy as np

from ..data.dataset import canonical, class_name, find_class
from ..data.examples import shaped
from ..errors import ConfigError
from .arguments import CALLED, POSITIVE, add_json, number, print_json, print_line, run_options
from .trained import load_data, load_run, output_file, save_arrays, tell_notes

OF_EACH, ACROSS = 8, 12  # samples of a class by default, and at most beside each other


def picture_or_arrays(out, run_path, model, name):
    """`output_file`, by default a picture, and arrays for a model of rows, which no picture shows."""
    rows = len(model.input_shape) == 1
    out, kind = output_file(out, run_path, f"{name}.npy" if rows else f"{name}.png", (".png", ".npy", ".npz"))
    if rows and kind == ".png":
        raise ConfigError(f"--out {out}: a {model.name} of rows gives rows, no images: write .npy or .npz")
    return out, kind


def sample_options(parser):
    out_help = "a .png, or .npy or .npz for arrays (default samples.png beside the run; samples.npy for rows)"
    add = run_options(parser, out_help, data=False, seed=True)
    add("-n", type=POSITIVE, metavar="N", help=f"how many (default 64; {OF_EACH} of each class of a model with labels)")
    asked = f"of a model with labels: draw these classes in turn, each {CALLED} (default all)"
    add("--labels", metavar="CLASS[,CLASS...]", help=f"{asked}; a .png has a row for each")
    add("--temperature", type=number, metavar="T", help="of pixelcnn: below 1 nearer the most probable (default 1)")
    add("--top-k", type=POSITIVE, metavar="K", help="of pixelcnn: draw among the K most probable values (default all)")
    add_json(add)


def sample(arguments):
    """Draw new images from the model's prior."""
    model, _ = load_run(arguments.run_path, arguments.backend)
    out, kind = picture_or_arrays(arguments.out, arguments.run_path, model, "samples")
    options, seed = sampling_options(model, temperature=arguments.temperature, top_k=arguments.top_k), arguments.seed
    turn, n = arguments.labels, arguments.n
    if model.labels:
        turn = list(range(model.classes)) if turn is None else asked_classes(turn, model)
        n, _ = model.draw(OF_EACH * len(turn) if n is None else n, seed)  # no more than memory holds
        options["labels"] = np.array(turn)[np.arange(n) % len(turn)]
    elif turn is not None:
        raise ConfigError(f"{model.name} draws without labels: leave --labels out")
    drawn = model.sample(64 if n is None else n, seed=seed, **options)
    images = model.images(drawn) if model.input.integers else drawn
    if kind == ".png":
        show(out, images, turn or [], model.class_names)
    else:
        labels = {"labels": options["labels"]} if model.labels else {}
        save_arrays(out, {"x": images} | ({"codes": drawn} if model.input.integers else {}) | labels)
    answer(model, len(images), out, arguments.json)


def answer(model, count, out, as_json):
    """Print how many images were written to the file `out`: as JSON, or the file's name alone."""
    if as_json:
        print_json({"model": model.name, "images": count, "out": out})
    else:
        print_line(out)


def asked_classes(text, model):
    """The labels of the classes that --labels names; a name may have a comma in it."""
    texts = [text] if canonical(text) in map(canonical, model.class_names or ()) else text.split(",")
    return [find_class(name, model.class_names, model.classes, model.name) for name in texts]


def show(out, images, turn, class_names=None):
    """A picture of images whose classes are those of `turn`, one after the other: a row for each where that fits."""
    from .. import plot

    columns, rest = divmod(len(images), max(1, len(turn)))
    if len(turn) < 2 or rest or columns > ACROSS:
        plot.samples(out, images)
    else:
        by_class = images.reshape(columns, len(turn), *images.shape[1:]).swapaxes(0, 1).reshape(images.shape)
        words = {"title": f"{len(images)} samples from the prior, class by class"}
        names = [class_name(label, class_names) for label in turn]
        plot.grid(
            out, by_class, columns, row_labels=[f"class {n}" if n.isdecimal() else n for n in names], **words
        )  # fmt: skip


def sampling_options(model, **options):
    """{name: value} of the options that are not None, for the `sample` of a model that draws value by value.

    Raises `ConfigError` where one is given and the model is another.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if given and model.name != "pixelcnn":
        option = next(iter(given)).replace("_", "-")
        raise ConfigError(f"{model.name} does not draw value by value, as pixelcnn does: leave --{option} out")
    return given


def reconstruct_options(parser):
    add = run_options(parser, "a .png, or .npy or .npz for arrays (default: reconstructions beside the run)")
    add("-n", type=POSITIVE, default=10, metavar="N", help="how many images to show in a .png (default 10)")
    add_json(add)


def reconstruct(arguments):
    """Encode and decode images, and show them beside their reconstructions."""
    model, origin = load_run(arguments.run_path, arguments.backend)
    out, kind = picture_or_arrays(arguments.out, arguments.run_path, model, "reconstructions")
    data, _, part = load_data(origin, model, **arguments.data_options)
    x = part.x[: arguments.n] if kind == ".png" else part.x
    if kind == ".png":
        from .. import plot

        y = model.reconstruct(x, **model.label_arguments(None if part.labels is None else part.labels[: arguments.n]))
        plot.reconstructions(out, shaped(x, model.input_shape, model.name), y)
    else:
        save_arrays(out, {"x": model.reconstruct(x, **model.label_arguments(part.labels))})
    answer(model, len(x), out, arguments.json)
    tell_notes(data)
