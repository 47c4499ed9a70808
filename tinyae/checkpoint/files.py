"""Checkpoints: one .npz without pickle, written whole or not at all.

Arrays: `params` and `state` (flat, see ParamStore), and of a run in training `optimizer.NAME`, flat as well. `meta` is
JSON text: the format's version, the model's name, configuration, dtype and parameter shapes, the moments' lengths, and
under "training" what continues the run. A model of standardised columns has their means and then their scales in the
array `standardization`. A file is written under another name, flushed to the disk and renamed, so a crash at any moment
leaves the old file or the new one.
"""

import contextlib
import inspect
import json
import os
import re
import stat
import zipfile

import numpy as np

from ..data.encoded import checksum
from ..data.examples import BYTES
from ..data.standardization import Standardization
from ..errors import CheckpointError, NotImportedError
from ..layers.config import not_importable
from ..terminal import say
from . import schema
from .classes import check_class, find_class, make, own_class
from .layout import MOMENT, Damage, check_finite, check_shapes, compare_shapes, layout

FORMAT = 1
CODEC = "vq-vae.npz"  # next to the checkpoints of a model of codes: the vq-vae that made the codes
REPLACED = ".replaced"  # in the folder of a run that is being removed for a new one
LIMIT = 1 << 24  # bytes of `meta`, far above any real one
LINE = 300  # characters about what is wrong with a file
# An array's header in the .npy format, version 1: its dtype and its shape.
DICT = rb"\{'descr': '([<>|][fiuU]\d{1,9})', 'fortran_order': False, 'shape': \(([\d, ]{0,80})\), \} *\n"
HEADER = re.compile(rb"\x93NUMPY\x01\x00.." + DICT, re.DOTALL)


class Checkpoint:
    """What a file holds: `meta` (dict, as META declares it) and `arrays` (dict of NumPy arrays)."""

    def __init__(self, meta, arrays, path):
        self.meta, self.arrays, self.path = meta, arrays, path

    @property
    def training(self):
        return self.meta.get("training")

    @property
    def origin(self):
        """Where the data were from, as `data.load` takes it, or None."""
        return (self.training or {}).get("origin")

    def optimizer_state(self):
        """The moments, as `Optimizer.load_state` takes them."""
        moments = {key.removeprefix(MOMENT): a for key, a in self.arrays.items() if key.startswith(MOMENT)}
        return {"steps": self.training["step"], **moments}

    def model(self, backend="numpy", model_class=None):
        """The model, made anew. Raises CheckpointError if this tinyae does not know it or one of its options.

        model_class: by default the one that the file names (`classes.find_class`).
        """
        model_class = find_class(self.meta, self.path) if model_class is None else model_class
        model = make(model_class, self.meta, self.path, backend)
        codec = self.codec()
        if codec is not None:
            model.codec = codec.model(backend)
        return self.restore(model)

    def codec(self):
        """The Checkpoint of the vq-vae whose codes this model was trained on; None where that was images."""
        if not (self.origin or {}).get("codes"):
            return None
        path = os.path.join(os.path.dirname(self.path), CODEC)
        if not os.path.exists(path):
            why = f"{self.path} is a model of codes, and the vq-vae that made them is not next to it"
            raise CheckpointError(f"{why}: copy best.npz of its run to {path}")
        found = read(path)
        if found.meta["model"] != "vq-vae":
            raise CheckpointError(f"{path} holds {found.meta['model']}, not the vq-vae that made the codes")
        own = checksum(found.arrays["params"], found.arrays["state"])
        if self.origin.get("codec", own) != own:  # older files do not say whose the codes are
            raise CheckpointError(
                f"{path} is another vq-vae than the one that made the codes of {self.path}: copy the right one there"
            )
        return found

    def check(self, model):
        """Raise CheckpointError unless `model` has the file's configuration, dtype and shapes.

        An option that is younger than the file has its default, which is what there was before it.
        """
        check_class(type(model), self.meta, self.path)
        options = inspect.signature(type(model)).parameters
        defaults = {name: options[name].default for name in model.config if name in options}
        defaults = json_ready({name: value for name, value in defaults.items() if value is not inspect.Parameter.empty})
        theirs = {**defaults, **self.meta["config"], "model": self.meta["model"], "dtype": self.meta["dtype"]}
        ours = {**json_ready(model.config), "model": model.name, "dtype": model.dtype.name}
        for side in (theirs, ours):
            side.pop("backend", None)  # a class that keeps all that it is given keeps this, too
        for name in sorted(theirs.keys() | ours.keys(), key="model".__ne__):
            if theirs.get(name) != ours.get(name):
                before, now = (schema.brief(side.get(name)) for side in (theirs, ours))
                raise CheckpointError(
                    f"{self.path} has {name}={before}, the model {name}={now}: use the options it was trained with"
                )
        try:
            for part, store in (("params", model.store), ("state", model.state)):
                compare_shapes(part, self.meta[part], {name: view.shape for name, view in store.named.items()})
        except Damage as damage:
            raise CheckpointError(f"{self.path} does not fit this model: {damage}") from None

    def restore(self, model):
        """Copy parameters, state and standardisation into a model of the same configuration, or raise as `check`."""
        self.check(model)
        for name, store in (("params", model.store), ("state", model.state)):
            store.flat[...] = model.backend.asarray(self.arrays[name], model.dtype)
            store.version += 1
        names = self.meta.get("class_names")
        model.class_names = None if names is None else tuple(names)
        model.standardization = None
        if "standardization" in self.arrays:
            mean, scale = self.arrays["standardization"].astype(np.float64).reshape(2, -1)
            model.standardization = Standardization(model.backend.asarray(mean), model.backend.asarray(scale))
        model.trained_on = self.trained_on() or model.trained_on
        return model

    def trained_on(self):
        """What `data.examples.seen` said of the training data, or None. Older files say whether they were bytes."""
        shape, settings = self.meta["config"].get("input_shape"), (self.training or {}).get("settings", {})
        maps = isinstance(shape, list) and len(shape) == 2
        found = BYTES if settings.get("data", "").startswith("uint8 ") and not maps else None
        return self.meta.get("trained_on", found)


