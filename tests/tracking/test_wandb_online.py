"""A run online: its rows reach the server, and a server that fails costs one warning."""

import gzip
import http.server
import json
import socket
import threading

import pytest

from pipeline.tracking import wandb_run
from support.offline import read_run, runs
from support.tiny_training import CELL, SOON, train, untouched, warnings

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # clocks
KEY = "0" * 40


class Server(http.server.BaseHTTPRequestHandler):
    """wandb's server as far as a run needs it; keeps what is sent to `file_stream`."""

    protocol_version = "HTTP/1.1"
    stream: list[dict] = []

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        if self.path.endswith("/file_stream"):
            self.stream.append(json.loads(data))
        answer = json.dumps(self.answer(json.loads(data)) if self.path == "/graphql" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def answer(self, request: dict) -> dict:
        if "upsertBucket" in request["query"]:
            bucket = {"id": "1", "name": "run", "project": {"name": "p", "entity": {"name": "e"}}}
            return {"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}}
        if "createRunFiles" in request["query"]:
            return {"data": {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": []}}}
        return {"data": {"viewer": {"id": "1", "entity": "e", "username": "u"}, "serverInfo": {"features": []}}}

    def log_message(self, *_) -> None:
        pass


class Refuses(Server):
    """A server to which no key is right."""

    protocol_version = "HTTP/1.0"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"errors": [{"message": "no"}]}')

    do_GET = do_POST


@pytest.fixture
def serve():
    """Start a server, of a handler, and return its address."""
    servers = []

    def start(handler: type[Server]) -> str:
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def silent():
    """A server that takes a call and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("mode", ["online", "run"])
def test_rows_reach_the_server(home, monkeypatch, capsys, serve, mode):
    monkeypatch.setattr(Server, "stream", [])
    online(monkeypatch, serve(Server))
    monkeypatch.setenv("WANDB_MODE", mode)
    assert train(CELL) < SOON and untouched(CELL) and warnings(capsys) == [] and runs(home) == []
    sent = [
        part["files"].get("wandb-history.jsonl", {}).get("content", []) for part in Server.stream if "files" in part
    ]
    rows = [json.loads(line) for lines in sent for line in lines]
    assert [(row["epoch"], row["val_loss"]) for row in rows] == [(1, 2.0), (2, 1.0)]
    assert Server.stream[-1]["exitcode"] == 0


@pytest.mark.parametrize(("key", "reason"), [(KEY, "CommError"), ("short", "AuthenticationError")])
def test_a_bad_key_online_goes_offline(home, monkeypatch, capsys, serve, key, reason):
    online(monkeypatch, serve(Refuses), key)
    assert train(CELL) < SOON and untouched(CELL)
    (warning,) = warnings(capsys)
    assert f"wandb stays offline for a/b: {reason}" in warning and key not in warning
    logged = read_run(runs(home)[0])
    assert [item["epoch"] for item in logged.history] == [1, 2] and logged.summary["accuracy"] == 0.5


def test_no_network_online_goes_offline_at_once(home, monkeypatch, capsys):
    online(monkeypatch, "http://127.0.0.1:9")
    assert train(CELL) < SOON and untouched(CELL)
    (warning,) = warnings(capsys)
    assert "wandb stays offline for a/b: URLError" in warning and read_run(runs(home)[0]).code == 0


def test_a_server_that_never_answers_is_left_alone_soon(home, monkeypatch, capsys, silent):
    monkeypatch.setattr(wandb_run, "TIMEOUT_S", SOON)  # a third of it for the server; wandb itself would take it all
    online(monkeypatch, silent)
    assert train(CELL) < SOON and untouched(CELL)
    (warning,) = warnings(capsys)
    assert "wandb stays offline for a/b: TimeoutError" in warning and len(runs(home)) == 1


def online(monkeypatch, address: str, key: str = KEY) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", address)
    monkeypatch.setenv("WANDB_API_KEY", key)
