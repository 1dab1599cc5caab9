"""fetch_archive with a server on the loopback interface: checksum, cache and errors."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from timesad.datasets import fetch_archive, load_tsb_uad

SERIES = "0.1,0\n" * 19 + "7.0,1\n"


def zip_of(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return stream.getvalue()


def tar_of(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def checksum(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server(monkeypatch):
    """Serves `server.files` by path, fails the first `server.failures` requests and counts all requests."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.n_requests += 1
            content = self.server.files.get(self.path)
            if self.server.n_requests <= self.server.failures or content is None:
                self.send_error(503 if content else 404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            """No log output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.failures, server.n_requests = {}, 0, 0
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("pack", "path"), [(zip_of, "/ecg.zip"), (tar_of, "/ecg.tar.gz")])
def test_a_loader_reads_the_unpacked_folder(server, tmp_path, pack, path):
    content = pack({"ecg/pulse.out": SERIES})
    server.files[path] = content
    folder = fetch_archive(server.url + path, checksum(content), data_home=tmp_path)
    (series,) = load_tsb_uad(folder)
    assert series.name == "pulse"


def test_archive_with_several_top_folders_returns_their_parent(server, tmp_path):
    content = zip_of({"train/a.txt": "1", "test/a.txt": "2"})
    server.files["/data.zip"] = content
    folder = fetch_archive(server.url + "/data.zip", checksum(content), data_home=tmp_path)
    assert sorted(entry.name for entry in folder.iterdir()) == ["test", "train"]


def test_second_call_sends_no_request(server, tmp_path):
    content = zip_of({"ecg/pulse.out": SERIES})
    server.files["/ecg.zip"] = content
    first = fetch_archive(server.url + "/ecg.zip", checksum(content), data_home=tmp_path)
    asked = server.n_requests
    second = fetch_archive(server.url + "/ecg.zip", checksum(content), data_home=tmp_path)
    assert second == first
    assert server.n_requests == asked


def test_checksum_may_be_in_upper_case(server, tmp_path):
    content = zip_of({"ecg/pulse.out": SERIES})
    server.files["/ecg.zip"] = content
    assert fetch_archive(server.url + "/ecg.zip", checksum(content).upper(), data_home=tmp_path).is_dir()


def test_cache_folder_is_read_from_the_environment(server, tmp_path, monkeypatch):
    content = zip_of({"ecg/pulse.out": SERIES})
    server.files["/ecg.zip"] = content
    monkeypatch.setenv("TIMESAD_DATA_HOME", str(tmp_path / "home"))
    folder = fetch_archive(server.url + "/ecg.zip", checksum(content))
    assert (tmp_path / "home") in folder.parents


def test_failed_download_is_repeated(server, tmp_path):
    content = zip_of({"ecg/pulse.out": SERIES})
    server.files["/ecg.zip"] = content
    server.failures = 1
    with pytest.warns(UserWarning, match="Retry downloading"):
        folder = fetch_archive(server.url + "/ecg.zip", checksum(content), data_home=tmp_path, n_retries=1, delay=0)
    assert (folder / "pulse.out").read_text() == SERIES


def test_other_checksum_raises_an_error_and_leaves_no_files(server, tmp_path):
    server.files["/ecg.zip"] = zip_of({"ecg/pulse.out": SERIES})
    with pytest.raises(OSError, match=r"ecg.zip: The SHA256 checksum .* nothing was kept"):
        fetch_archive(server.url + "/ecg.zip", "0" * 64, data_home=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_file_raises_an_error_and_leaves_no_files(server, tmp_path):
    with pytest.raises(ConnectionError, match=r"nothing.zip could not be downloaded: .*404"):
        fetch_archive(server.url + "/nothing.zip", "0" * 64, data_home=tmp_path, n_retries=0)
    assert list(tmp_path.iterdir()) == []


def test_no_connection_raises_an_error_with_advice_and_leaves_no_files(server, tmp_path):
    url = server.url + "/ecg.zip"
    server.shutdown()
    server.server_close()  # no server listens at the address from here on
    with pytest.raises(ConnectionError, match=r"ecg.zip could not be downloaded: .* pass the unpacked folder"):
        fetch_archive(url, "0" * 64, data_home=tmp_path, n_retries=0)
    assert list(tmp_path.iterdir()) == []


def test_download_of_another_type_raises_an_error_and_leaves_no_files(server, tmp_path):
    content = b"<html>Please log in</html>"
    server.files["/ecg.zip"] = content
    with pytest.raises(ValueError, match=r"ecg.zip is neither a zip nor a tar archive"):
        fetch_archive(server.url + "/ecg.zip", checksum(content), data_home=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_member_with_a_path_outside_the_folder_is_not_written_there(server, tmp_path, pack):
    content = pack({"../../escaped.txt": "1", "kept.txt": "2"})
    server.files["/evil"] = content
    home = tmp_path / "a" / "home"
    try:
        fetch_archive(server.url + "/evil", checksum(content), data_home=home)
    except tarfile.OutsideDestinationError:
        assert list(home.iterdir()) == []
    assert not [path for path in tmp_path.rglob("escaped.txt") if home not in path.parents]


@pytest.mark.parametrize("url", ["ftp://example.org/a.zip", "file:///etc/a.zip", "a.zip"])
def test_other_url_scheme_raises_an_error(tmp_path, url):
    with pytest.raises(ValueError, match="must begin with https:// or http://"):
        fetch_archive(url, "0" * 64, data_home=tmp_path)


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64])
def test_malformed_checksum_raises_an_error_before_any_request(server, tmp_path, sha256):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        fetch_archive(server.url + "/ecg.zip", sha256, data_home=tmp_path)
    assert server.n_requests == 0
