"""Runs stopped, killed, corrupted, repeated or started twice: nothing is lost, and a message says how to go on."""

import json
import os
import shlex
import signal
import sys

import numpy as np
import pytest
from command_line import ENVIRONMENT, refused, run, start
from screens import received

import tinyae
from tinyae.checkpoint import files as checkpoint
from tinyae.errors import ConfigError
from tinyae.training.run import Run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and terminals as on POSIX")

SETTINGS = ("--data", "digits", "--set", "hidden=16", "--batch-size", 50, "--clip-norm", 90, "--epsilon", 1e-7)
TRAIN = ("train", "vae", *SETTINGS, "--seed", 3, "--no-pictures")
RESUME = ("train", "vae", "--out", "r", "--resume", "--no-pictures")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with the run `r`: two epochs."""
    folder = tmp_path_factory.mktemp("done")
    run(*TRAIN, "--epochs", 2, "--out", "r", cwd=folder)
    return folder


@pytest.fixture
def copy(done, tmp_path):
    """A folder of the test's own with a copy of that run."""
    (tmp_path / "r").mkdir()
    for path in (done / "r").iterdir():
        (tmp_path / "r" / path.name).write_bytes(path.read_bytes())
    return tmp_path


def wait_for(process, text):
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"ended without {text!r}: {process.wait()}")


def go_on(text):
    """The words of the command after "go on with:", without the program."""
    words = shlex.split(text.partition("go on with: ")[2].splitlines()[0])
    assert words[:3] == ["python", "-m", "tinyae"]
    return words[3:]


# stopped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_it_saves_and_says_how_to_go_on(number, tmp_path):
    process = start(*TRAIN, "--epochs", 100_000, "--out", "my run ü", cwd=tmp_path)
    wait_for(process, "epoch 2 ")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "saved in my run ü" in err
    steps = int(out.partition("stopped after ")[2].partition(" ")[0])
    assert checkpoint.read(tmp_path / "my run ü" / "last.npz").training["step"] == steps

    epochs = steps // 29 + 2  # an epoch has 29 steps
    resumed = run(*go_on(out), "--epochs", epochs, "--no-pictures", cwd=tmp_path)
    assert f"resuming at step {steps} of {epochs * 29}" in resumed.stderr
    assert resumed.stdout.startswith(f"done: {epochs * 29} steps")


def test_stopped_with_json(tmp_path):
    process = start(*TRAIN, "--epochs", 100_000, "--out", "r", "--json", cwd=tmp_path)
    wait_for(process, "epoch 1 ")
    process.send_signal(signal.SIGINT)
    assert json.loads(process.communicate(timeout=60)[0])["interrupted"] is True


# Presses Ctrl-C twice within one step; an epoch has 29 steps and an evaluation.
TWICE = """
import os, signal, sys
from tinyae.cli import main
from tinyae.models import VAE

step, calls = VAE.step, 0

def pressed(*args, **kwargs):
    global calls
    calls += 1
    if calls == int(os.environ["AT"]):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
    return step(*args, **kwargs)

VAE.step = pressed
sys.exit(main())
"""


@pytest.mark.parametrize("at, says", [(5, "nothing was saved yet"), (40, "go on with: ")])
def test_stopped_twice_it_leaves_at_once(at, says, tmp_path):
    options = {"command": [sys.executable, "-W", "error", "-c", TWICE], "env": ENVIRONMENT | {"AT": str(at)}}
    stopped = run(*TRAIN, "--epochs", 3, "--out", "r", cwd=tmp_path, code=130, **options)
    assert stopped.stdout == ""
    assert stopped.stderr.splitlines()[-1].startswith(f"tinyae: stopped at once; {says}")


def test_killed_and_resumed_it_ends_at_the_same_bits(tmp_path):
    process = start(*TRAIN, "--epochs", 100_000, "--out", "r", cwd=tmp_path)
    wait_for(process, "epoch 3 ")
    process.kill()
    process.communicate()
    epochs = checkpoint.read(tmp_path / "r" / "last.npz").training["step"] // 29 + 1
    run(*RESUME, "--epochs", epochs, cwd=tmp_path)
    run(*TRAIN, "--epochs", epochs, "--out", "whole", cwd=tmp_path)
    ours, theirs = (checkpoint.read(tmp_path / name / "last.npz") for name in ("r", "whole"))
    assert ours.meta == theirs.meta
    for name, array in theirs.arrays.items():
        np.testing.assert_array_equal(ours.arrays[name], array, err_msg=name)
    assert (tmp_path / "r" / "metrics.jsonl").read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()


