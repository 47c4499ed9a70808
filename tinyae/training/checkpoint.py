"""Checkpoints: one .npz without pickle, written whole or not at all.

Arrays: `params` and `state` (flat, see ParamStore), and of a run in training `optimizer.NAME`, flat as well. `meta` is
JSON text: the format's version, the model's name, configuration, dtype and parameter shapes, the moments' lengths, and
under "training" what continues the run. A model of standardised columns has their means and then their scales in the
array `standardization`. A file is written under another name, flushed to the disk and renamed, so a crash at any moment
leaves the old file or the new one.
"""

import inspect
import json
import math
import os
import zipfile
import zlib

import numpy as np

from ..data.examples import BYTES
from ..data.standardization import Standardization
from ..errors import CheckpointError

FORMAT = 1
CODEC = "vq-vae.npz"  # beside the checkpoints of a model of codes: what made the codes
LIMIT = 1 << 24  # bytes of `meta`, far above any real one


class Checkpoint:
    """What a file holds: `meta` (dict) and `arrays` (dict of NumPy arrays)."""

    def __init__(self, meta, arrays, path):
        self.meta, self.arrays, self.path = meta, arrays, path

    @property
    def training(self):
        return self.meta.get("training")

    def optimizer_state(self):
        """The moments, as `Optimizer.load_state` takes them."""
        prefix = "optimizer."
        moments = {key.removeprefix(prefix): a for key, a in self.arrays.items() if key.startswith(prefix)}
        return {"steps": self.training["step"], **moments}

    def model(self, backend="numpy"):
        """The model, made anew. Raises CheckpointError if this tinyae does not know it or one of its options."""
        from ..models import NAMES

        name = self.meta["model"]
        if name not in NAMES:
            raise CheckpointError(f"{self.path} holds the model '{name}', which this tinyae does not know")
        try:
            model = NAMES[name](**self.meta["config"], dtype=self.meta["dtype"], backend=backend)
        except TypeError as error:
            raise CheckpointError(f"{self.path}: {error}") from None
        codec = self.codec()
        if codec is not None:
            model.codec = codec.model(backend)
        return self.restore(model)

    def codec(self):
        """The Checkpoint of the vq-vae whose codes this model was trained on; None where that was images."""
        if not ((self.training or {}).get("origin") or {}).get("codes"):
            return None
        path = os.path.join(os.path.dirname(self.path), CODEC)
        if not os.path.exists(path):
            why = f"{self.path} is of codes, and the vq-vae that made them is not beside it"
            raise CheckpointError(f"{why}: copy best.npz of its run to {path}")
        found = read(path)
        if found.meta["model"] != "vq-vae":
            raise CheckpointError(f"{path} holds {found.meta['model']}, not the vq-vae that made the codes")
        return found

    def restore(self, model):
        """Copy parameters and state into a model of the same configuration.

        An option that is younger than the file has its default, which is what there was before it.
        """
        options = inspect.signature(type(model)).parameters
        config = json_ready({name: options[name].default for name in model.config}) | self.meta["config"]
        if self.meta["model"] != model.name or config != json_ready(model.config):
            raise CheckpointError(
                f"{self.path} holds {self.meta['model']} with {self.meta['config']}, not {model.name} with "
                f"{json_ready(model.config)}: use the options it was trained with"
            )
        for name, store in (("params", model.store), ("state", model.state)):
            store.flat[...] = model.backend.asarray(self.arrays[name], model.dtype)
            store.version += 1
        if "standardization" in self.arrays:
            mean, scale = self.arrays["standardization"].astype(np.float64).reshape(2, -1)
            model.standardization = Standardization(model.backend.asarray(mean), model.backend.asarray(scale))
        model.trained_on = self.trained_on() or model.trained_on
        return model

    def trained_on(self):
        """What `data.examples.seen` said of the training data, or None. Older files say whether they were bytes."""
        settings = (self.training or {}).get("settings", {})
        maps = len(self.meta["config"]["input_shape"]) == 2
        found = BYTES if str(settings.get("data", "")).startswith("uint8 ") and not maps else None
        return self.meta.get("trained_on", found)


def json_ready(value):
    """`value` as it comes back from JSON: tuples become lists."""
    return json.loads(json.dumps(value))


def write(path, model, training=None, optimizer=None):
    """Write a model, and a run's progress and moments where given, to `path`. Raises CheckpointError."""
    meta = {
        "format": FORMAT,
        "model": model.name,
        "config": model.config,
        "dtype": model.dtype.name,
        "params": {name: view.shape for name, view in model.store.named.items()},
        "state": {name: view.shape for name, view in model.state.named.items()},
    }
    arrays = {"params": model.store.flat, "state": model.state.flat}
    if model.standardization is not None:
        meta["standardized"] = "float64"  # files of before say True, and have the model's dtype
        columns = model.standardization
        arrays["standardization"] = model.backend.xp.concatenate((columns.mean, columns.scale))
    if model.trained_on is not None:
        meta["trained_on"] = model.trained_on
    if training is not None:
        meta["training"] = training
        moments = {f"optimizer.{name}": value for name, value in optimizer.state().items() if name != "steps"}
        meta["moments"] = {name: value.size for name, value in moments.items()}
        arrays |= moments
    host = {name: model.backend.to_host(value) for name, value in arrays.items()}
    replace_whole(path, lambda file: np.savez(file, meta=np.array(json.dumps(meta)), **host))


