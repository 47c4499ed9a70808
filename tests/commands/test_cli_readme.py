"""The README, the map of equations and the pages of results say what is so, and a wheel holds what it needs."""

import importlib
import pathlib
import re
import shlex
import tomllib
import types

import numpy as np
import pytest
from command_line import ROOT

import tinyae
from tinyae import cli
from tinyae.models import NAMES

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAP = (ROOT / "tinyae" / "README.md").read_text(encoding="utf-8")
RESULTS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks" / "results").glob("*.md")}
PAGES = {"README.md": README, "tinyae/README.md": MAP} | {f"benchmarks/results/{n}": t for n, t in RESULTS.items()}
TEXT = "\n".join(PAGES.values())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGE = ROOT / "tinyae"
LINES = re.findall(rf"[\s`/]tinyae ((?:{'|'.join(cli.COMMANDS)})\b[^`#\n]*)", TEXT)


def table(title, page=README):
    """The rows, as lists of cells, of the table below a heading."""
    lines = page.partition(f"## {title}\n")[2].partition("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    assert len(rows) > 2
    return rows[2:]


def block(page, words):
    """The one block of Python on a page that has these words in it."""
    found = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if words in code]
    assert len(found) == 1
    return found[0]


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("name, page", PAGES.items(), ids=PAGES)
def test_every_link_and_picture_exists(name, page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page) + re.findall(r'src="([^"]+)"', page)
    missing = [link for link in links if "://" not in link and not (ROOT / name).parent.joinpath(link).exists()]
    assert not missing


def test_every_page_of_results_is_linked():
    assert set(re.findall(r"\(benchmarks/results/([\w-]+\.md)\)", README)) == RESULTS.keys()


@pytest.mark.parametrize("name, page", RESULTS.items(), ids=RESULTS)
def test_a_page_of_results_says_how_it_was_measured(name, page):
    """Its command, the machine and the date, and what came of it in a table or a picture."""
    assert page.startswith("# ") and re.search(r"^    (tinyae|python)", page, re.MULTILINE)
    assert re.search(r"Measured on \d{4}-\d\d-\d\d on an? .+ \(\d+ cores\), Python", page)
    assert re.search(r"^\|---", page, re.MULTILINE) or "](" in page


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_parses(line):
    assert cli.build_parser().parse_args(shlex.split(line)).run


def test_there_are_command_lines():
    assert {line.split()[0] for line in LINES} >= {"train", "gradcheck", "data"}


def test_every_option_exists():
    parsers = cli.build_parser()._subparsers._group_actions[0].choices.values()
    known = {option for parser in parsers for option in parser._option_string_actions}
    ours = re.sub(r"^ *python -m benchmarks.*", "", TEXT, flags=re.MULTILINE)  # these have options of their own
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", ours)) <= known


def test_every_command_is_named():
    listed = README.partition("explains every command: ")[2].partition(".")[0]
    assert re.findall(r"`(\S+)`", listed) == list(cli.COMMANDS)


@pytest.mark.parametrize("equation, where", table("The map", MAP))
def test_every_file_and_symbol_exists(equation, where):
    module = None
    for name in re.findall(r"`([^`]+)`", where):
        if name.endswith((".py", ".cu")):
            assert (PACKAGE / name).is_file()
            dotted = "tinyae." + name.removesuffix(".py").replace("/", ".")
            module = importlib.import_module(dotted) if name.endswith(".py") else None
        else:
            thing = module
            for part in name.split("."):
                thing = getattr(thing, part)
    assert equation


def test_the_systems_and_their_parameter_counts():
    rows = {
        name.strip("`"): (file.strip("`"), int(count.replace(",", ""))) for name, _, file, count in table("The systems")
    }
    files = {name: model.__module__.removeprefix("tinyae.").replace(".", "/") + ".py" for name, model in NAMES.items()}
    assert rows == {name: (files[name], model().param_count) for name, model in NAMES.items()}


def test_every_path_exists():
    paths = set(re.findall(r"`((?:tinyae|tests)/[\w./-]+)", TEXT))
    assert paths and all((ROOT / path).exists() for path in paths)


def test_the_layers_example():
    x, dy, grads = (np.ones(shape, "float32") for shape in ((3, 784), (3, 10), (1,)))
    code = block(README, "y, cache =")
    scope = {"x": x, "dy": dy, "grads": grads}
    setup, _, rest = code.partition("\ny, cache")
    exec(setup, scope)
    shapes = {key: {name: np.zeros_like(a) for name, a in group.items()} for key, group in scope["params"].items()}
    scope["grads"] = shapes
    exec("y, cache" + rest, scope)
    assert scope["y"].shape == (3, 10) and scope["dx"].shape == (3, 784)
    assert np.any(scope["grads"]["0"]["weight"])