def test_killed_before_the_first_checkpoint_no_epoch_is_written_twice(copy):
    for name in ("last.npz", "previous.npz", "best.npz"):
        (copy / "r" / name).unlink()
    run(*TRAIN, "--epochs", 2, "--out", "r", "--resume", cwd=copy)
    epochs = [json.loads(line)["epoch"] for line in (copy / "r" / "metrics.jsonl").read_text().splitlines()]
    assert epochs == [1, 2]


# resumed


def test_resume_takes_the_runs_own_settings(copy):
    run(*RESUME, "--epochs", 3, cwd=copy)
    now = checkpoint.read(copy / "r" / "last.npz").training
    assert (now["step"], now["settings"]["batch_size"], now["settings"]["seed"]) == (3 * 29, 50, 3)


def test_resume_of_what_is_done_changes_nothing(copy):
    before = checkpoint.read(copy / "r" / "last.npz").arrays["params"]
    assert "resuming at step 58 of 58" in run(*RESUME, cwd=copy).stderr
    np.testing.assert_array_equal(checkpoint.read(copy / "r" / "last.npz").arrays["params"], before)


def test_resume_of_nothing_says_so_and_begins(tmp_path):
    done = run(*TRAIN, "--epochs", 1, "--out", "r", "--resume", cwd=tmp_path)
    assert done.stderr.startswith("there is no run to resume in r: a new one begins\n")
    assert (tmp_path / "r" / "last.npz").exists()


@pytest.mark.parametrize(
    "words, says",
    [
        (("--lr", "0.1"), "the run has --lr 0.001, now it is 0.1"),
        (("--batch-size", "7"), "the run has --batch-size 50, now it is 7"),
        (("--epsilon", "1e-5"), "the run has --epsilon 1e-07, now it is 1e-05"),
        (("--seed", "5"), "the run has --seed 3, now it is 5"),
        (("--data", "fashion-mini"), "expected x of shape (N, 8, 8, 1), got (5000, 28, 28, 1)"),
        (("--data", "other.npy"), "the run has --data "),
        (("--latent-dim", "5"), "has latent_dim=2, not 5"),
        (("--set", "hidden=8"), "has hidden=[16], not [8]"),
    ],
)
def test_resume_with_other_options(words, says, done):
    np.save(done / "other.npy", np.zeros((20, 8, 8, 1), "uint8"))
    assert says in refused(*RESUME, *words, cwd=done)


def test_resume_of_a_run_whose_data_were_moved_asks_for_them(tmp_path):
    x = np.random.default_rng(0).random((30, 4, 4, 1), dtype="float32")
    np.save(tmp_path / "a.npy", x)
    run("train", "vae", "--data", "a.npy", "--epochs", 1, "--no-pictures", "--out", "r", cwd=tmp_path)
    (tmp_path / "a.npy").rename(tmp_path / "b.npy")
    said = refused(*RESUME, cwd=tmp_path)
    assert said.endswith("(the run was trained on it; if it was moved, give its new path with --data)")
    run(*RESUME, "--data", "b.npy", "--epochs", 2, cwd=tmp_path)
    assert run(*RESUME, cwd=tmp_path).stdout.startswith("done: 2 steps")  # from now on they are there


def test_resume_of_a_run_that_does_not_say_what_data_it_had(tmp_path):
    """It is not resumed on the data that a new run would have."""
    x = np.random.default_rng(0).random((30, 28, 28, 1), dtype="float32")
    tinyae.fit(tinyae.models.VAE(hidden=4), x, epochs=1, out=tmp_path / "r", progress=False)
    assert refused(*RESUME, cwd=tmp_path) == "this model does not name its training data: give --data"


def test_resume_as_another_model(done):
    assert "r holds a run of vae, not of ae" in refused("train", "ae", *RESUME[2:], cwd=done)


def test_resume_keeps_the_precision(tmp_path):
    model = tinyae.models.VAE(input_shape=(8, 8, 1), hidden=4, dtype="float64")
    tinyae.fit(model, tinyae.data.load("digits"), epochs=1, out=tmp_path / "r", progress=False)
    run(*RESUME, "--epochs", 2, cwd=tmp_path)
    assert tinyae.load(tmp_path / "r").dtype == "float64"


def test_a_saved_model_is_no_run(tmp_path):
    (tmp_path / "r").mkdir()
    tinyae.models.VAE(input_shape=(8, 8, 1), hidden=4).save(tmp_path / "r" / "last.npz")
    assert "holds a model, not a run" in refused(*RESUME, "--data", "digits", cwd=tmp_path)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(copy):
    last = copy / "r" / "last.npz"
    last.write_bytes(last.read_bytes()[:500])
    done = run(*RESUME, cwd=copy)
    assert "last.npz is corrupted" in done.stderr and "going on from previous.npz, step 29" in done.stderr
    assert done.stdout.startswith("done: 58 steps")


