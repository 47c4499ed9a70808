"""`tinyae gradcheck` compares gradients with central differences, and float32 operations with float64."""

import sys

from ..backend import operations
from ..errors import BackendError, ConfigError, suggest
from ..terminal import say
from .arguments import NATURAL, add_json, add_threads, print_json, shape

HEAD = f"{'kind':<10}{'name':<28}{'worst relative error':>21}{'checks':>8}  verdict"


def gradcheck_options(parser):
    add = parser.add_argument
    what = "a layer, loss, latent operation, model or float32 operation (default: all)"
    add("name", nargs="?", default="all", metavar="NAME", help=f"{what}; or your own, as my_layer.py:MyLayer")
    add("--shape", type=shape, metavar="A,B,...", help="input shape of your own layer or model, without the batch axis")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="an argument of your own class; repeatable")
    add("--compiled", action="store_true", help="check only the float32 operations of the compiled library")
    add("--seed", type=NATURAL, default=0, metavar="N", help="seed of the points and directions (default 0)")
    add_threads(add)
    add_json(add)


def gradcheck(arguments):
    """Compare gradients with central differences in float64, and float32 operations with float64.

    The check fails if the relative error of a gradient is above 1e-6, if an operation's error is above its rounding
    bound, or if a layer breaks the contract of layers.
    """
    from ..gradcheck import check_by_name

    path, separator, name = arguments.name.rpartition(".py:")
    if separator:
        return _check_own(f"{path}.py", name, arguments.shape, arguments.set, arguments.seed, arguments.json)
    if arguments.shape or arguments.set:
        example = "tinyae gradcheck my_layer.py:MyLayer --shape 5,5,3"
        raise ConfigError(f"--shape and --set are for a class of your own: {example}")
    known, single = _wanted(arguments.name, arguments.compiled)
    rows = []
    if "float32" in known.values() and not operations.compile_now():
        _without_library(arguments.compiled)
    if not arguments.json:
        print(HEAD)
    for name, kind in known.items():
        reports = list(check_by_name(name, seed=arguments.seed))
        rows.append(_row(name, kind, reports))
        if not arguments.json:
            _print(rows[-1], reports, single)
    if arguments.json:
        print_json(rows)
    return 0 if all(row["passed"] for row in rows) else 1


def _check_own(path, name, input_shape, settings, seed, as_json):
    """Check a class in a Python file of the user's -> exit code."""
    from .gradcheck_own import check_own

    kind, reports = check_own(path, name, input_shape, settings, seed)
    row = _row(name, kind, reports)
    if as_json:
        print_json([row])
    else:
        print(HEAD)
        _print(row, reports, True)
    return 0 if row["passed"] else 1


def _wanted(name, compiled):
    """({name: kind} to check, whether a single name was given). compiled: only operations of the compiled library."""
    from ..gradcheck import names

    known = names()
    if name not in ("all", *known):
        raise suggest("layer, function or model", name, ("all", *known))
    if compiled:
        known = {name: kind for name, kind in known.items() if kind == "float32"}
        if name not in ("all", *known):
            raise ConfigError(
                f"--compiled: {name} is no float32 operation: leave --compiled out, or name one of {', '.join(known)}"
            )
    return (known, False) if name == "all" else ({name: known[name]}, True)


def _without_library(needed):
    """Report that the compiled library is missing, or raise `BackendError` if it is needed."""
    if needed:
        raise BackendError(f"--compiled: there is no compiled library ({operations.status()})")
    say(f"checking float32 operations of NumPy only: there is no compiled library ({operations.status()})")


def _row(name, kind, reports):
    """The JSON entry of one name: each error is the largest over all of its reports."""
    worst = max(reports, key=lambda report: (not report.passed, report.max_relative_error))
    arrays = {}
    for report in reports:
        for array, error in report.arrays.items():
            arrays[array] = max(error, arrays.get(array, 0.0))
    return {
        "name": name, "kind": kind, "max_relative_error": worst.max_relative_error,
        "checks": sum(report.checks for report in reports), "passed": all(report.passed for report in reports),
        "where": worst.where, "arrays": arrays, "wrong": _unique(report.wrong for report in reports),
        "faults": _unique(report.faults for report in reports),
        "diagnoses": [d._asdict() for report in reports for d in report.diagnoses.values() if d is not None],
    }  # fmt: skip


def _unique(groups):
    return list(dict.fromkeys(each for group in groups for each in group))


def _print(row, reports, single):
    """Print a line with the verdict, and below it the failures; for a single name all arrays."""
    failed = [report for report in reports if not report.passed]
    verdict = f"FAILED: {len(failed)} of {len(reports)} cases" if failed else "passed"
    print(f"{row['kind']:<10}{row['name']:<28}{row['max_relative_error']:>21.2e}{row['checks']:>8}  {verdict}")
    for report in failed:
        print(f"  {report.name}", *(f"  {line}" for line in report.table(whole=single)), sep="\n")
    if single and not failed:
        width = max(map(len, row["arrays"]))
        print(*(f"  {array:<{width}}  {error:8.2e}" for array, error in row["arrays"].items()), sep="\n")
    sys.stdout.flush()
