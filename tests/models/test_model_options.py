"""What `tinyae models` says of a model's options, for --set."""

import json
import re

import pytest

from tinyae import cli
from tinyae.commands.model_options import as_text, default_options, meanings, parameters_section, read_value
from tinyae.errors import ConfigError
from tinyae.models import NAMES


def test_a_docstring_s_section_of_parameters():
    text = "One line.\n\nParameters\n----------\na: first,\n    and more: of it.\nb_c: second.\n\nNotes\nd: none.\n"
    assert parameters_section(text) == {"a": "first, and more: of it.", "b_c": "second."}
    assert parameters_section("a: no section.") == {}


@pytest.mark.parametrize("name", NAMES)
def test_every_option_of_every_model_is_explained(name):
    """What it means, which names it takes, and what 0, "auto" and nothing stand for, where they are the default."""
    model_class = NAMES[name]
    texts = meanings(model_class)
    assert texts.keys() == default_options(model_class).keys()
    for option, default in default_options(model_class).items():
        text = texts[option]
        assert len(text) > 20 and text.endswith("."), option
        if default in (0, "auto", ()) and not isinstance(default, bool):
            assert {0: "0", "auto": '"auto"', (): "None of them"}[default] in text, option
        if isinstance(default, str) and default:
            with pytest.raises(ConfigError, match=f"known: .*{default}") as refused:
                model_class(**{option: "nonsense"})
            known = str(refused.value).partition("known: ")[2].split(", ")
            assert set(re.findall(r'"([^"]+)"', text)) == set(known), option


def test_inherited_options_are_explained_where_they_are_declared():
    assert meanings(NAMES["cvae"])["likelihood"] == meanings(NAMES["vae"])["likelihood"]
    assert "the hidden pixels" in meanings(NAMES["masked-ae"])["loss"]


def test_the_command_explains_a_model(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["models", "vq-vae"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1] == "49,937 parameters at 28x28 with these defaults."
    i = lines.index("  codes=0    (an integer)")
    assert lines[i + 1 : i + 3] == [
        "      how many codes a codebook has, K; 0 takes the network's own number (small",
        "      128, paper 512, residual 64).",
    ]
    assert cli.main(["models", "vq-vae", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["options"]["codes"] == 0 and row["kinds"]["ema"] == "true or false"
    assert row["meanings"] == meanings(NAMES["vq-vae"])
    assert cli.main(["models", "vqvae"]) == 2
    assert "unknown model 'vqvae': did you mean 'vq-vae'?" in capsys.readouterr().err


def test_options_are_written_as_they_are_read():
    for model_class in NAMES.values():
        for option, default in default_options(model_class).items():
            assert read_value(option, as_text(default), default) == default
    assert read_value("ema", "True", False) is True