def test_all_damaged(copy):
    for name in ("last.npz", "previous.npz", "best.npz"):
        (copy / "r" / name).write_bytes(b"x")
    said = refused(*RESUME, cwd=copy)
    assert "there is no checkpoint to resume from: start a new run (--overwrite)" in said


@pytest.mark.parametrize("line", [b"1\n", b"{}\n", b"\xff\xfe\n", b'{"epo'])
def test_a_damaged_line_of_metrics(line, copy):
    metrics = copy / "r" / "metrics.jsonl"
    whole = metrics.read_bytes()
    metrics.write_bytes(whole + line)
    run(*RESUME, cwd=copy)
    assert metrics.read_bytes() == whole


# one folder, several runs


def test_a_second_run_into_a_used_folder(done):
    said = refused(*TRAIN, "--epochs", 1, "--out", "r", cwd=done)
    assert said.startswith("r has a run already") and "--resume" in said and "--overwrite" in said


def test_overwrite(copy):
    run(*TRAIN, "--epochs", 1, "--out", "r", "--overwrite", cwd=copy)
    assert len((copy / "r" / "metrics.jsonl").read_text().splitlines()) == 1
    assert checkpoint.read(copy / "r" / "last.npz").training["step"] == 29


def test_overwrite_refused_loses_nothing(done):
    refused(*TRAIN, "--epochs", 1, "--out", "r", "--overwrite", "--optimizer", "none", cwd=done)


@pytest.mark.parametrize("how", ["--resume", "--overwrite"])
def test_two_runs_at_once_in_one_folder(how, tmp_path):
    process = start(*TRAIN, "--epochs", 100_000, "--out", "r", cwd=tmp_path)
    try:
        wait_for(process, "epoch 1 ")
        second = run(*TRAIN, "--epochs", 100_000, "--out", "r", how, cwd=tmp_path, code=2)
        assert second.stderr.endswith("tinyae: another run is using r: wait for it, or choose another folder\n")
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_the_folder_is_free_again(tmp_path):
    with Run(tmp_path), pytest.raises(ConfigError, match="another run is using"):
        with Run(tmp_path):
            pass
    with pytest.raises(RuntimeError), Run(tmp_path):
        raise RuntimeError
    with Run(tmp_path):
        pass


def test_looking_makes_no_folder(tmp_path):
    assert Run(tmp_path / "new", resume=True).newest() is None
    assert not (tmp_path / "new").exists()


# the disk and the terminal


def limit_file_size():
    """As on a full disk: no file may grow beyond 4 KB."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))


def test_a_full_disk_while_training(copy):
    before = (copy / "r" / "last.npz").read_bytes()
    done = run(*RESUME, "--epochs", 3, cwd=copy, code=2, preexec_fn=limit_file_size)
    assert "cannot write r/last.npz" in done.stderr.splitlines()[-1]
    assert "what was there before is intact" in done.stderr
    assert (copy / "r" / "last.npz").read_bytes() == before
    assert not list((copy / "r").glob(".*"))


def test_a_full_disk_spoils_pictures_alone(tmp_path):
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-c", "import tinyae.plot, sys; from tinyae.cli import main\n"
               "def full(*a): raise OSError(28, 'No space left on device')\n"
               "tinyae.plot.training_report = full; sys.exit(main())"]  # fmt: skip
    train = ("train", "vae", "--data", "digits", "--epochs", 1, "--set", "hidden=16", "--out", "r")
    done = run(*train, cwd=tmp_path, command=command)
    assert "no pictures: [Errno 28] No space left on device" in done.stderr
    assert (tmp_path / "r" / "last.npz").exists()


@pytest.mark.parametrize("words", [("encode", "r", "--out", "c.csv"), ("sample", "r", "--out", "s.npy")])
def test_a_full_disk_leaves_no_half_file(words, done):
    assert "cannot write" in refused(*words, cwd=done, preexec_fn=limit_file_size)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    (tmp_path / "r").mkdir(mode=0o500)
    assert "may not be written to" in refused(*TRAIN, "--epochs", 1, "--out", "r", cwd=tmp_path)


def test_divergence(tmp_path):
    done = run(*TRAIN[:-1], "--epochs", 5, "--lr", "1e30", "--out", "r", cwd=tmp_path, code=3)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("tinyae: training diverged at step 2")
    assert last.endswith("Saved checkpoints are from before. Try a lower --lr")  # it is clipped already


def test_a_terminal_gets_a_bar(tmp_path):
    pytest.importorskip("tqdm")
    code, text = received(*TRAIN, "--epochs", 2, "--out", "r", cwd=tmp_path, columns=120)
    assert code == 0, text
    assert "100% |" in text and "58/58 steps" in text and "examples/s, loss" in text
    assert text.count("epoch 1  train: loss") == text.count("epoch 2  train: loss") == 1
