"""The guide "write your own": its files and commands, run in order as they stand, print what it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ROOT

from tinyae import lessons

GUIDE = (Path(lessons.__file__).parent / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(python|console)\n(.*?)```", GUIDE, re.DOTALL)
SMALL = re.compile(r"\d\.\d\de-(0[6-9]|1\d)")  # an error of rounding, which depends on the processor


def commands(block):
    """[(command, what it prints)] of a block of "$ command" lines, each with its output below."""
    return [(text.partition("\n")[0], text.partition("\n")[2]) for text in block.split("$ ")[1:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder after all blocks, and [(command, shown, printed)]."""
    place, seen = tmp_path_factory.mktemp("guide"), []
    shims = place / "bin"
    shims.mkdir()
    for name, what in (("python", '"$@"'), ("tinyae", '-m tinyae "$@"')):
        (shims / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {what}\n')
        (shims / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{shims}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(place)))
    for kind, block in BLOCKS:
        if kind == "python":
            name = re.match(r"# (\w+\.py)\n", block).group(1)
            (place / name).write_text(block, encoding="utf-8")
        for command, shown in commands(block) if kind == "console" else ():
            done = subprocess.run(command, shell=True, cwd=place, env=environment, capture_output=True, text=True)
            seen.append((command, shown, done))
    return seen


def test_every_command_does_what_the_guide_shows(folder):
    assert len(folder) == 9
    for command, shown, done in folder:
        wanted_code = 1 if "FAILED" in shown else 0
        assert done.returncode == wanted_code, (command, done.stderr)
        if shown.strip():
            assert SMALL.sub("#", done.stdout) == SMALL.sub("#", shown), command


def test_the_guide_lists_the_lessons_in_reading_order():
    assert tuple(re.findall(r"^\| \[(\w+)\]\(\1\.py\)", GUIDE, re.MULTILINE)) == lessons.NAMES


def test_code_of_the_guide_keeps_the_style(tmp_path):
    for kind, block in BLOCKS:
        assert kind == "console" or max(map(len, block.splitlines())) <= 125
