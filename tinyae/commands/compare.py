"""`tinyae compare` shows trained models side by side."""

import os

from ..errors import ConfigError
from ..terminal import say
from ..wording import counted, example
from .arguments import LOADING, add_json, print_json, print_line, run_options
from .trained import codec_of, load_data, load_run, output_file, tell_notes

PICTURES = {False: "comparison.png", True: "comparison-codes.png"}  # {whether --codes is given: file name}


def compare_options(parser):
    out_help = f"a .png picture (default {PICTURES[False]}, or {PICTURES[True]}, in the first run's folder)"
    add = run_options(parser, out_help, seed=True, several=True)
    frechet = "train a classifier first, and judge samples by it: Frechet distance, diversity, nearest images"
    add("--frechet", action="store_true", help=frechet)
    codes = "compare codes with samples of the prior instead: the holes between codes, and the codes outside the prior"
    add("--codes", action="store_true", help=codes)
    add_json(add)


def compare(arguments):
    """Show trained models side by side: reconstructions, interpolations and random samples, or their codes."""
    if arguments.codes and arguments.frechet:
        raise ConfigError("--codes compares codes and --frechet compares sampled images: give only one of them")
    paths, chosen = arguments.runs, arguments.data_options
    runs, origins = [], {}
    short = [os.path.basename(os.path.normpath(path)) for path in paths]
    names = short if len({*short}) == len(short) else paths
    for path, name in zip(paths, names, strict=True):
        model, origin = load_run(path, arguments.backend)
        runs.append((f"{model.name} ({name})", model))
        origins[path] = origin
    out, _ = output_file(arguments.out, paths[0], PICTURES[arguments.codes], (".png",))
    origin = origins[paths[0]] if "data" in chosen else one_origin(origins)
    data, split, part = load_data(origin, *(model for _, model in runs), **chosen)
    if arguments.codes:
        answer, lines = compare_codes(runs, data, part, out, arguments.seed)
    else:
        check_comparable(dict(zip(paths, (model for _, model in runs), strict=True)))
        answer, lines = compare_images(runs, data, part, out, arguments.seed, arguments.frechet)
    if arguments.json:
        print_json({"data": data.name, "split": split, "picture": out} | answer)
    else:
        for line in (f"{data.name}, {split} split, {counted(len(part), example(data.shape))}", *lines, out):
            print_line(line)
    tell_notes(data)


def one_origin(origins):
    """The origin of the data that all runs {path: origin or None} share. Raises `ConfigError` if the origins differ."""
    of = {path: origin and (origin["data"], *map(origin.get, LOADING)) for path, origin in origins.items()}
    first, *others = of
    for path in others:
        if of[path] != of[first]:
            told = (f"{run} was trained on {of[run][0] if of[run] else 'unknown data'}" for run in (first, path))
            raise ConfigError(f"{' and '.join(told)}: give the data to compare them on with --data")
    return origins[first]


def check_comparable(models):
    """Raise `ConfigError` if one of the models {path: model} cannot make images to compare."""
    for path, model in models.items():
        if model.input.integers:
            codec_of(model)
        if model.label_arguments(None):
            raise ConfigError(f"{path}: its decoder needs labels, which random codes do not have: leave this run out")


def compare_images(runs, data, part, out, seed, frechet):
    """Compare the images of models [(name, model)], write the picture `out`, return (results for JSON, lines of text).

    part: a split of the Dataset `data`. seed: seed of the noise. frechet: whether a classifier trained on the data
    judges samples.
    """
    from ..evaluation import side_by_side

    side_by_side.check_comparable(runs, part.x)  # fails early
    judge = judge_of(data, seed) if frechet else None
    figures, rows = side_by_side.side_by_side(runs, part.x, seed, part.labels, judge)
    side_by_side.draw(out, rows)
    lines = side_by_side.table(figures, judge.data if judge else None)
    if not judge:
        return {"runs": figures}, lines
    return {"runs": figures, "judge": judge.about()}, [*lines, f"note: {judge.note()}"]


def compare_codes(runs, data, part, out, seed):
    """Compare the codes of models [(name, model)], write the picture `out`; returns as `compare_images` does."""
    from ..evaluation import codes_side_by_side as over_priors
    from ..evaluation.side_by_side import table

    x, labels = over_priors.chosen(part)
    figures, panels = over_priors.compare_codes(runs, x, labels, seed)
    over_priors.draw(out, figures, panels, labels, data.class_names)
    like = over_priors.of_the_prior(len(x))
    return {"codes": len(x), "draws_of_the_prior": like, "runs": figures}, table([*figures, like])


def judge_of(data, seed):
    """Train a classifier on a Dataset and return it as the `Judge` of samples."""
    from ..evaluation.judge import Judge, check_labelled_images

    check_labelled_images(data)
    say(f"training a classifier on {data.name}")
    return Judge(data, seed)
