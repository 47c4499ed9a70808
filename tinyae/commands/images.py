"""`tinyae sample` and `tinyae reconstruct`: what a trained model draws."""

from .arguments import POSITIVE, run_options
from .trained import load_part, load_run, output_file, save_arrays


def sample_options(parser):
    out_help = "a .png, or .npy or .npz for arrays (default samples.png beside the run)"
    add = run_options(parser, out_help, data=False, seed=True)
    add("-n", type=POSITIVE, default=64, metavar="N", help="how many (default 64)")


def sample(arguments):
    """Draw new images from the model's prior."""
    out, kind = output_file(arguments, "samples.png", (".png", ".npy", ".npz"))
    model, _ = load_run(arguments)
    images = model.sample(arguments.n, seed=arguments.seed)
    if kind == ".png":
        from .. import plot

        plot.samples(out, images)
    else:
        save_arrays(out, {"x": images})
    print(out)


def reconstruct_options(parser):
    add = run_options(parser, "a .png, or .npy or .npz for arrays (default reconstructions.png beside the run)")
    add("-n", type=POSITIVE, default=10, metavar="N", help="how many images to show in a .png (default 10)")


def reconstruct(arguments):
    """Encode and decode images, and show them beside their reconstructions."""
    out, kind = output_file(arguments, "reconstructions.png", (".png", ".npy", ".npz"))
    model, origin = load_run(arguments)
    part, _ = load_part(arguments, origin)
    if kind == ".png":
        from .. import plot

        x = part.x[: arguments.n]
        plot.reconstructions(out, x, model.reconstruct(x))
    else:
        save_arrays(out, {"x": model.reconstruct(part.x)})
    print(out)
