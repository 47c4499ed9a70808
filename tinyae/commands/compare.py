"""`tinyae compare`: trained models side by side."""

import os

from ..errors import ConfigError
from ..terminal import say
from ..wording import counted, example
from .arguments import LOADING, add_json, print_json, print_line, run_options
from .trained import codec_of, load_data, load_run, output_file

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
    runs, origins = [], {}
    short = [os.path.basename(os.path.normpath(path)) for path in arguments.runs]
    names = short if len({*short}) == len(short) else arguments.runs
    for path, name in zip(arguments.runs, names, strict=True):
        arguments.run_path = path
        model, origin = load_run(arguments)
        runs.append((f"{model.name} ({name})", model))
        origins[path] = origin
    arguments.run_path = arguments.runs[0]
    out, _ = output_file(arguments, BESIDE[arguments.codes], (".png",))
    data, part = load_data(arguments, one_origin(arguments, origins), *(model for _, model in runs))
    show = compare_codes if arguments.codes else compare_images
    answer, lines = show(arguments, runs, data, part, out)
    if arguments.json:
        print_json({"data": data.name, "split": arguments.split, "picture": out} | answer)
        return
    for line in (f"{data.name}, {arguments.split} part, {counted(len(part), example(data.shape))}", *lines, out):
        print_line(line)


def one_origin(arguments, origins):
    """Where the data of all runs are from; ConfigError where that differs and --data does not say which to show."""
    of = {path: origin and (origin["data"], *map(origin.get, LOADING)) for path, origin in origins.items()}
    first, *others = of
    for path in others:
        if arguments.data is None and of[path] != of[first]:
            told = (f"{run} is of {of[run][0] if of[run] else 'unknown data'}" for run in (first, path))
            raise ConfigError(f"{' and '.join(told)}: say with --data on which to compare them")
    return origins[first]


def compare_images(arguments, runs, data, part, out):
    """(answer for programs, lines of text)."""
    from ..evaluation import side_by_side as side_by_side

    for path, (_, model) in zip(arguments.runs, runs, strict=True):
        if model.integer_input:
            codec_of(model)
        if model.given(None):
            raise ConfigError(f"{path}: its decoder needs labels, and random codes have none: leave it out")
    side_by_side.check(runs, part.x)  # before a long wait
    judge = judge_of(data, arguments.seed) if arguments.frechet else None
    figures, rows = side_by_side.compare(runs, part.x, arguments.seed, part.labels, judge)
    side_by_side.draw(out, rows)
    lines = side_by_side.table(figures, judge.data if judge else None)
    if not judge:
        return {"runs": figures}, lines
    return {"runs": figures, "judge": judge.about()}, [*lines, f"note: {judge.note()}"]


def compare_codes(arguments, runs, data, part, out):
    """(answer for programs, lines of text)."""
    from ..evaluation import codes_side_by_side as over_priors
    from ..evaluation.side_by_side import table

    x, labels = over_priors.chosen(part)
    figures, panels = over_priors.compare_codes(runs, x, labels, arguments.seed)
    over_priors.draw(out, figures, panels, labels, data.class_names)
    like = over_priors.of_the_prior(len(x))
    return {"codes": len(x), "draws_of_the_prior": like, "runs": figures}, table([*figures, like])


def judge_of(data, seed):
    from ..evaluation.judge import Judge, check

    check(data)
    say(f"training a classifier on {data.name}")
    return Judge(data, seed)
