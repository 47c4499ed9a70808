"""The folder of a run, with its checkpoints and metrics.jsonl. Only one run at a time may write to it."""

import contextlib
import glob
import json
import os

from ..checkpoint import files as checkpoint
from ..checkpoint.files import CODEC, REPLACED
from ..checkpoint.layout import RECORD
from ..checkpoint.schema import Unfit
from ..errors import CheckpointError, ConfigError
from ..wording import flag
from . import pictures

CHECKPOINTS = LAST, PREVIOUS, BEST = "last.npz", "previous.npz", "best.npz"
METRICS = "metrics.jsonl"


class Run:
    """The folder `path` of a run. `with Run(path) as run` opens it for writing; before that nothing is changed.

    A folder that has a run is refused, unless resume or overwrite is set. A folder that another process writes to is
    refused, too.
    """

    def __init__(self, path, resume=False, overwrite=False):
        if resume and overwrite:
            raise ConfigError(f"{flag('resume')} and {flag('overwrite')} exclude each other: give one of them")
        self.path, self.resume, self.overwrite, self.lock = os.fspath(path), resume, overwrite, None
        self.made = []  # folders that this run has created, the innermost first

    def __enter__(self):
        folder = os.path.abspath(self.path)
        while not os.path.exists(folder):
            self.made.append(folder)
            folder = os.path.dirname(folder)
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot create the output folder {self.path}: {error.strerror}") from None
        if not os.access(self.path, os.W_OK):
            raise ConfigError(f"the output folder {self.path} is not writable: choose another")
        self._lock()
        try:
            self._prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None
        if any(exception):
            with contextlib.suppress(OSError):  # folders that are still empty are removed again
                for folder in self.made:
                    os.rmdir(folder)

    def _lock(self):
        """Lock the folder itself, which needs no file, and is undone when the process ends."""
        try:
            import fcntl
        except ImportError:  # Windows
            return
        self.lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.__exit__()
            raise ConfigError(f"another run is using {self.path}: wait for it, or choose another folder") from None
        except OSError:
            pass  # the file system has no locks

    def _prepare(self):
        self.refuse_if_used()
        for left_over in glob.glob(os.path.join(glob.escape(self.path), ".*.tmp")):
            checkpoint.remove_if_there(left_over)
        if self.overwrite and self.used:
            # This file marks the folder as empty, even if the process is killed while it removes the files.
            checkpoint.replace_whole(self.file(REPLACED), lambda file: None)
        if self._is_replaced:
            for name in (*CHECKPOINTS, METRICS, CODEC, *pictures.NAMES):
                checkpoint.remove_if_there(self.file(name))
            checkpoint.sync_folder(self.path)
            os.remove(self.file(REPLACED))
        # A run that was killed before its first checkpoint leaves lines of epochs that are repeated.
        if not any(os.path.exists(self.file(name)) for name in CHECKPOINTS):
            checkpoint.remove_if_there(self.file(METRICS))

    def refuse_if_used(self):
        """Raise ConfigError if the folder has a run, and neither resume nor overwrite is set."""
        if self.used and not (self.resume or self.overwrite):
            raise ConfigError(
                f"{self.path} has a run already: continue it ({flag('resume', True)}), replace it "
                f"({flag('overwrite', True)}), or choose another folder ({flag('out')})"
            )

    @property
    def used(self):
        """The names of the run's files that exist."""
        if self._is_replaced:
            return []
        return [name for name in (*CHECKPOINTS, METRICS) if os.path.exists(self.file(name))]

    @property
    def _is_replaced(self):
        """Whether a process was killed while it removed the old run's files."""
        return os.path.exists(self.file(REPLACED))

    def file(self, name):
        return os.path.join(self.path, name)

    def newest(self, warn=lambda text: None, model_class=None):
        """The newest intact Checkpoint, or None in an empty folder. `warn(text)` reports corrupted files it skipped.

        If last.npz and previous.npz are both lost, the run resumes from the best epoch's file. model_class: the class
        of the model that is resumed (see `checkpoint.read`).
        """
        if self._is_replaced:
            return None
        found, damage = checkpoint.first_whole([self.file(name) for name in CHECKPOINTS], model_class)
        if found is None and damage:
            damage.append(f"there is no checkpoint to resume from: start a new run ({flag('overwrite', True)})")
            raise CheckpointError("; ".join(damage))
        if found is not None and not os.path.lexists(self.file(LAST)):
            damage.append(f"{self.file(LAST)} is missing")
        for text in damage:
            step = f", step {found.training['step']}" if found.training else ""
            warn(f"{text}: going on from {os.path.basename(found.path)}{step}")
        return found

    def save(self, model, training, optimizer):
        """Write last.npz, keep the one before as previous.npz, and update best.npz if this epoch is the best."""
        if os.path.exists(self.file(LAST)):
            checkpoint.link(self.file(LAST), self.file(PREVIOUS))
        checkpoint.write(self.file(LAST), model, training, optimizer)
        self.mark_best(training)

    def mark_best(self, training):
        """Make best.npz the same file as last.npz if that is the best epoch so far."""
        if training["best"] and training["best"]["step"] == training["step"]:
            checkpoint.link(self.file(LAST), self.file(BEST))

    def append(self, record):
        """Append a line to metrics.jsonl, and wait until it is on the disk."""
        path = self.file(METRICS)
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from None

    def records(self, up_to_step, warn=lambda text: None, epochs=0):
        """The records of metrics.jsonl up to a step. Later lines and corrupted ones are removed from the file.

        `warn(text)` reports a corrupted line, except a last line that a crash cut off, and reports if some of the
        `epochs` before that step are missing.
        """
        path = self.file(METRICS)
        try:
            with open(path, "rb") as file:
                *lines, torn = file.read().split(b"\n")
        except FileNotFoundError:
            lines, torn = [], b""
        records, damaged = [], 0
        for number, line in enumerate([*lines, torn], 1):
            try:
                record = json.loads(line)
                RECORD.validate(record, "it")
            except (ValueError, RecursionError, Unfit):
                if number <= len(lines):
                    damaged += 1
                    warn(f"{path}: line {number} is corrupted and was removed; the other lines are kept")
                continue
            if record["step"] <= up_to_step:
                records.append(record)
        if len(records) + damaged < epochs:
            warn(f"{path} has only {len(records)} of the {epochs} epochs so far: the curves lack the others")
        if lines or torn:
            text = "".join(json.dumps(record) + "\n" for record in records)
            checkpoint.replace_whole(path, lambda file: file.write(text.encode()))
        return records
