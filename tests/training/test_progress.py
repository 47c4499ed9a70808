"""What a person sees of a training: in a terminal of 80 columns, in a log, and where nothing can be shown."""

import io
import os
import re
import signal
import sys
import time

import numpy as np
import pytest
from command_line import COMMAND, run
from screens import received, seen

import tinyae
from tinyae.training import progress

pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals as on POSIX")

TRAIN = ("train", "vae", "--data", "digits", "--set", "hidden=16", "--no-pictures", "--out", "r")
BAR = re.compile(r" *\d+% \|([^|]*)\| (\d+)/\d+ steps, (\S+) left(, [\d,]+ examples/s)?(, loss \d+\.\d\d)?")


def bars(text):
    """The bars that were drawn, one after the other."""
    return [part for part in re.split(r"[\r\n]", text) if "steps, " in part]


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    pytest.importorskip("tqdm")
    code, text = received(*TRAIN, "--epochs", 3, cwd=tmp_path_factory.mktemp("training"))
    assert code == 0, text
    return text


def test_lines_fit_into_80_columns(training):
    lines = seen(training, 1000)
    assert max(map(len, lines)) <= 80, lines
    for i in (1, 2, 3):
        first = next(n for n, line in enumerate(lines) if line.startswith(f"epoch {i}  train: loss "))
        assert re.fullmatch(rf"epoch {i}  train: loss \S+ reconstruction \S+ kl \S+", lines[first])
        assert re.fullmatch(r" {9}test: loss \S+ reconstruction \S+ kl \S+", lines[first + 1])


def test_the_bar_is_wide_and_nothing_is_cut_off(training):
    drawn = bars(training)
    for bar in drawn:
        parts = BAR.match(bar)
        assert parts and parts[0] == bar.rstrip() and len(parts[1]) >= 10 and len(bar) <= 80 - 3, bar
    last = BAR.match(drawn[-1])
    assert last[2] == "36" and last[4] and last[5]


def test_a_narrow_terminal_keeps_the_loss_or_at_least_the_time():
    bar = progress.Bar(1000)
    bar.means, bar.rate = progress.Means(), progress.Rate()
    bar.means.add(1, {"kl": 1.0, "loss": 195.25})
    for columns, words in ((40, ""), (62, "loss 195.25"), (200, "examples/s, loss 195.25 kl 1.00")):
        bar._width = lambda columns=columns: columns
        assert bar._postfix().endswith(words) and bool(bar._postfix()) == bool(words)


def test_epoch_lines_of_many_terms_break_between_terms(monkeypatch):
    monkeypatch.setattr(progress.Screen, "columns", 40)
    parts = ["train: loss 1.00 discriminator 22.00 generator 333.00", "test: loss 4.00"]
    assert progress.folded("epoch 7", parts) == [
        "epoch 7  train: loss 1.00",
        "         discriminator 22.00",
        "         generator 333.00",
        "         test: loss 4.00",
    ]
    monkeypatch.setattr(progress.Screen, "columns", None)
    assert progress.folded("epoch 7", parts) == [f"epoch 7  {parts[0]}  {parts[1]}"]


def test_the_loss_shown_is_the_mean_of_the_epoch_so_far():
    means = progress.Means()
    means.add(3, {"loss": 1.0})
    means.add(1, {"loss": 5.0, "kl": 7.0})
    assert means.now() == {"loss": 2.0, "kl": 7.0}


def test_steps_done_before_do_not_count_as_speed(monkeypatch):
    """1000 steps were done before; then 10 in 10 seconds: 90 more take 90 seconds."""
    tqdm = pytest.importorskip("tqdm.std")
    clock = [100.0]
    monkeypatch.setattr(tqdm, "time", lambda: clock[0])
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = progress.Bar(1100)
    bar.skip(1000)
    for _ in range(10):
        clock[0] += 1
        bar.step(5, {"loss": 1.0})
    shown = sys.stderr.getvalue()
    bar.close()
    assert shown.startswith("resuming at step 1000 of 1100\n")
    assert "1010/1100 steps, 01:30 left" in bars(shown)[-1]


