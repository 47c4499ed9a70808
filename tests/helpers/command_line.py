"""`python -m tinyae` as a real process, and what is true of every refusal."""

import os
import pathlib
import subprocess
import sys

from tinyae import cli

ROOT = pathlib.Path(__file__).parent.parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"}
ENVIRONMENT.pop("TINYAE_DATA", None)
COMMAND = [sys.executable, "-W", "error", "-m", "tinyae"]


def run(*arguments, cwd, code=0, command=COMMAND, **options):
    """The finished process; it must end with the exit code `code` and without a traceback."""
    options = {"env": ENVIRONMENT, "stdin": subprocess.DEVNULL, "timeout": 120} | options
    done = subprocess.run([*command, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, **options)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def start(*arguments, cwd):
    """The running process, its stdout and stderr in pipes."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "bufsize": 1}
    return subprocess.Popen([*COMMAND, *map(str, arguments)], cwd=cwd, env=ENVIRONMENT, **pipes)


def refused(*arguments, cwd, **options):
    """The one line on stderr, without its prefix, that bad input gets; nothing on stdout, and no file touched."""
    before = contents(cwd)
    done = run(*arguments, cwd=cwd, code=2, **options)
    assert done.stdout == ""
    assert done.stderr.startswith("tinyae: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert contents(cwd) == before
    return done.stderr.removeprefix("tinyae: ").rstrip("\n")


def refuses(words, message, folder, capsys):
    """Calls `cli.main` in this process: exit code 2, one line on stderr with the message in it, no file touched."""
    before = contents(folder)
    capsys.readouterr()
    assert cli.main(list(map(str, words))) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and message in said.err, said.err
    assert contents(folder) == before


def contents(folder):
    """{path: what would show a change} of all that lies below a folder."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in pathlib.Path(folder).rglob("*")}