def json_ready(value):
    """`value` as it comes back from JSON: tuples become lists, and NumPy's numbers and arrays Python's."""

    def plain(other):
        if isinstance(other, (np.generic, np.ndarray)):
            return other.tolist()
        raise TypeError(f"a {type(other).__name__} is not JSON serializable")

    return json.loads(json.dumps(value, default=plain))


def content(path, model, training=None, optimizer=None):
    """(meta, arrays) of the file in which `write` keeps a model, and a run's progress and moments where given.

    Raises CheckpointError where `read` would refuse the file.
    """
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
    if (own := own_class(model)) is not None:
        meta["class"] = own
    if model.trained_on is not None:
        meta["trained_on"] = model.trained_on
    if model.class_names is not None:
        meta["class_names"] = model.class_names
    if training is not None:
        meta["training"] = training
        moments = {f"{MOMENT}{name}": value for name, value in optimizer.state().items() if name != "steps"}
        meta["moments"] = {name: value.size for name, value in moments.items()}
        arrays |= moments
    if (name := not_importable(list(model.config.values()))) is not None:
        raise CheckpointError(f"cannot write {path}: no other program can import {name}: put this layer into a module")
    host = {name: model.backend.to_host(value) for name, value in arrays.items()}
    try:
        meta = json_ready(meta)
        check_shapes(meta, type(model))
        for name, (size, dtype) in layout(meta).items():
            if (host[name].size, host[name].dtype) != (size, dtype):
                raise Damage(f"array '{name}' is {host[name].dtype} ({host[name].size},), expected {dtype} ({size},)")
        check_finite(meta, host)
    except (Damage, TypeError, ValueError) as error:
        raise CheckpointError(f"cannot write {path}: {_line(error)}; what was there before is intact") from None
    return meta, host


def write(path, model, training=None, optimizer=None):
    """Write a model, and a run's progress and moments where given, to `path`, or raise CheckpointError as `content`."""
    meta, arrays = content(path, model, training, optimizer)
    replace_whole(path, lambda file: np.savez(file, meta=np.array(json.dumps(meta)), **arrays))


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
        with contextlib.suppress(OSError):  # as where the name is too long
            os.remove(temporary)
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


