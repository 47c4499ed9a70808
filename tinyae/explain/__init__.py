"""Explanations of layers, losses, latent operations, optimisers and models, made from the code that runs.

    explain("Conv2D")    formula, source, the shapes of an example, each gradient compared with central differences
    explain("vae")       the training step, each line with the shape that its value had in a run, and its terms

Everything is read from the registries, the docstrings and the source, so an explanation cannot differ from the code.
"""

from .catalogue import catalogue, find


def explain(name, shape=None, settings=None):
    """A dict, JSON-ready, that explains `name`; `text.lines` turns it into lines.

    Parameters
    ----------
    name : str
        A name of `catalogue`, such as "Conv2D", "sample", "Adam" or "vae"; a model's class or a dotted name serves too.
    shape : tuple of int, optional
        The input shape of a layer or a model, without the batch axis.
    settings : dict, optional
        Arguments of a layer's, an optimiser's or a model's constructor.

    Returns
    -------
    dict
        With "name", "kind", "summary", "formula", "file" and, by kind, "code", "shapes", "gradients", "steps", "terms".

    Raises
    ------
    ConfigError
        For an unknown name, and for arguments that the thing does not take.
    """
    entry = find(name)
    return entry.explain(shape, dict(settings or {}))


__all__ = ["catalogue", "explain"]