def test_the_program_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = block(README, "tinyae.fit(")
    assert "epochs=20," in code
    scope = {}
    exec(code.replace("epochs=20,", "epochs=1, progress=False,"), scope)
    shapes = {name: f"{scope[name].shape}" for name in ("codes", "images")}
    assert all(re.search(rf"^{name} = .*# {re.escape(shape)}$", code, re.MULTILINE) for name, shape in shapes.items())
    assert "passed" in capsys.readouterr().out


def test_the_embedding_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tinyae.models.VAE(hidden=16).save(tmp_path / "model.npz")
    scope, code = {}, block(README, "model.decode(codes)")
    exec(code.replace("runs/vae", "model.npz"), scope)
    shapes = {name: f"{scope[name].shape}" for name in ("codes", "images")}
    assert all(re.search(rf"^{name} = .*# {re.escape(shape)}$", code, re.MULTILINE) for name, shape in shapes.items())


def test_the_disentanglement_example(monkeypatch):
    """On codes that are the factors themselves."""
    factors = np.random.default_rng(0).integers(0, 4, (500, 2))
    split = types.SimpleNamespace(x=factors.astype("float32"), factors=factors)
    monkeypatch.setattr(tinyae.data, "load", lambda name: types.SimpleNamespace(test=split))
    code = block(RESULTS["disentanglement.md"], "disentanglement(model.encode")
    setup, _, call = code.rpartition("\ndisentanglement(")
    scope = {"tinyae": tinyae, "model": types.SimpleNamespace(encode=lambda x: x)}
    exec(setup, scope)
    report = eval("disentanglement(" + call.partition("#")[0], scope)
    assert report["higgins"] == 1 and report.keys() == {"higgins", "mig", "gaps"}


def test_the_codes_example(tmp_path, monkeypatch):
    """On a small data set and an untrained model, which have the same shapes."""
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    data = tinyae.data.load("fashion-mini")
    monkeypatch.setattr(tinyae.data, "load", lambda name: data)
    monkeypatch.setattr(tinyae, "load", lambda path: tinyae.models.VAE(latent_dim=20, hidden=16))
    scope = {}
    exec(block(RESULTS["latent-operations.md"], "explore"), scope)
    assert all(codes.shape == (10, 20) for codes in scope["rows"].values())
    assert (tmp_path / "codes.png").read_bytes().startswith(b"\x89PNG")


def test_the_gradient_shown_is_the_gradient_run():
    """The README's VAE is the text of its file, line by line."""
    shown = block(README, "kl_standard").replace("#", "\n#").splitlines()
    source = (PACKAGE / "models" / "vae.py").read_text()
    for line in filter(None, (line.strip() for line in shown)):
        if not line.startswith("#"):
            assert line in source


# packing


def packed():
    globs = PROJECT["tool"]["setuptools"]["package-data"]["tinyae"]
    return {glob: set(PACKAGE.glob(glob)) for glob in globs}


def test_all_that_is_no_code_is_packed():
    """A wheel holds what the globs name: the embedded data, their licences and the CUDA source."""
    wanted = {
        path for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }  # fmt: skip
    assert wanted == set().union(*packed().values())
    assert PACKAGE / "backend" / "kernels.cu" in wanted
    assert len([path for path in wanted if path.name.endswith("-ubyte.gz")]) == 8


def test_every_glob_finds_something():
    assert all(packed().values())
    for glob in PROJECT["project"]["license-files"]:
        assert list(ROOT.glob(glob)), glob


def test_every_folder_of_code_is_a_package():
    assert PROJECT["tool"]["setuptools"]["packages"]["find"]["include"] == ["tinyae*"]
    assert all((folder / "__init__.py").exists() for folder in {path.parent for path in PACKAGE.rglob("*.py")})


def test_the_program_is_installed_under_its_name():
    module, function = PROJECT["project"]["scripts"]["tinyae"].split(":")
    assert getattr(importlib.import_module(module), function) is cli.main
    assert PROJECT["project"]["version"] == tinyae.__version__


def test_the_extras_that_are_advertised_exist():
    extras = PROJECT["project"]["optional-dependencies"]
    sources = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")) + README
    named = set(re.findall(r"(?:tinyae|\.)\[([a-z0-9,]+)\]'", sources))
    assert named and {name for group in named for name in group.split(",")} <= extras.keys()


def test_numpy_is_all_it_needs():
    assert [re.split(r"\W", line)[0] for line in PROJECT["project"]["dependencies"]] == ["numpy"]
    assert pathlib.Path(tinyae.__file__).parent == PACKAGE
