"""The command line: what every command answers, and one line for whatever is wrong, in real processes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from command_line import COMMAND, ENVIRONMENT, contents, refused, run

import tinyae
from tinyae import cli
from tinyae.commands.model_options import read_value

TINY = ("--data", "digits", "--epochs", "1", "--set", "hidden=16")
COMMANDS = list(cli.COMMANDS)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with data and three runs: `vae`, `ae` (three latent dimensions) and `table` (rows, Gaussian)."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 7)).astype("float32")
    np.save(folder / "rows.npy", rows)
    np.save(folder / "unit.npy", rng.random((50, 7), dtype="float32"))
    np.save(folder / "bright.npy", 255 * rng.random((50, 6, 5), dtype="float32"))
    np.save(folder / "flat.npy", rng.random(9))
    np.save(folder / "one.npy", rng.random((1, 7)))
    rows[3, 2] = np.nan
    np.save(folder / "nan.npy", rows)
    np.savez(folder / "no_x.npz", codes=rows)
    (folder / "words.txt").write_text("no data\n")
    (folder / "words.npy").write_text("no data\n")
    (folder / "empty").mkdir()
    (folder / "folder.npy").mkdir()
    run("train", "vae", *TINY, "--out", "vae", "--no-pictures", cwd=folder)
    run("train", "ae", *TINY, "--out", "ae", "--no-pictures", "--latent-dim", 3, cwd=folder)
    gaussian = ("--set", "likelihood=gaussian", "--epochs", 1, "--no-pictures")
    run("train", "vae", "--data", "rows.npy", *gaussian, "--out", "table", cwd=folder)
    return folder


# results and messages of commands


def test_train_says_what_it_did_and_what_comes_next(tmp_path):
    done = run("train", "vae", *TINY, "--no-pictures", cwd=tmp_path)
    assert done.stdout.startswith("done: 12 steps; ")
    assert "tinyae evaluate runs/vae " in done.stdout
    assert done.stderr.startswith("vae: 2,244 parameters; digits: 1,437 images\nepoch 1  train: loss ")
    assert sorted(os.listdir(tmp_path / "runs" / "vae")) == ["best.npz", "last.npz", "metrics.jsonl"]


def test_train_leaves_pictures(tmp_path):
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    answer = json.loads(run("train", "vae", *TINY, "--out", "o", "--json", cwd=tmp_path).stdout)
    names = ("reconstructions", "samples", "manifold", "codes", "curves")
    assert answer["pictures"] == [os.path.join("o", f"{name}.png") for name in names]
    assert all((tmp_path / path).read_bytes().startswith(b"\x89PNG") for path in answer["pictures"])


def test_train_json_is_all_that_stdout_gets(tmp_path):
    answer = json.loads(run("train", "ae", *TINY, "--out", "o", "--no-pictures", "--json", cwd=tmp_path).stdout)
    assert (answer["out"], answer["steps"], answer["interrupted"], answer["pictures"]) == ("o", 12, False, [])
    metrics = (tmp_path / "o" / "metrics.jsonl").read_text().splitlines()
    assert answer["last"] == json.loads(metrics[-1])


def test_the_suggested_command_can_be_pasted(tmp_path):
    """A path with spaces is quoted, and the program is called as this user called it."""
    out = "my run ü"
    done = run("train", "vae", *TINY, "--no-pictures", "--out", out, cwd=tmp_path)
    suggestion = done.stdout.partition("next: ")[2].partition("   or   ")[0]
    assert suggestion == f"python -m tinyae evaluate '{out}'"
    called = [sys.executable, "-c", "import sys; from tinyae.commands.train import _command_line;"
              "sys.argv[0] = '.venv/bin/tinyae'; print(_command_line('evaluate', 'a b'))"]  # fmt: skip
    assert run(cwd=tmp_path, command=called).stdout == ".venv/bin/tinyae evaluate 'a b'\n"


def test_options_of_models_are_typed(tmp_path):
    sets = ("hidden=8,4", "sigma=.5", "latent_dim=3", "activation=gelu", "likelihood=laplace")
    options = [word for text in sets for word in ("--set", text)]
    run("train", "vae", "--data", "digits", "--epochs", 1, *options, "--out", "o", "--no-pictures", cwd=tmp_path)
    config = tinyae.load(tmp_path / "o").config
    assert {name: config[name] for name in ("hidden", "sigma", "latent_dim", "activation", "likelihood")} == {
        "hidden": (8, 4), "sigma": 0.5, "latent_dim": 3, "activation": "gelu", "likelihood": "laplace",
    }  # fmt: skip


@pytest.mark.parametrize("text, hidden", [("", ()), ("16", (16,)), ("16,", (16,)), ("16,8", (16, 8))])
def test_tuples_by_commas(text, hidden):
    assert read_value("hidden", text, (256,)) == hidden


def test_evaluate_is_the_loss_on_the_test_part(place):
    answer = json.loads(run("evaluate", "vae", "--json", cwd=place).stdout)
    expected = tinyae.load(place / "vae").loss({"x": tinyae.data.load("digits").test.x})
    assert answer["loss"] == pytest.approx(answer["reconstruction"] + answer["kl"], rel=1e-5) == -answer["elbo"]
    assert answer["loss"] == pytest.approx(float(expected["loss"]), rel=0.05)  # other noise, and 360 images
    assert (answer["data"], answer["split"], answer["images"], answer["unit"]) == ("digits", "test", 360, "nats")


def test_evaluate_in_words(place):
    done = run("evaluate", "ae", "--split", "train", cwd=place)
    assert done.stdout.startswith("ae on digits, train split, 1,437 images; nats")
    assert "elbo" not in done.stdout


def test_squared_errors_are_not_called_nats(tmp_path, place):
    options = ("--data", place / "rows.npy", "--epochs", 1, "--no-pictures", "--out", "o")
    run("train", "ae", *options, "--set", "loss=mse", cwd=tmp_path)
    assert json.loads(run("evaluate", "o", "--json", cwd=tmp_path).stdout)["unit"] == "squared error"


def test_evaluate_from_another_folder_finds_relative_data(place, tmp_path):
    done = run("evaluate", place / "table", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["images"] == 5


def test_sample_repeats_by_seed(place, tmp_path):
    for name, seed in (("a.npy", 1), ("b.npy", 1), ("c.npy", 2)):
        assert run("sample", place / "vae", "-n", 3, "--seed", seed, "--out", name, cwd=tmp_path).stdout == f"{name}\n"
    a, b, c = (np.load(tmp_path / name) for name in ("a.npy", "b.npy", "c.npy"))
    assert a.shape == (3, 8, 8, 1)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_arrays_by_the_ending(place, tmp_path):
    run("sample", place / "vae", "--out", "new/s.npz", cwd=tmp_path)
    assert np.load(tmp_path / "new" / "s.npz")["x"].shape == (64, 8, 8, 1)
    run("reconstruct", place / "table", "--out", "r.NPY", cwd=tmp_path)
    assert np.load(tmp_path / "r.NPY").shape == (5, 7)


@pytest.mark.parametrize("words", [("sample", "-n", 2), ("reconstruct", "-n", 100_000), ("manifold", "--side", 2)])
def test_pictures(words, place, tmp_path):
    pytest.importorskip("PIL")
    name, *options = words
    run(name, place / "vae" / "best.npz", *options, "--out", "p.png", cwd=tmp_path)
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_encode_to_npz_and_csv(place, tmp_path):
    test = tinyae.data.load("digits").test
    codes = tinyae.load(place / "vae").encode(test.x)
    for name in ("c.npz", "c.csv"):
        run("encode", place / "vae", "--split", "test", "--out", name, cwd=tmp_path)
    saved = np.load(tmp_path / "c.npz")
    np.testing.assert_array_equal(saved["codes"], codes)
    np.testing.assert_array_equal(saved["labels"], test.labels)
    lines = (tmp_path / "c.csv").read_text().splitlines()
    assert lines[0] == "z1,z2,labels,parts,rows,classes"
    table = np.loadtxt(lines[1:], delimiter=",", usecols=(0, 1, 2))
    np.testing.assert_array_equal(table[:, :2].astype("float32"), codes)
    np.testing.assert_array_equal(table[:, 2], test.labels)


def test_codes_stand_beside_the_run_by_default(place, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "last.npz").write_bytes((place / "table" / "last.npz").read_bytes())
    assert run("encode", "r", cwd=tmp_path).stdout == f"{os.path.join('r', 'codes.npz')}\n"
    assert list(np.load(tmp_path / "r" / "codes.npz")) == ["codes", "parts", "rows"]


def test_gradcheck(tmp_path):
    (row,) = json.loads(run("gradcheck", "Dense", "--json", cwd=tmp_path).stdout)
    assert row["name"] == "Dense" and row["passed"] and row["max_relative_error"] < 1e-6
    assert "passed" in run("gradcheck", "mse", cwd=tmp_path).stdout.splitlines()[1]


def test_a_failed_gradcheck_exits_with_one_and_valid_json(tmp_path):
    code = (
        "import sys, tinyae.losses as losses, math; right = losses.mse;"
        "losses.mse = lambda *a: (right(*a)[0], right(*a)[1] * math.nan);"
        "from tinyae.cli import main; sys.exit(main())"
    )
    done = run("gradcheck", "mse", "--json", cwd=tmp_path, code=1, command=[sys.executable, "-c", code])
    (row,) = json.loads(done.stdout, parse_constant=pytest.fail)
    assert row["passed"] is False and row["max_relative_error"] is None


# bad input

TRAIN = ("train", "vae", "--data", "digits", "--epochs", "1", "--out", "new")
REFUSED = [
    (("trian",), "unknown command 'trian': did you mean 'train'?"),
    (("train",), "the following arguments are required: MODEL (see tinyae train --help)"),
    (("--nonsense",), "(see tinyae --help)"),
    (("models", "extra"), "unknown model 'extra'"),
    (("info", "extra"), "unrecognized arguments: extra"),
    (("train", "va", "--out", "new"), "unknown model 'va': did you mean 'vae'?"),
    ((*TRAIN, "--seed", "-1"), "--seed: expected an integer of at least 0, got '-1'"),
    ((*TRAIN, "--epochs", "0"), "--epochs: expected an integer of at least 1, got '0'"),
    ((*TRAIN, "--epochs", "1.5"), "--epochs: expected an integer of at least 1, got '1.5'"),
    ((*TRAIN, "--batch-size", "0"), "--batch-size: expected an integer of at least 1, got '0'"),
    ((*TRAIN, "--threads", "0"), "--threads: expected an integer of at least 1, got '0'"),
    ((*TRAIN, "--latent-dim", "-3"), "--latent-dim: expected an integer of at least 1, got '-3'"),
    ((*TRAIN, "--lr", "nan"), "--lr: expected a number above 0, got nan"),
    ((*TRAIN, "--lr", "fast"), "--lr: invalid float value: 'fast'"),
    ((*TRAIN, "--clip-norm", "-1"), "--clip-norm: expected a number above 0, got -1.0"),
    ((*TRAIN, "--optimizer", "sgd", "--epsilon", "1e-7"), "--epsilon: sgd has no epsilon, leave it out"),
    ((*TRAIN, "--validation", "1.5"), "--validation: expected a number of at least 0 and below 1, got 1.5"),
    ((*TRAIN, "--validation", "0.00001"), "leaves a split empty"),
    ((*TRAIN, "--optimizer", "adan"), "unknown optimizer 'adan': did you mean 'adam'?"),
    ((*TRAIN, "--schedule", "cosin"), "unknown schedule 'cosin': did you mean 'cosine'?"),
    ((*TRAIN, "--backend", "foo"), "unknown backend 'foo': known: numpy, cupy"),
    ((*TRAIN, "--size", "8"), "takes no size"),
    ((*TRAIN, "--size", "²"), "--size: expected a size in pixels, 28 or 28x32"),
    ((*TRAIN, "--resume", "--overwrite"), "exclude each other"),
    ((*TRAIN, "--set", "hidden"), "--set hidden: expected KEY=VALUE"),
    ((*TRAIN, "--set", "hiden=3"), "unknown option of vae 'hiden': did you mean 'hidden'?"),
    ((*TRAIN, "--set", "hidden=abc"), "hidden: expected an integer, got 'abc'"),
    ((*TRAIN, "--set", "hidden=2.5"), "hidden: expected an integer, got '2.5'"),
    ((*TRAIN, "--set", "hidden=0"), "hidden: expected up to 64 integers from 1 to 16777216, got (0,)"),
    ((*TRAIN, "--set", "latent_dim=2.5"), "latent_dim: expected an integer, got '2.5'"),
    ((*TRAIN, "--set", "latent_dim=2,3"), "latent_dim: expected an integer, got '2,3'"),
    ((*TRAIN, "--set", "latent_dim=0"), "latent_dim: expected"),
    ((*TRAIN, "--set", "latent_dim=100000000000"), "latent_dim: expected an integer from 1 to 16777216, got"),
    ((*TRAIN, "--set", "activation=1"), "unknown activation '1'"),
    ((*TRAIN, "--set", "likelihood=bernouli"), "unknown likelihood 'bernouli': did you mean 'bernoulli'?"),
    ((*TRAIN, "--set", "sigma=-1"), "sigma: expected a number of at least 1e-06 and at most 1e+06, got -1.0"),
    ((*TRAIN, "--set", "sigma=wide"), "sigma: expected a number, got 'wide'"),
    ((*TRAIN, "--set", "sigma=nan"), "sigma: expected a number, got 'nan'"),
    ((*TRAIN, "--set", "input_shape=3"), "unknown option of vae 'input_shape'"),
    ((*TRAIN, "--data", ""), "unknown data set ''"),
    ((*TRAIN, "--data", "digit"), "unknown data set 'digit': did you mean 'digits'?"),
    ((*TRAIN, "--data", "no/such.npy"), "no/such.npy: no such file"),
    ((*TRAIN, "--data", "words.txt"), "words.txt: is not a file that tinyae can read"),
    ((*TRAIN, "--data", "words.npy"), "words.npy: is not a .npy array"),
    ((*TRAIN, "--data", "no_x.npz"), "holds no array named x or x_train but codes"),
    ((*TRAIN, "--data", "nan.npy"), "has 1 NaN or infinite values, the first at index (3, 2)"),
    ((*TRAIN, "--data", "flat.npy"), "has shape (9,)"),
    ((*TRAIN, "--data", "bright.npy"), "float images need [0, 1]: divide by 255"),
    ((*TRAIN, "--data", "empty"), "empty: holds no images"),
    ((*TRAIN, "--data", "rows.npy"), "needs [0, 1]: use likelihood=gaussian (--set likelihood=gaussian), best"),
    (("train", "ae", *TRAIN[2:], "--data", "rows.npy"), "loss=bce needs [0, 1]: use loss=mse (--set loss=mse)"),
    ((*TRAIN, "--data", "nothing", "--resume"), "unknown data set 'nothing'"),
    ((*TRAIN, "--out", "words.txt"), "cannot create the output folder words.txt"),
    ((*TRAIN, "--out", "words.txt/a"), "cannot create the output folder words.txt/a"),
    ((*TRAIN, "--out", ""), "cannot create the output folder"),
    *(((name, "nothing"), "no run nothing: give a folder that tinyae train wrote")
      for name in ("sample", "reconstruct", "encode", "manifold", "map", "traverse", "neighbours", "evaluate")),
    (("evaluate", "empty"), "empty holds no run: no best.npz or last.npz in it"),
    (("evaluate", "no_x.npz"), "no_x.npz is corrupted: it has no 'meta', so tinyae did not write it"),
    (("evaluate", "words.txt"), "words.txt is corrupted or not a tinyae checkpoint"),
    (("evaluate", "vae", "--data", "rows.npy"), "expected x of shape (N, 8, 8, 1), got (5, 7)"),
    (("reconstruct", "vae", "--data", "fashion-mini"), "expected x of shape (N, 8, 8, 1), got (10, 28, 28, 1)"),
    (("evaluate", "table", "--data", "one.npy"), "one has no test split: use --split train"),
    (("evaluate", "vae", "--split", "half"), "--split: invalid choice: 'half'"),
    (("evaluate", "vae", "--seed", "-1"), "--seed: expected an integer of at least 0"),
    (("sample", "ae"), "ae has no prior to sample from"),
    (("sample", "vae", "-n", "0"), "-n: expected an integer of at least 1, got '0'"),
    (("sample", "vae", "-n", "-1"), "-n: expected an integer of at least 1, got '-1'"),
    (("sample", "vae", "-n", "1000000000000"), "not enough memory"),
    (("sample", "vae", "--out", "s.jpg"), "--out s.jpg: expected a file name that ends in .png or .npy or .npz"),
    (("sample", "vae", "--out", "words.txt/s.npy"), "cannot read or write words.txt"),
    (("reconstruct", "vae", "-n", "0"), "-n: expected an integer of at least 1"),
    (("encode", "vae", "--out", "c.txt"), "--out c.txt: expected a file name that ends in .npz or .csv"),
    (("manifold", "vae", "--side", "-1"), "--side: expected an integer of at least 1, got '-1'"),
    (("manifold", "vae", "--out", "m.jpg"), "--out m.jpg: expected a file name that ends in .png"),
    (("gradcheck", "dense"), "unknown layer, function or model 'dense': did you mean 'Dense'?"),
    (("gradcheck", "Dense", "--seed", "-1"), "--seed: expected an integer of at least 0"),
    (("data", "fetch"), "tinyae data fetch needs a name"),
    (("data", "fetch", "digits"), "comes with tinyae"),
    (("data", "list", "digits"), "tinyae data list takes no name"),
]  # fmt: skip


@pytest.mark.parametrize("words, says", REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_refused(words, says, place, monkeypatch, capsys):
    """In this process, for speed: one line on stderr, nothing on stdout, and no file touched."""
    monkeypatch.chdir(place)
    before = contents(place)
    assert cli.main(list(words)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tinyae: ") and err.count("\n") == 1
    assert says in err
    assert contents(place) == before


@pytest.mark.parametrize("words, says", REFUSED[:: len(REFUSED) // 8])
def test_refused_by_the_process(words, says, place):
    assert says in refused(*words, cwd=place)


def test_pictures_refuse_what_is_no_image(place):
    pytest.importorskip("PIL")
    said = refused("sample", "table", "--out", "s.png", cwd=place)
    assert said == "--out s.png: this vae makes table rows, no images: give a .npy or .npz file"


def test_a_folder_is_no_output_file(place):
    said = refused("sample", "vae", "--out", "folder.npy", cwd=place)
    assert said == "--out folder.npy is a folder: give the name of a file"


def test_images_of_mixed_sizes(tmp_path):
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "my photos ü"
    folder.mkdir()
    for i in range(12):
        image.new("RGB", (8, 8 + i % 2), (20 * i, 0, 0)).save(folder / f"{i:02}.png")
    train = ("train", "vae", "--data", folder.name, "--epochs", 1, "--no-pictures", "--out", "new")
    assert "01.png: is 9x8 (height x width)" in refused(*train, cwd=tmp_path)
    run(*train, "--size", "6x7", cwd=tmp_path)
    assert tinyae.load(tmp_path / "new").input_shape == (6, 7, 3)
    assert json.loads(run("evaluate", "new", "--json", cwd=tmp_path).stdout)["images"] == 1  # --size is remembered


def test_data_that_are_gone(place, tmp_path):
    np.save(tmp_path / "rows.npy", np.load(place / "unit.npy"))
    run("train", "vae", "--data", "rows.npy", "--epochs", 1, "--out", "o", "--no-pictures", cwd=tmp_path)
    (tmp_path / "rows.npy").unlink()
    said = refused("evaluate", "o", cwd=tmp_path)
    assert str(tmp_path / "rows.npy") in said and "give other data with --data" in said
    run("evaluate", "o", "--data", place / "unit.npy", cwd=tmp_path)


# the world outside


def without(*packages):
    """The command in a Python that lacks these packages."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({packages!r}));"
    return [sys.executable, "-W", "error", "-c", f"{hide} from tinyae.cli import main; sys.exit(main())"]


