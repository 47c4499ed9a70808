"""tinyae.data.fetch against a server on this machine."""

import hashlib
import http.server
import os
import threading

import pytest
from data_errors import refused

from tinyae.data import fetch, sources

CONTENT = bytes(i * i % 251 for i in range(3_000_000))
FILE = "toy.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT as the server's `mode` says, and notes each request's Range."""

    def do_GET(self):
        mode, asked = self.server.mode, self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        if mode == "missing":
            self.send_error(404)
            return
        if mode == "range not satisfiable" and asked:
            self.send_error(416)
            return
        body, start = {"corrupt": CONTENT[:-1] + b"?", "long": CONTENT + b"?"}.get(mode, CONTENT), 0
        if asked and mode != "no ranges":
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            first = start + (mode == "other range")
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        body = body[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body[: len(body) // 2] if mode == "break off" else body)
        except ConnectionError:
            pass  # the client has left, as it does when too much comes

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    source = sources.Source(
        "toy",
        (1,),
        (1, 1),
        ("a",),
        "none",
        "nowhere",
        base_url="http://127.0.0.1:9/",
        files=((FILE, len(CONTENT), hashlib.sha256(CONTENT).hexdigest()),),
    )
    monkeypatch.setitem(sources.KNOWN, "toy", source)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.mode, running.asked = "well", []
        running.url = f"http://127.0.0.1:{running.server_port}/some/folder"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(server, folder, **options):
    return fetch("toy", folder, mirror=server.url, **options)


def test_a_file_arrives_whole_and_nothing_else(server, tmp_path):
    folder = tmp_path / "new/folder"
    assert get(server, folder) == str(folder)
    assert (folder / FILE).read_bytes() == CONTENT
    assert os.listdir(folder) == [FILE]
    assert server.asked == [(f"/some/folder/{FILE}", None)]


def test_a_mirror_may_end_in_a_slash(server, tmp_path):
    fetch("toy", tmp_path, mirror=server.url + "/")
    assert server.asked == [(f"/some/folder/{FILE}", None)]


def test_the_folder_is_by_default_in_tinyae_data(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYAE_DATA", str(tmp_path))
    assert get(server, None) == str(tmp_path / "toy")
    assert (tmp_path / "toy" / FILE).exists()


def test_the_folder_is_else_in_the_cache(server, tmp_path, monkeypatch):
    monkeypatch.delenv("TINYAE_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert get(server, None) == str(tmp_path / ".cache/tinyae/toy")


def test_progress_is_reported(server, tmp_path):
    seen = []
    get(server, tmp_path, progress=lambda *report: seen.append(report))
    assert {(name, total) for name, _, total in seen} == {(FILE, len(CONTENT))}
    done = [done for _, done, _ in seen]
    assert done == sorted(done) and len(done) > 1 and done[-1] == len(CONTENT)


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    get(server, tmp_path)
    seen = []
    get(server, tmp_path, progress=lambda *report: seen.append(report))
    assert len(server.asked) == 1
    assert seen == [(FILE, len(CONTENT), len(CONTENT))]


def test_another_file_of_that_name_is_left_alone(server, tmp_path):
    (tmp_path / FILE).write_bytes(b"mine")
    refused(lambda: get(server, tmp_path), FILE, "not the published file", "move it away")
    assert (tmp_path / FILE).read_bytes() == b"mine" and not server.asked


def test_a_part_is_resumed(server, tmp_path):
    (tmp_path / (FILE + ".part")).write_bytes(CONTENT[:1000])
    get(server, tmp_path)
    assert (tmp_path / FILE).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == ["bytes=1000-"]


@pytest.mark.parametrize(("mode", "requests"), [("no ranges", 1), ("range not satisfiable", 2), ("other range", 2)])
def test_without_ranges_the_file_starts_anew(server, tmp_path, mode, requests):
    (tmp_path / (FILE + ".part")).write_bytes(b"x" * 1000)
    server.mode = mode
    get(server, tmp_path)
    assert (tmp_path / FILE).read_bytes() == CONTENT
    assert len(server.asked) == requests


def test_a_complete_part_needs_no_request(server, tmp_path):
    (tmp_path / (FILE + ".part")).write_bytes(CONTENT)
    get(server, tmp_path)
    assert (tmp_path / FILE).read_bytes() == CONTENT and not server.asked


def test_a_part_that_is_too_long_starts_anew(server, tmp_path):
    (tmp_path / (FILE + ".part")).write_bytes(CONTENT + b"x")
    get(server, tmp_path)
    assert (tmp_path / FILE).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None]


def test_a_connection_that_breaks_off_leaves_a_part_that_goes_on(server, tmp_path):
    server.mode = "break off"
    refused(lambda: get(server, tmp_path), FILE, "1,500,000 of 3,000,000", "fetch again")
    assert os.listdir(tmp_path) == [FILE + ".part"]
    server.mode = "well"
    get(server, tmp_path)
    assert (tmp_path / FILE).read_bytes() == CONTENT
    assert server.asked[-1][1] == "bytes=1500000-"


def test_an_interruption_leaves_a_part_that_goes_on(server, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, tmp_path, progress=interrupt)
    assert os.listdir(tmp_path) == [FILE + ".part"]
    get(server, tmp_path)
    assert (tmp_path / FILE).read_bytes() == CONTENT
    assert server.asked[-1][1] is not None


def test_a_wrong_sha256_leaves_nothing(server, tmp_path):
    server.mode = "corrupt"
    refused(lambda: get(server, tmp_path), FILE, "wrong sha256")
    assert os.listdir(tmp_path) == []


def test_a_wrong_part_leaves_nothing(server, tmp_path):
    (tmp_path / (FILE + ".part")).write_bytes(b"x" * 1000)
    refused(lambda: get(server, tmp_path), "wrong sha256")
    assert os.listdir(tmp_path) == []
    get(server, tmp_path)
    assert (tmp_path / FILE).read_bytes() == CONTENT


def test_a_file_that_is_too_long_leaves_nothing(server, tmp_path):
    server.mode = "long"
    refused(lambda: get(server, tmp_path), "more than the published 3,000,000")
    assert os.listdir(tmp_path) == []


def test_a_refusal_of_the_server(server, tmp_path):
    server.mode = "missing"
    refused(lambda: get(server, tmp_path), FILE, "404")
    assert os.listdir(tmp_path) == []


def test_no_network(server, tmp_path):
    refused(lambda: fetch("toy", tmp_path), "127.0.0.1:9", "cannot be reached", "network")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    refused(lambda: get(server, tmp_path / "file/sub"), "cannot be written", "permissions")


def test_a_full_disk(server, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    refused(lambda: get(server, tmp_path), "No space left on device", "free space")
    assert not (tmp_path / FILE).exists()


def test_the_file_is_on_disk_before_it_gets_its_name(server, tmp_path, monkeypatch):
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda handle: (events.append("sync"), sync(handle)))
    monkeypatch.setattr("os.replace", lambda *paths: (events.append("rename"), replace(*paths)))
    get(server, tmp_path)
    assert events == ["sync", "rename", "sync"]


@pytest.mark.parametrize("mirror", ["file:///etc", "somewhere", "ftp://host"])
def test_a_mirror_that_is_no_web_address(server, tmp_path, mirror):
    refused(lambda: fetch("toy", tmp_path, mirror=mirror), mirror, "https://")


def test_an_embedded_set_needs_no_fetching(tmp_path):
    refused(lambda: fetch("digits", tmp_path), "comes with tinyae")


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    refused(lambda: fetch("cifar-10", tmp_path), "did you mean 'cifar10'?")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_the_table_of_published_files_is_well_formed(name):
    source = sources.KNOWN[name]
    assert source.base_url.startswith(("http://", "https://")) and source.base_url.endswith("/")
    assert len(source.files) == (1 if name == "cifar10" else 4)
    for file, size, sha256 in source.files:
        assert file.endswith(".gz") and size > 0
        assert len(sha256) == 64 and int(sha256, 16)