def test_speed_is_counted_from_the_first_step_on(monkeypatch, capsys):
    lines = progress.Lines(2)
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    clock[0] = 50.0  # the library is compiled meanwhile
    lines.skip(0)
    clock[0] = 51.0
    lines.step(100, {"loss": 1.0})
    lines.epoch({"epoch": 1, "train": {"loss": 1.0}})
    assert capsys.readouterr().err == "epoch 1  train: loss 1.00  100 examples/s  0:01 left\n"


def test_ctrl_c_says_one_thing_once_and_the_way_on_at_once(tmp_path):
    pytest.importorskip("tqdm")
    train = [word for word in TRAIN if word != "--no-pictures"]
    stop = {"until": b"epoch 2 ", "then": lambda process: process.send_signal(signal.SIGINT)}
    code, text = received(*train, "--epochs", 100_000, cwd=tmp_path, **stop)
    lines = [line for line in seen(text) if line]
    assert code == 130 and not any(BAR.match(line) for line in lines), text
    saved, stopped = lines[-2:]
    assert saved == "saved in r"
    assert re.fullmatch(r"stopped after \d+ steps; go on with: python -m tinyae train vae --out r --resume", stopped)


@pytest.mark.parametrize("words, exit_code", [(("--lr", "1e30"), 3), (("--resume",), 2)])
def test_a_run_that_fails_leaves_no_bar(words, exit_code, tmp_path):
    pytest.importorskip("tqdm")
    if words == ("--resume",):
        (tmp_path / "r").mkdir()
        for name in ("last.npz", "previous.npz"):
            (tmp_path / "r" / name).write_bytes(b"x")
    code, text = received(*TRAIN, "--epochs", 3, *words, cwd=tmp_path)
    assert code == exit_code and not any("steps, " in line for line in seen(text, 1000)), text


# Where nothing can be shown

class Broken:
    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


class Log:
    """What a host program may put there: no flush, no isatty."""

    def write(self, text):
        pass


class Window:
    """A host's window of messages that was closed: each of its methods raises."""

    def write(self, text):
        raise RuntimeError("wrapped C/C++ object has been deleted")

    isatty = flush = fileno = lambda self: self.write("")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream, error", [
    (None, None), (Log(), None), (Broken(), "BrokenPipeError(32, 'Broken pipe')"),
    (closed(), "ValueError('I/O operation on closed file')"),
    (Window(), "RuntimeError('wrapped C/C++ object has been deleted')"),
])  # fmt: skip
def test_training_goes_on_where_its_progress_cannot_be_shown(stream, error, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)  # None as in pythonw
    model = tinyae.models.VAE(input_shape=(4, 4, 1), hidden=(4,))
    history = tinyae.fit(model, np.zeros((20, 4, 4, 1), "f4"), epochs=3, batch_size=10)
    assert history.steps == 6 and (history.unshown and repr(history.unshown)) == error


def shell(script, cwd, code=0):
    words = " ".join(map(str, (*COMMAND, *TRAIN, "--epochs", 2)))
    return run(cwd=cwd, command=["bash", "-c", script.format(words)], code=code)


def test_training_goes_on_when_the_reader_leaves(tmp_path):
    done = shell("{} 2>&1 | head -1; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert done.stdout == "vae: 2,244 parameters; digits: 1,437 images\n"
    assert len((tmp_path / "r" / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_training_goes_on_when_the_log_is_full(tmp_path):
    said, done, _ = shell("{} 2>/dev/full", tmp_path).stdout.splitlines()
    assert said == "the progress display stopped early: [Errno 28] No space left on device"
    assert done == "done: 24 steps; checkpoints and 0 pictures in r"


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_training_goes_on_without_streams(closed, tmp_path):
    shell(f"{{}} {closed}", tmp_path)
    assert len((tmp_path / "r" / "metrics.jsonl").read_text().splitlines()) == 2


def test_an_error_does_not_go_to_stdout_where_stderr_is_closed(tmp_path):
    done = run(cwd=tmp_path, command=["bash", "-c", f"{' '.join(COMMAND)} train none 2>&-"], code=2)
    assert done.stdout == ""
