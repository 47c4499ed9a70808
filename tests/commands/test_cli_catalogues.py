"""What the command line says of itself: help, models, data sets, the installation, benchmarks."""

import argparse
import json

import numpy as np
import pytest
from command_line import run

import tinyae
from tinyae import cli
from tinyae.commands import bench

COMMANDS = list(cli.COMMANDS)


def test_alone_it_shows_its_help(tmp_path):
    done = run(cwd=tmp_path)
    assert done.stderr == ""
    assert all(f"\n    {name}" in done.stdout for name in COMMANDS)


def test_version(tmp_path):
    assert run("--version", cwd=tmp_path).stdout == f"tinyae {tinyae.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_narrow_terminal(name, tmp_path):
    lines = run(name, "--help", cwd=tmp_path).stdout.splitlines()
    assert lines[0].startswith(f"usage: tinyae {name} ")
    assert max(map(len, lines)) <= 80


def test_every_option_is_explained():
    subparsers = next(a for a in cli.build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name, parser in subparsers.choices.items():
        for action in parser._actions:
            assert action.help, (name, action.dest)


def test_models_lists_counts_and_options(tmp_path):
    rows = json.loads(run("models", "--json", cwd=tmp_path).stdout)
    assert {row["name"]: row["params"] for row in rows} == {
        name: model().param_count for name, model in tinyae.models.NAMES.items()
    }
    text = run("models", cwd=tmp_path).stdout
    for row in rows:
        assert row["summary"] in text
        assert all(f"{option}=" in text for option in row["options"])


def test_data_lists_the_catalogue(tmp_path):
    assert json.loads(run("data", "--json", cwd=tmp_path).stdout) == tinyae.data.catalogue()
    text = run("data", cwd=tmp_path).stdout
    assert "1,437 + 360 images of 8x8x1" in text


def test_info(tmp_path):
    facts = json.loads(run("info", "--json", cwd=tmp_path).stdout)
    assert facts["tinyae"] == tinyae.__version__ and facts["numpy"] == np.__version__
    for name, line in zip(facts, run("info", cwd=tmp_path).stdout.splitlines(), strict=True):
        assert line.split(name, 1)[1].startswith(" "), "the name and its value touch"


def test_bench_is_the_benchmarks_of_a_checkout(tmp_path):
    listed = run("bench", cwd=tmp_path).stdout
    assert "usage: python -m benchmarks" in listed and "one training step of a dense VAE" in listed
    assert "tinyae bench step --rounds 5" in listed and max(map(len, listed.splitlines())) <= 80
    assert run("bench", "--", "--help", cwd=tmp_path).stdout == listed
    assert "--rounds" in run("bench", "step", "--help", cwd=tmp_path).stdout


def test_an_installation_holds_no_benchmarks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "PACKAGE", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bench", "step"]) == 2
    assert "does not contain the benchmarks: run 'tinyae bench' in a checkout" in capsys.readouterr().err
