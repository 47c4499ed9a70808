"""`tinyae compare`: trained models side by side."""

import os
import sys

from ..errors import ConfigError
from .arguments import add_json, print_json, run_options
from .trained import codec_of, load_data, load_run, output_file


def compare_options(parser):
    out_help = "a .png picture (default comparison.png beside the first run)"
    add = run_options(parser, out_help, seed=True, several=True)
    frechet = "judge samples by a classifier trained on the data first: Frechet distance, diversity, nearest images"
    add("--frechet", action="store_true", help=frechet)
    add_json(add)


def compare(arguments):
    """Show trained models side by side: reconstructions, interpolations, images from random codes."""
    from .. import compare as side_by_side

    runs = []
    for path in arguments.runs:
        arguments.run_path = path
        model, origin = load_run(arguments)
        if model.integer_input:
            codec_of(model)
        if model.given(None):
            raise ConfigError(f"{path}: {model.name} decodes beside labels, and random codes have none: leave it out")
        runs.append((f"{model.name} ({os.path.basename(os.path.normpath(path))})", model))
    arguments.run_path = arguments.runs[0]
    out, _ = output_file(arguments, "comparison.png", (".png",))
    data, part = load_data(arguments, origin)
    side_by_side.check(runs, part.x)  # before a long wait
    judge = judge_of(data, arguments.seed) if arguments.frechet else None
    figures, rows = side_by_side.compare(runs, part.x, arguments.seed, part.labels, judge)
    side_by_side.draw(out, rows)
    if arguments.json:
        answer = {"data": data.name, "split": arguments.split, "picture": out, "runs": figures}
        print_json(answer | ({"judge": judge.about()} if judge else {}))
        return
    print(f"{data.name}, {arguments.split} part, {len(part):,} images")
    print("\n".join(side_by_side.table(figures, judge.data if judge else None)))
    if judge:
        print(f"note: {judge.note()}")
    print(out)


def judge_of(data, seed):
    from ..evaluation.judge import Judge, check

    check(data)
    print(f"training a classifier on {data.name}", file=sys.stderr, flush=True)
    return Judge(data, seed)
