"""Messages are one printable line each, whatever a path, a server or an option puts into them."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from command_line import COMMAND, ENVIRONMENT, refused, run

import tinyae
from tinyae import terminal
from tinyae.commands.train import _quoted
from tinyae.errors import ConfigError, DataError, MissingExtraError
from tinyae.terminal import Screen, printable, say

EVIL = "a\nb\r\x1b[31mred\x07\x9b2J\u2028\u202eevil"
SHOWN = "a\\nb\\r\\x1b[31mred\\x07\\x9b2J\\u2028\\u202eevil"


def test_printable():
    assert printable(EVIL) == SHOWN
    assert printable("Übung 東京\u3000é 10\u00a0%") == "Übung 東京\u3000é 10\u00a0%"
    assert printable("not UTF-8: \udcff") == "not UTF-8: \\udcff"


def test_an_error_is_one_printable_line():
    assert str(DataError(f"{EVIL}: damaged")) == f"{SHOWN}: damaged"
    assert str(MissingExtraError("a\nb", "viz")).startswith("a\\nb needs the extra 'viz': pip install ")
    assert str(ConfigError()) == ""
    with pytest.raises(DataError) as error:
        tinyae.data.load(EVIL)
    assert str(error.value).isprintable()


def test_say(capsys):
    assert say(EVIL) is None
    assert capsys.readouterr().err == f"{SHOWN}\n"


def test_say_where_nothing_can_be_said(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    assert repr(say("x")) == "OSError(28, 'No space left on device')"
    monkeypatch.setattr(sys, "stderr", None)
    assert say("x") is None and Screen().columns is None


def test_a_line_does_not_run_into_a_bar(monkeypatch):
    tqdm = pytest.importorskip("tqdm").tqdm
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    for file in (stream, Screen()):
        stream.truncate(0)
        with tqdm(total=3, file=file):
            say("a line")
        assert "\ra line\n\r" in stream.getvalue()


def test_the_width_of_a_terminal_that_does_not_tell_is_80(monkeypatch):
    monkeypatch.setattr(terminal.os, "get_terminal_size", lambda number: os.terminal_size((0, 0)))
    monkeypatch.setattr(sys, "stderr", type("Terminal", (), {"isatty": lambda s: True, "fileno": lambda s: 2})())
    assert Screen().columns == 80


@pytest.mark.parametrize("words", [
    ("train", EVIL), (EVIL,), ("train", "vae", "--data", EVIL), ("train", "vae", "--set", f"{EVIL}=1"),
    ("train", "vae", "--epochs", EVIL), ("train", "vae", f"--{EVIL}"), ("sample", EVIL), ("train", "vae", "--lr", EVIL),
    ("train", "vae", "--data", "digits", "--out", f"no/file\n{EVIL}/x"),
])  # fmt: skip
def test_refusals_are_one_printable_line(words, tmp_path):
    (tmp_path / "no").write_text("")
    assert refused(*words, cwd=tmp_path).isprintable()


def test_names_of_runs_and_data_on_the_screen(tmp_path):
    name = "e\nv\x1bil"
    (tmp_path / f"{name}").mkdir()
    np.savez(tmp_path / name / "x.npz", x=np.zeros((20, 8, 8, 1), "u1"))
    words = ("train", "ae", "--set", "hidden=4", "--no-pictures", "--epochs", 1)
    done = run(*words, "--data", f"{name}/x.npz", "--out", f"{name}/run", cwd=tmp_path)
    assert all(line.isprintable() for line in (done.stdout + done.stderr).split("\n"))
    first, last = done.stdout.splitlines()
    assert first == "done: 1 steps; checkpoints and 0 pictures in e\\nv\\x1bil/run"
    assert last.startswith("next: python -m tinyae evaluate $'e\\x0av\\x1bil/run'   or   ")
    assert len(done.stderr.splitlines()) == 2
    sampled = run("encode", f"{name}/run", "--out", f"{name}/codes.npz", cwd=tmp_path)
    assert sampled.stdout == "e\\nv\\x1bil/codes.npz\n"


@pytest.mark.parametrize("word", ["plain", "two words", "it's", "e\nv\x1b'\\il", "ü", "\udcff"])
def test_a_command_to_go_on_with_can_be_pasted(word):
    quoted = _quoted(word)
    assert quoted.isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True)
    assert done.stdout == os.fsencode(word)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_an_answer_onto_a_full_disk(tmp_path):
    done = run(cwd=tmp_path, command=["bash", "-c", f"{' '.join(COMMAND)} models >/dev/full"], code=2)
    assert done.stderr == "tinyae: cannot read or write the output: No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_an_error_in_json_on_a_full_disk_is_a_line_alone(tmp_path):
    command = ["bash", "-c", f"{' '.join(COMMAND)} sample nothing --json >/dev/full"]
    assert run(cwd=tmp_path, command=command, code=2).stderr.startswith("tinyae: no run nothing")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_refusal_that_nobody_can_read(tmp_path):
    run(cwd=tmp_path, command=["bash", "-c", f"{' '.join(COMMAND)} train none 2>/dev/full"], code=2)


def test_help_into_a_reader_that_leaves(tmp_path):
    script = f"{' '.join(COMMAND)} train --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
