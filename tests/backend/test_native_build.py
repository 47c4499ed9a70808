"""How the compiled library is made, kept and found, and what is said where it cannot be."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinyae.backend import native, operations
from tinyae.backend.native import build


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """As in a process that has asked for nothing yet, with a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TINYAE_NATIVE", raising=False)
    native.forget()
    yield tmp_path
    native.forget()


def test_another_interpreter_runs_on_numpy(fresh, monkeypatch):
    monkeypatch.setattr(build, "address", lambda array: 0)
    assert native.library() is None and "interpreter" in native.status()


def test_switched_off(fresh, monkeypatch):
    monkeypatch.setenv("TINYAE_NATIVE", "0")
    assert native.library() is None and "TINYAE_NATIVE=0" in native.status()
    assert not operations.share_update(np.zeros(1, "f4"))


def test_without_a_compiler(fresh, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert native.library() is None and "no C++ compiler" in native.status()


def test_without_sources_no_compiler_is_started(fresh, monkeypatch, capsys):
    """As where tinyae is imported from a zip archive."""
    monkeypatch.setattr(build, "SOURCES", fresh)
    assert native.library() is None and native.status().startswith("none: its C++ sources are not next to it")
    assert capsys.readouterr().err == ""


def test_a_compiler_that_fails_is_named_with_its_reason(fresh, monkeypatch, tmp_path):
    broken = tmp_path / "broken-c++"
    broken.write_text("#!/bin/sh\necho in some file: >&2\necho error: it hurts >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    assert native.library() is None and "broken-c++ failed (error: it hurts)" in native.status()
    assert not list(tmp_path.glob("tinyae/native/*"))  # nothing half-made is left


ONE = 'extern "C" long one() { return 1; } extern "C" void forget_threads() {}'


@pytest.fixture
def one(library, fresh, monkeypatch):
    """A library of one line, as compiling all takes seconds; gives its source."""
    source = fresh / "sources of one line" / "one.cpp"
    source.parent.mkdir()
    source.write_text(ONE)
    monkeypatch.setattr(build, "SOURCES", source.parent)
    monkeypatch.setattr(build, "FUNCTIONS", {"one": " l", "forget_threads": " -"})
    return source


def kept(folder):
    return sorted((folder / "tinyae" / "native").iterdir())


def test_compiled_once_and_kept(one, fresh):
    assert native.library().one() == 1
    (made,) = kept(fresh)
    before = made.stat().st_mtime_ns
    native.forget()
    assert native.library().one() == 1 and made.stat().st_mtime_ns == before
    one.write_text(ONE.replace("1", "2"))
    native.forget()
    assert native.library().one() == 2 and len(kept(fresh)) == 2


@pytest.mark.parametrize("damage", (lambda code: b"", lambda code: code[: len(code) // 2], lambda code: b"!" + code))
def test_a_damaged_library_is_compiled_again(one, fresh, damage):
    """By another process: here the first one is still loaded."""
    assert native.library().one() == 1
    (made,) = kept(fresh)
    code = made.read_bytes()
    made.unlink()
    made.write_bytes(damage(code))
    native.forget()
    assert native.library().one() == 1 and made.read_bytes() == code


def test_compiled_by_several_at_once(one, fresh):
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: build.find(), range(4)))
    assert all(library.one() == 1 for library, _ in answers) and len(kept(fresh)) == 1


def test_a_compiler_with_options(one, fresh, monkeypatch):
    compiler, without = build._compiler()[0], native.status()
    monkeypatch.setenv("CXX", f"env {compiler} -DSOME")
    native.forget()
    assert native.library().one() == 1 and f"env {compiler} -DSOME" in native.status() != without
    assert len(kept(fresh)) == 2  # options make another library


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners here")
def test_code_is_not_loaded_from_a_folder_that_others_can_write_to(one, fresh):
    folder = fresh / "tinyae" / "native"
    assert native.library().one() == 1 and folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    native.forget()
    assert native.library() is None and "XDG_CACHE_HOME" in native.status() and str(folder) in native.status()
    folder.chmod(0o700)
    native.forget()
    assert native.library().one() == 1
    if os.geteuid() == 0:
        os.chown(folder, 12345, -1)
        native.forget()
        assert native.library() is None and "XDG_CACHE_HOME" in native.status()


def test_without_a_folder_to_write_to(one, fresh, monkeypatch):
    (fresh / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh / "file"))
    assert native.library() is None and "XDG_CACHE_HOME" in native.status()


def test_without_a_home(one, monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(build.Path, "home", nowhere)
    assert native.library() is None and "home directory" in native.status()


def test_a_compiler_that_takes_too_long(one, monkeypatch):
    def slow(*command):
        raise subprocess.TimeoutExpired(command, 300, stderr=b"")

    monkeypatch.setattr(build, "_run", slow)
    assert native.library() is None and "timed out" in native.status()
