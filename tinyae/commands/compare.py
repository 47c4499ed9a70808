"""`tinyae compare`: trained models side by side."""

import os

from ..errors import ConfigError
from ..terminal import say
from ..wording import counted, example
from .arguments import LOADING, add_json, print_json, print_line, run_options
from .trained import codec_of, load_data, load_run, output_file, tell_notes

BESIDE = {False: "comparison.png", True: "comparison-codes.png"}  # the first run, with --codes or without


def compare_options(parser):
    out_help = f"a .png picture (default {BESIDE[False]}, or {BESIDE[True]}, beside the first run)"
    add = run_options(parser, out_help, seed=True, several=True)
    frechet = "judge samples by a classifier trained on the data first: Frechet distance, diversity, nearest images"
    add("--frechet", action="store_true", help=frechet)
    codes = "show codes over draws of the prior instead, and the shares of holes between them and of codes outside it"
    add("--codes", action="store_true", help=codes)
    add_json(add)


def compare(arguments):
    """Show trained models side by side: reconstructions, interpolations, images from random codes; or their codes."""
    if arguments.codes and arguments.frechet:
        raise ConfigError("--codes compares codes and --frechet drawn images: give one of them at a time")
    paths, chosen = arguments.runs, arguments.data_options
    runs, origins = [], {}
    short = [os.path.basename(os.path.normpath(path)) for path in paths]
    names = short if len({*short}) == len(short) else paths
    for path, name in zip(paths, names, strict=True):
        model, origin = load_run(path, arguments.backend)
        runs.append((f"{model.name} ({name})", model))
        origins[path] = origin
    out, _ = output_file(arguments.out, paths[0], BESIDE[arguments.codes], (".png",))
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
        for line in (f"{data.name}, {split} part, {counted(len(part), example(data.shape))}", *lines, out):
            print_line(line)
    tell_notes(data)


def one_origin(origins):
    """Where the data of all runs {path: origin or None} are from; `ConfigError` where that differs."""
    of = {path: origin and (origin["data"], *map(origin.get, LOADING)) for path, origin in origins.items()}
    first, *others = of
    for path in others:
        if of[path] != of[first]:
            told = (f"{run} is of {of[run][0] if of[run] else 'unknown data'}" for run in (first, path))
            raise ConfigError(f"{' and '.join(told)}: say with --data on which to compare them")
    return origins[first]


def check_comparable(models):
    """Refuse (`ConfigError`) models {path: model} that no images can be compared of."""
    for path, model in models.items():
        if model.input.integers:
            codec_of(model)
        if model.label_arguments(None):
            raise ConfigError(f"{path}: its decoder needs labels, and random codes have none: leave it out")


def compare_images(runs, data, part, out, seed, frechet):
    """(answer for programs, lines of text) on [(name, model)] and a part of a Dataset; draws the picture `out`.

    seed: of the noise. frechet: whether a classifier trained on the data judges samples.
    """
    from ..evaluation import side_by_side

    side_by_side.check_comparable(runs, part.x)  # before a long wait
    judge = judge_of(data, seed) if frechet else None
    figures, rows = side_by_side.side_by_side(runs, part.x, seed, part.labels, judge)
    side_by_side.draw(out, rows)
    lines = side_by_side.table(figures, judge.data if judge else None)
    if not judge:
        return {"runs": figures}, lines
    return {"runs": figures, "judge": judge.about()}, [*lines, f"note: {judge.note()}"]


def compare_codes(runs, data, part, out, seed):
    """(answer for programs, lines of text) on the codes of [(name, model)]; draws the picture `out`."""
    from ..evaluation import codes_side_by_side as over_priors
    from ..evaluation.side_by_side import table

    x, labels = over_priors.chosen(part)
    figures, panels = over_priors.compare_codes(runs, x, labels, seed)
    over_priors.draw(out, figures, panels, labels, data.class_names)
    like = over_priors.of_the_prior(len(x))
    return {"codes": len(x), "draws_of_the_prior": like, "runs": figures}, table([*figures, like])


def judge_of(data, seed):
    """The `Judge` of samples, a classifier that is trained on a Dataset now."""
    from ..evaluation.judge import Judge, check_labelled_images

    check_labelled_images(data)
    say(f"training a classifier on {data.name}")
    return Judge(data, seed)
