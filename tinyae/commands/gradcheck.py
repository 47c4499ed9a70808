"""`tinyae gradcheck`: every gradient against central differences."""

from ..errors import suggest
from .arguments import NATURAL, add_json, print_json


def gradcheck_options(parser):
    add = parser.add_argument
    add("name", nargs="?", default="all", metavar="NAME", help="a layer, loss, latent operation or model (default all)")
    add("--seed", type=NATURAL, default=0, metavar="N", help="of points and directions (default 0)")
    add_json(add)


def gradcheck(arguments):
    """Check gradients against central differences in float64; fails if one is off by more than 1e-6."""
    from ..gradcheck import check_by_name, names

    known = names()
    if arguments.name not in ("all", *known):
        raise suggest("layer, function or model", arguments.name, ("all", *known))
    wanted = list(known) if arguments.name == "all" else [arguments.name]
    rows, failed = [], False
    if not arguments.json:
        print(f"{'kind':<10}{'name':<28}{'worst relative error':>21}{'checks':>8}  verdict")
    for name in wanted:
        reports = list(check_by_name(name, seed=arguments.seed))
        worst = max(reports, key=lambda report: (not report.passed, report.max_relative_error))
        passed = all(report.passed for report in reports)
        failed |= not passed
        row = {
            "name": name, "kind": known[name], "max_relative_error": worst.max_relative_error,
            "checks": sum(report.checks for report in reports), "passed": passed, "where": worst.where,
        }  # fmt: skip
        rows.append(row)
        if not arguments.json:
            verdict = "passed" if passed else f"FAILED: {worst.name}, {worst.where}"
            error, checks = row["max_relative_error"], row["checks"]
            print(f"{row['kind']:<10}{name:<28}{error:>21.2e}{checks:>8}  {verdict}", flush=True)
    if arguments.json:
        print_json(rows)
    return 1 if failed else 0