def test_numpy_alone_is_enough_to_train(tmp_path):
    command = without("PIL", "matplotlib", "tqdm", "threadpoolctl")
    done = run("train", "vae", *TINY, "--out", "o", cwd=tmp_path, command=command)
    assert "needs the extra 'viz': pip install '.[viz]' in tinyae's checkout, or" in done.stderr
    run("sample", "o", "--out", "s.npy", cwd=tmp_path, command=command)
    assert "pip install 'tinyae[viz]'" in refused("sample", "o", cwd=tmp_path, command=command)


def test_cupy_that_is_missing(tmp_path):
    said = refused(*TRAIN, "--backend", "cupy", cwd=tmp_path, command=without("cupy"))
    assert "pip install 'tinyae[cuda13]'" in said and "--backend numpy" in said


def test_a_reader_that_leaves(tmp_path):
    """As with `tinyae gradcheck | head -1`: no complaint."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    words = [*COMMAND, "gradcheck"]
    with subprocess.Popen(words, cwd=tmp_path, env=ENVIRONMENT, **pipes) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().splitlines()
    assert process.returncode == 0 and all(line.startswith("checking float32 operations of") for line in said)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_behind_stdout(tmp_path):
    with open("/dev/full", "w") as full:
        options = {"stdout": full, "stderr": subprocess.PIPE, "text": True, "env": ENVIRONMENT}
        done = subprocess.run([*COMMAND, "models"], cwd=tmp_path, **options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "No space left on device" in done.stderr


def test_a_terminal_that_lacks_letters(place, tmp_path):
    ascii_only = ENVIRONMENT | {"PYTHONIOENCODING": "ascii"}
    done = run("sample", place / "vae", "--out", "ü.npy", cwd=tmp_path, env=ascii_only)
    assert done.stdout == "\\xfc.npy\n"
    assert (tmp_path / "ü.npy").exists()


@pytest.mark.parametrize("words", [("models", "vae"), ("--help",)])
def test_python_without_docstrings(words, tmp_path):
    run(*words, cwd=tmp_path, command=[sys.executable, "-OO", "-m", "tinyae"])


def test_a_notebooks_backend_that_is_not_installed_here(place, tmp_path):
    """IPython sets MPLBACKEND for what its cells run in a shell."""
    pytest.importorskip("matplotlib")
    words = ("sample", place / "vae", "--out", "a.png")
    run(*words, cwd=tmp_path, env=ENVIRONMENT | {"MPLBACKEND": "module://there_is_none.backend"})
    assert (tmp_path / "a.png").exists()
    words = ("manifold", place / "vae", "--out", "b.png")
    said = refused(*words, cwd=tmp_path, env=ENVIRONMENT | {"MPLBACKEND": "nonsense"})
    assert said.startswith("matplotlib cannot be imported with its present settings: Key backend: 'nonsense'")