def read(path, model_class=None):
    """The Checkpoint in a file. Raises CheckpointError that names what is wrong, NotImportedError for a user's layer.

    model_class: of the model that it is for. By default the one that the file names, where this tinyae knows it.
    """
    path = os.fspath(path)
    try:
        with open(path, "rb", opener=_open_regular) as file, zipfile.ZipFile(file) as archive:
            room = os.fstat(file.fileno()).st_size
            meta = _read_meta(archive, room)
            expected = layout(meta)
            _check_lengths(archive, expected)
            check_shapes(meta, model_class)
            arrays = {name: _read_array(archive, name, room, *each) for name, each in expected.items()}
            check_finite(meta, arrays)
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint {path}") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path} is a folder, not a checkpoint") from None
    except PermissionError:
        raise CheckpointError(f"{path} may not be read: check its permissions") from None
    except Damage as damage:
        raise CheckpointError(f"{path} is corrupted: {_line(damage)}") from None
    except NotImportedError as error:
        raise NotImportedError(f"{path} cannot be loaded yet: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # on corrupted bytes, zipfile and json raise nearly anything
        raise CheckpointError(f"{path} is corrupted or not a tinyae checkpoint: {_line(error)}") from None
    return Checkpoint(meta, arrays, path)


def _line(error):
    """An error's text as the end of one printable line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in text[:LINE])


def _open_regular(path, flags):
    """Open a file for reading; a pipe is refused, for it would wait for its other end."""
    if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
        raise Damage("it is no regular file")
    return os.open(path, flags)


def _read_meta(archive, room):
    if "meta.npy" not in archive.namelist():
        raise Damage("it has no 'meta', so tinyae did not write it or it was cut")
    if archive.getinfo("meta.npy").file_size > LIMIT:
        raise Damage("'meta' is too long")
    descr, _, content = _member(archive, "meta", room)
    meta = json.loads(str(np.frombuffer(content, descr, 1)[0]))
    if type(meta) is not dict or meta.get("format") != FORMAT:
        version = schema.brief(meta.get("format")) if type(meta) is dict else "unknown"
        raise Damage(f"its format is version {version}, this tinyae reads version {FORMAT}")
    return meta


def _check_lengths(archive, expected):
    """Compare the members' lengths before anything is allocated: a header may claim any size."""
    there = {info.filename: info.file_size for info in archive.infolist()}
    for name, (size, dtype) in expected.items():
        if f"{name}.npy" not in there:
            raise Damage(f"array '{name}' is missing")
        if not 0 < there[f"{name}.npy"] - size * dtype.itemsize < 4096:
            raise Damage(f"array '{name}' has the wrong length")


def _read_array(archive, name, room, size, dtype):
    try:
        descr, shape, content = _member(archive, name, room)
        if (descr, shape) != (dtype.str, f"{size},"):
            raise Damage(f"array '{name}' is {np.dtype(descr)} ({shape}), expected {dtype} ({size},)")
    except (zipfile.BadZipFile, ValueError) as error:
        raise Damage(f"array '{name}': {error}") from None
    return np.frombuffer(content, dtype, size)


def _member(archive, name, room):
    """(dtype, shape, bytes) of an array, the first two as its header writes them; its checksum is compared.

    The header is matched, not evaluated, for tinyae reads the few that it writes. Nothing that tinyae writes is
    compressed, so no member is longer than the file, which has `room` bytes.
    """
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > room:
        raise Damage(f"array '{name}' is compressed, or longer than the file")
    content = archive.read(info)
    header = HEADER.match(content)
    if header is None:
        raise Damage(f"array '{name}' has a header that tinyae does not write")
    descr, shape = header[1].decode("ascii"), header[2].decode("ascii")
    return descr, shape, memoryview(content)[header.end() :]


def first_whole(paths, model_class=None):
    """(the Checkpoint in the first of the files that is whole, or None; a line about each corrupted one before it)."""
    damage = []
    for path in paths:
        if os.path.lexists(path):
            try:
                return read(path, model_class), damage
            except NotImportedError:
                raise  # this is no damage, and the other files have the same layers
            except CheckpointError as error:
                damage.append(str(error))
    return None, damage


def find(path, warn=None):
    """The Checkpoint in a file; in a run's folder the best epoch's, or else the last.

    warn: takes a line about each corrupted file of a folder that is passed over; by default it goes to stderr. Raises
    CheckpointError.
    """
    path = os.fspath(path)
    if not os.path.isdir(path):
        return read(path)
    there = () if os.path.exists(os.path.join(path, REPLACED)) else ("best.npz", "last.npz", "previous.npz")
    found, damage = first_whole([os.path.join(path, name) for name in there])
    if found is None:
        none_left = "no whole checkpoint is left" if damage else f"{path} holds no run: no best.npz or last.npz in it"
        raise CheckpointError("; ".join([*damage, none_left]))
    for text in damage:
        text += f": {os.path.basename(found.path)} is used in its place"
        say(f"tinyae: {text}") if warn is None else warn(text)
    return found
