"""`tinyae sample` and `tinyae reconstruct` write images made by a trained model."""

import numpy as np

from ..data.dataset import canonical, class_name, find_class
from ..data.examples import shaped
from ..errors import ConfigError
from .arguments import CALLED, POSITIVE, add_json, number, print_json, print_line, run_options
from .trained import load_data, load_run, output_file, save_arrays, tell_notes

OF_EACH, ACROSS = 8, 12  # default number of samples of a class, and largest number in a row of the picture


def picture_or_arrays(out, run_path, model, name):
    """(path, extension) of the output: by default a picture, or an array for a model of rows."""
    rows = len(model.input_shape) == 1
    out, kind = output_file(out, run_path, f"{name}.npy" if rows else f"{name}.png", (".png", ".npy", ".npz"))
    if rows and kind == ".png":
        raise ConfigError(f"--out {out}: this {model.name} makes table rows, no images: give a .npy or .npz file")
    return out, kind


def sample_options(parser):
    out_help = "a .png, .npy or .npz file (default samples.png in the run's folder; samples.npy for rows)"
    add = run_options(parser, out_help, data=False, seed=True)
    add("-n", type=POSITIVE, metavar="N", help=f"number of samples (default 64; with labels, {OF_EACH} per class)")
    asked = f"classes to sample in turn, for a model with labels; each {CALLED} (default: all)"
    add("--labels", metavar="CLASS[,CLASS...]", help=f"{asked}; a .png has a row for each")
    add("--temperature", type=number, metavar="T", help="for pixelcnn: below 1 favours probable values (default 1)")
    add("--top-k", type=POSITIVE, metavar="K", help="for pixelcnn: sample among the K likeliest values (default: all)")
    add_json(add)


def sample(arguments):
    """Sample new images: codes are sampled from the model's prior and decoded."""
    model, _ = load_run(arguments.run_path, arguments.backend)
    out, kind = picture_or_arrays(arguments.out, arguments.run_path, model, "samples")
    options, seed = sampling_options(model, temperature=arguments.temperature, top_k=arguments.top_k), arguments.seed
    turn, n = arguments.labels, arguments.n
    if model.labels:
        turn = list(range(model.classes)) if turn is None else asked_classes(turn, model)
        n, _ = model.draw(OF_EACH * len(turn) if n is None else n, seed)  # checks the memory
        options["labels"] = np.array(turn)[np.arange(n) % len(turn)]
    elif turn is not None:
        raise ConfigError(f"{model.name} samples without labels: leave --labels out")
    drawn = model.sample(64 if n is None else n, seed=seed, **options)
    images = model.images(drawn) if model.input.integers else drawn
    if kind == ".png":
        show(out, images, turn or [], model.class_names)
    else:
        labels = {"labels": options["labels"]} if model.labels else {}
        save_arrays(out, {"x": images} | ({"codes": drawn} if model.input.integers else {}) | labels)
    answer(model, len(images), out, arguments.json)


def answer(model, count, out, as_json):
    """Print the name of the file `out`, or with as_json the number of images in it as well."""
    if as_json:
        print_json({"model": model.name, "images": count, "out": out})
    else:
        print_line(out)


def asked_classes(text, model):
    """The labels of the classes in the text of --labels. A class's own name may contain a comma."""
    texts = [text] if canonical(text) in map(canonical, model.class_names or ()) else text.split(",")
    return [find_class(name, model.class_names, model.classes, model.name) for name in texts]


def show(out, images, turn, class_names=None):
    """Write a picture of images whose classes follow `turn` cyclically, with a row for each class if that fits."""
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
    """{name: value} of the given options (not None), which only a model that samples value by value has.

    Raises `ConfigError` if one is given for another model.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if given and model.name != "pixelcnn":
        option = next(iter(given)).replace("_", "-")
        raise ConfigError(f"--{option} is for pixelcnn, and this is a run of {model.name}: leave it out")
    return given


def reconstruct_options(parser):
    add = run_options(parser, "a .png, .npy or .npz file (default reconstructions.png in the run's folder)")
    add("-n", type=POSITIVE, default=10, metavar="N", help="number of images in a .png (default 10)")
    add_json(add)


def reconstruct(arguments):
    """Encode and decode images, and show each image next to its reconstruction."""
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
