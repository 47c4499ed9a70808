"""`tinyae compare`: trained models side by side."""

import os

from ..errors import ConfigError
from .arguments import add_json, print_json, run_options
from .trained import load_part, load_run, output_file


def compare_options(parser):
    out_help = "a .png picture (default comparison.png beside the first run)"
    add_json(run_options(parser, out_help, seed=True, several=True))


def compare(arguments):
    """Show trained models side by side: reconstructions, interpolations, images from random codes."""
    from .. import compare as side_by_side

    runs = []
    for path in arguments.runs:
        arguments.run_path = path
        model, origin = load_run(arguments)
        if hasattr(model, "codec"):
            raise ConfigError(f"{path}: {model.name} has no reconstructions to compare: leave it out")
        if model.given(None):
            raise ConfigError(f"{path}: {model.name} decodes beside labels, and random codes have none: leave it out")
        runs.append((f"{model.name} ({os.path.basename(os.path.normpath(path))})", model))
    arguments.run_path = arguments.runs[0]
    out, _ = output_file(arguments, "comparison.png", (".png",))
    part, name = load_part(arguments, origin)
    figures, rows = side_by_side.compare(runs, part.x, arguments.seed, part.labels)
    side_by_side.draw(out, rows)
    if arguments.json:
        print_json({"data": name, "split": arguments.split, "picture": out, "runs": figures})
        return
    print(f"{'':<32}{'rms':>8}{'sharpness':>12}{'random rms':>12}   on {name}, {len(part):,} images")
    for row in figures:
        print(f"{row['run']:<32}{row['rms']:>8.4f}{row['sharpness']:>12.3f}{row['random_rms']:>12.4f}")
    print(out)
