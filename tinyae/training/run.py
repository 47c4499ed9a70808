"""A run's folder: checkpoints, metrics.jsonl, and whether it may be written to."""

import glob
import json
import os

from ..errors import CheckpointError, ConfigError
from . import checkpoint

LAST, PREVIOUS, BEST, METRICS = "last.npz", "previous.npz", "best.npz", "metrics.jsonl"


class Run:
    """The folder `path`. A used one is refused unless told to resume or to overwrite."""

    def __init__(self, path, resume=False, overwrite=False):
        self.path = os.fspath(path)
        if resume and overwrite:
            raise ConfigError("resume and overwrite exclude each other")
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the output folder {self.path}: {error.strerror}") from None
        if not os.access(self.path, os.W_OK):
            raise ConfigError(f"the output folder {self.path} may not be written to")
        used = [name for name in (LAST, PREVIOUS, BEST, METRICS) if os.path.exists(self.file(name))]
        if used and not (resume or overwrite):
            raise ConfigError(f"{self.path} holds a run already: resume it, overwrite it, or choose another folder")
        for left_over in glob.glob(os.path.join(glob.escape(self.path), ".*.tmp")):
            checkpoint.remove_if_there(left_over)
        if overwrite:
            for name in used:
                os.remove(self.file(name))

    def file(self, name):
        return os.path.join(self.path, name)

    def newest(self, warn):
        """The newest whole Checkpoint, or None in an empty folder; `warn(text)` names a damaged one passed over."""
        damage = []
        for name in (LAST, PREVIOUS):
            if os.path.exists(self.file(name)):
                try:
                    found = checkpoint.read(self.file(name))
                except CheckpointError as error:
                    damage.append(str(error))
                else:
                    for text in damage:
                        warn(f"{text}: going on from {name}, step {found.training['step']}")
                    return found
        if damage:
            raise CheckpointError("; ".join(damage) + ": no checkpoint is left to resume from")
        return None

    def save(self, model, training, optimizer):
        """Write last.npz; the one before stays as previous.npz; best.npz where this is the best."""
        if os.path.exists(self.file(LAST)):
            checkpoint.link(self.file(LAST), self.file(PREVIOUS))
        checkpoint.write(self.file(LAST), model, training, optimizer)
        self.mark_best(training)

    def mark_best(self, training):
        """Make best.npz the same file as last.npz where that is the best so far."""
        if training["best"] and training["best"]["step"] == training["step"]:
            checkpoint.link(self.file(LAST), self.file(BEST))

    def append(self, record):
        """Add a line to metrics.jsonl."""
        with open(self.file(METRICS), "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def records(self, up_to_step):
        """The records of metrics.jsonl up to a step; later or torn lines are removed from the file."""
        try:
            with open(self.file(METRICS), encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return []
        records = []
        for line in lines:
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                break  # torn by a crash; what follows cannot be older
            if record["step"] <= up_to_step:
                records.append(record)
        text = "".join(json.dumps(record) + "\n" for record in records)
        checkpoint.replace_whole(self.file(METRICS), lambda file: file.write(text.encode()))
        return records
