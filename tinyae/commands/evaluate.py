"""`tinyae evaluate`: the loss and its terms on held-out data."""

from .arguments import add_json, print_json, run_options
from .trained import load_part, load_run


def evaluate_options(parser):
    add_json(run_options(parser, seed=True))


def evaluate(arguments):
    """Report the loss and its terms on held-out images."""
    from ..training.feed import Feed, as_split, check_range
    from ..training.loop import evaluate as evaluate_terms

    model, origin = load_run(arguments)
    part, name = load_part(arguments, origin)
    model.prepare({"x": part.x[:1]})  # a wrong shape is said first
    check_range(model, part.x)
    feed = Feed(*as_split(part), model.backend, 1, arguments.seed)
    terms = evaluate_terms(model, feed, arguments.seed)
    about = {"model": model.name, "data": name, "split": arguments.split, "images": feed.count, "unit": model.unit}
    answer = about | terms
    if model.generative:
        answer["elbo"] = -terms["loss"]
    if arguments.json:
        print_json(answer)
        return
    print(f"{model.name} on {name}, {arguments.split} part, {feed.count:,} images; {model.unit}, means per image")
    for label in [*terms, "elbo"] if model.generative else terms:
        print(f"  {label:<16}{answer[label]:12.4f}")