def replace_whole(path, fill):
    """Write a file through `fill(file)` so that `path` is at every moment the old file or the whole new one."""
    path = os.fspath(path)
    folder = os.path.dirname(path) or "."
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(folder)
    except OSError as error:
        remove_if_there(temporary)
        reason = error.strerror or error
        raise CheckpointError(f"cannot write {path}: {reason}; what was there before is intact") from None
    except BaseException:
        remove_if_there(temporary)
        raise


def link(source, target):
    """Make `target` the same file as `source`, replacing it whole; a copy where the disk knows no hard links."""
    temporary = os.path.join(os.path.dirname(target) or ".", f".{os.path.basename(target)}.{os.getpid()}.tmp")
    remove_if_there(temporary)
    try:
        os.link(source, temporary)
    except OSError:
        with open(source, "rb") as file:
            content = file.read()
        return replace_whole(target, lambda out: out.write(content))
    os.replace(temporary, target)
    # Renaming one name of a file over another name of it does nothing, and leaves the first.
    remove_if_there(temporary)
    sync_folder(os.path.dirname(target) or ".")


def sync_folder(folder):
    """Make renames in the folder survive a power cut; only where folders can be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_if_there(path):
    try:
        os.remove(path)
    except FileNotFoundError:
        pass


def read(path):
    """The Checkpoint in a file. Raises CheckpointError that names what is wrong."""
    path = os.fspath(path)
    try:
        with zipfile.ZipFile(path) as archive:
            meta = _read_meta(archive)
            sizes = {part: sum(map(math.prod, meta[part].values())) for part in ("params", "state")}
            moments = meta.get("moments", {})  # files of the first days have the names alone
            sizes |= moments if isinstance(moments, dict) else dict.fromkeys(moments, sizes["params"])
            if meta.get("standardized"):
                sizes["standardization"] = 2 * math.prod(meta["config"]["input_shape"])
            dtype = np.dtype(meta["dtype"])
            others = {"standardization": np.dtype("float64")} if meta.get("standardized") == "float64" else {}
            arrays = {name: _read_array(archive, name, size, others.get(name, dtype)) for name, size in sizes.items()}
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint {path}") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path} is a folder, not a checkpoint") from None
    except PermissionError:
        raise CheckpointError(f"{path} may not be read: check its permissions") from None
    except _Damage as damage:
        raise CheckpointError(f"{path} is damaged: {damage}") from None
    except KeyError as error:
        raise CheckpointError(f"{path} is damaged or no tinyae checkpoint: 'meta' lacks {error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, TypeError, NotImplementedError) as error:
        detail = str(error).partition("\n")[0] or type(error).__name__
        raise CheckpointError(f"{path} is damaged or no tinyae checkpoint: {detail}") from None
    return Checkpoint(meta, arrays, path)


class _Damage(Exception):
    pass


def _read_meta(archive):
    if "meta.npy" not in archive.namelist():
        raise _Damage("it has no 'meta', so tinyae did not write it or it was cut")
    if archive.getinfo("meta.npy").file_size > LIMIT:
        raise _Damage("'meta' is too long")
    try:
        with archive.open("meta.npy") as member:
            meta = json.loads(str(np.lib.format.read_array(member, allow_pickle=False)))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _Damage(f"'meta': {error}") from None
    if meta["format"] != FORMAT:
        raise _Damage(f"its format is version {meta['format']}, this tinyae reads version {FORMAT}")
    return meta


def _read_array(archive, name, size, dtype):
    member = f"{name}.npy"
    if member not in archive.namelist():
        raise _Damage(f"array '{name}' is missing")
    # Before anything is allocated: a header may claim any size.
    extra = archive.getinfo(member).file_size - size * dtype.itemsize
    if not 0 < extra < 4096:
        raise _Damage(f"array '{name}' has the wrong length")
    try:
        with archive.open(member) as file:
            shape = _header(file)
            if shape != ((size,), dtype):
                raise _Damage(f"array '{name}' is {shape[1]} {shape[0]}, expected {dtype} ({size},)")
            content = file.read(size * dtype.itemsize)
            file.read(1)  # the checksum is compared at the end of the member
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise _Damage(f"array '{name}': {error}") from None
    return np.frombuffer(content, dtype)


def _header(file):
    version = np.lib.format.read_magic(file)
    reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _, dtype = reader(file)
    return shape, dtype


def find(path):
    """The checkpoint file that `path` means: itself, or in a run's folder the best one, else the last."""
    path = os.fspath(path)
    if not os.path.isdir(path):
        return path
    candidates = [os.path.join(path, name) for name in ("best.npz", "last.npz", "previous.npz")]
    for candidate in candidates:
        if os.path.exists(candidate):
            return candidate
    raise CheckpointError(f"{path} holds no run: no best.npz or last.npz in it")


def load(path, backend="numpy"):
    """The model in a checkpoint file or in a run's folder (see `find`).

    Raises CheckpointError if there is none or it is damaged.
    """
    return read(find(path)).model(backend)
