"""The facts that `tinyae info` shows about this machine and this installation."""

import importlib.metadata
import os
import platform

import numpy as np

from .. import __version__
from ..backend import Backend, operations
from ..errors import BackendError
from ..training.workers import cores
from ..wording import install

EXTRAS = {"viz": ("pillow", "matplotlib", "tqdm"), "threads": ("threadpoolctl",)}


def facts():
    """{name: text} of versions, cores, BLAS, backends and extras."""
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return {
        "tinyae": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": " ".join(str(blas.get(key, "")) for key in ("name", "version")).strip() or "unknown",
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": str(cores()),
        "operations": operations.status(),
        "cupy": _cupy(),
        "data folder": os.environ.get("TINYAE_DATA", "TINYAE_DATA is not set"),
        **{f"extra {name}": _extra(name, packages) for name, packages in EXTRAS.items()},
    }


def _cupy():
    try:
        backend = Backend("cupy")
    except BackendError as error:
        return f"no: {error}"
    device = backend.xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return f"{backend.xp.__version__} on {device}"


def _extra(name, packages):
    found, missing = [], []
    for package in packages:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    advice = f"missing {', '.join(missing)}: {install(name)}"
    return ", ".join(found + [advice] * bool(missing))
