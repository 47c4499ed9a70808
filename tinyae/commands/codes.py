"""`tinyae encode`: the codes of images, for other programs."""

from .arguments import run_options
from .trained import load_part, load_run, output_file, save_arrays, write_text


def encode_options(parser):
    run_options(parser, "a .npz or .csv file (default codes.npz beside the run)")


def encode(arguments):
    """Write the codes of images, and their labels, to .npz or .csv."""
    out, kind = output_file(arguments, "codes.npz", (".npz", ".csv"))
    model, origin = load_run(arguments)
    part, _ = load_part(arguments, origin, model)
    codes = model.encode(part.x, **model.given(part.labels))
    labels = {} if part.labels is None else {"labels": part.labels}
    if kind == ".npz":
        save_arrays(out, {"codes": codes} | labels)
    else:
        codes = codes.reshape(len(codes), -1)  # maps of codes row by row
        header = [f"z{i + 1}" for i in range(codes.shape[1])] + list(labels)
        rows = (list(map(repr, code.tolist())) for code in codes)
        if labels:
            rows = ([*row, str(label)] for row, label in zip(rows, part.labels, strict=True))
        write_text(out, "\n".join(",".join(row) for row in [header, *rows]) + "\n")
    print(out)
