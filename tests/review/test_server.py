"""The workbench on a real port: who is let in, what is answered, and that a kill loses nothing."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from desks import CODE, make_visit, points_of

OTHER, BROKEN = "VABCDEF0123", "V00000000FF"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_visit(tmp_path_factory.mktemp("made") / CODE, "LPS")


@pytest.fixture
def results(made, tmp_path):
    for code in (CODE, OTHER):
        shutil.copytree(made, tmp_path / "results" / "visits" / code)
    (tmp_path / "results" / "visits" / BROKEN).mkdir()
    (tmp_path / "results" / "visits" / BROKEN / "status.json").write_text("{}")
    return tmp_path / "results"


class Serving:
    """A workbench in a process of its own."""

    def __init__(self, results, *options):
        line = [sys.executable, "-m", "petflame", "review", "serve", str(results), "--no-browser", *options]
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for said in self.process.stdout:
            if found := re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/[\w-]+)/\n", said):
                self.port, self.token = int(found[1]), found[2]
                return
        raise AssertionError(self.process.stderr.read())

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def ask(self, path, method="GET", body=None, token=None, **headers):
        """Answer of the server: status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, (self.token if token is None else token) + path, skip_host=True)
        given = {"Host": self.host} | {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            given = {"Content-Length": str(len(body))} | given
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), content

    def get(self, path):
        status, _, content = self.ask(path)
        assert status == 200, content
        return json.loads(content)

    def post(self, path, document, **headers):
        body = json.dumps(document).encode()
        given = {"Origin": f"http://{self.host}", "Content_Type": "application/json", **headers}
        status, _, content = self.ask(path, "POST", body, **given)
        return status, json.loads(content) if content.startswith(b"{") else content

    def act(self, item, head, why="", **action):
        return self.post(f"/api/visit/{item}/act", {"head": head, "action": action, "why": why})

    def end(self, how=signal.SIGINT):
        self.process.send_signal(how)
        code = self.process.wait(20)
        return code, self.process.stderr.read()


@pytest.fixture
def serving(results):
    server = Serving(results, "--reader", "R1")
    yield server
    if server.process.poll() is None:
        server.end(signal.SIGKILL)


def test_a_visit_is_read_from_the_list_to_the_end(serving, results):
    session = serving.get("/api/session")
    assert (session["reader"], session["blinded"], session["show_values"]) == ("R1", True, False)
    work = serving.get("/api/worklist")
    states = {row["item"]: row["state"] for row in work["items"]}
    assert states == {CODE: "new", OTHER: "new", BROKEN: "closed"}
    assert "cannot be opened" in next(row["worst"] for row in work["items"] if row["item"] == BROKEN)
    assert (work["visits"], work["visits_done"]) == (3, 0)
    state = serving.get(f"/api/visit/{CODE}")
    assert state["head"] == "0" * 64
    for which in ("ct", "pet", "labels"):
        status, _, content = serving.ask(f"/api/visit/{CODE}/{which}.nii.gz")
        assert (status, content[:2]) == (200, b"\x1f\x8b")
    for point in points_of("carotid_left", "LPS"):
        status, answer = serving.act(
            CODE, state["head"], kind="seed", op="add", vessel="carotid_left", lps_mm=point.tolist(), snap=True
        )
        assert status == 200
        state = answer["state"]
    assert answer["changed"]["carotid_left"]
    assert "Left carotid" in answer["said"]
    for action in ({"kind": "decide", "vessel": "carotid_left", "choice": "accept"}, {"kind": "finish"}):
        status, answer = serving.act(CODE, state["head"], **action)
        assert status == 200
        state = answer["state"]
    assert state["finished"]
    assert (results / "review" / "R1" / f"{CODE}.read.json").exists()
    work = serving.get("/api/worklist")
    assert {row["item"]: row["state"] for row in work["items"]}[CODE] == "finished"
    assert work["words"] == f"1 of 3 visits, {work['vessels_need_you']} vessels need you"
    status, answer = serving.act(CODE, state["head"], kind="undo")
    assert (status, answer["faults"][0]["what"]) == (422, "this read is finished")
    profile = serving.get(f"/api/visit/{CODE}/profile?vessel=carotid_left")
    assert len(profile["z_mm"]) == len(profile["suv_max"]) > 15
    assert serving.end() == (0, "")


def test_nobody_is_let_in_without_the_token_the_host_and_the_origin(serving):
    path = f"/api/visit/{CODE}"
    for token in (
        "",
        "/",
        "/x",
        serving.token[:-1],
        serving.token + "x",
        serving.token.upper(),
        "//" + serving.token[1:],
    ):
        assert serving.ask(path, token=token)[0] == 404, token
    for host in ("evil.example", f"evil.example:{serving.port}", "127.0.0.1.evil.example", "", None, "127.0.0.1:x"):
        assert serving.ask(path, Host=host)[0] in (400, 403), host
    for host in ("localhost:9999", "[::1]:8080", "127.0.0.1"):
        assert serving.ask("/api/session", Host=host)[0] == 200, host
    document = {"head": "0" * 64, "action": {"kind": "open"}}
    origins = ("http://evil.example", "null", None, f"https://{serving.host}", f"http://localhost:{serving.port}", "")
    for origin in origins:
        assert serving.post(path + "/act", document, Origin=origin)[0] == 403, origin
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        assert serving.post(path + "/act", document, Content_Type=kind)[0] == 415, kind
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        assert serving.ask(path, method)[0] == 405
    assert serving.post(path + "/act", document)[0] == 200
    through_a_tunnel = {"Host": "localhost:5555", "Origin": "http://localhost:5555"}
    state = serving.get(path)
    assert serving.post(path + "/act", {**document, "head": state["head"]}, **through_a_tunnel)[0] == 200


def test_no_path_leads_out_of_the_list(serving):
    for item in (
        "..",
        "%2e%2e",
        "..%2f..%2fkey",
        f"{CODE}/..",
        f"{CODE}%2f..%2f{OTHER}",
        "V9999999999",
        "%00",
        "a" * 5000,
    ):
        for end in ("", "/ct.nii.gz", "/profile?vessel=svc"):
            assert serving.ask(f"/api/visit/{item}{end}")[0] in (400, 404), (item, end)
    for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/static//etc/passwd"):
        assert serving.ask(path)[0] in (400, 404), path
    assert serving.ask("/api/visit/" + BROKEN)[0] == 422
    assert serving.get("/api/session")["reader"] == "R1"


def test_every_answer_says_what_a_page_may_do(serving):
    for path, token in (("/api/session", None), ("/", None), ("/none", None), ("/", "/wrong")):
        _, headers, _ = serving.ask(path, token=token)
        given = {name.lower(): value for name, value in headers.items()}
        assert given["content-security-policy"].startswith("default-src 'none'")
        assert "unsafe" not in given["content-security-policy"]
        assert "frame-ancestors 'none'" in given["content-security-policy"]
        assert given["referrer-policy"] == "no-referrer"
        assert given["cache-control"] == "no-store"
        assert given["x-content-type-options"] == "nosniff"
        assert given["cross-origin-opener-policy"] == given["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in given
        assert "access-control-allow-origin" not in given


def resident_mb(process):
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")
@pytest.mark.parametrize("how", ["said", "chunked", "lied"])
def test_a_body_of_a_gigabyte_is_refused_and_not_read(serving, how):
    before = resident_mb(serving.process)
    said = {"said": f"Content-Length: {1 << 30}", "chunked": "Transfer-Encoding: chunked", "lied": "Content-Length: x"}[
        how
    ]
    lines = [f"POST {serving.token}/api/visit/{CODE}/act HTTP/1.1", f"Host: {serving.host}"]
    lines += [f"Origin: http://{serving.host}", "Content-Type: application/json", said]
    sent, block = 0, b"x" * (1 << 20)
    with socket.create_connection(("127.0.0.1", serving.port), timeout=30) as raw:
        raw.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        try:
            while sent < 1 << 30:
                raw.sendall(b"%x\r\n" % len(block) + block + b"\r\n" if how == "chunked" else block)
                sent += len(block)
        except OSError:
            pass
        try:
            answer = raw.recv(100)
        except OSError:
            answer = b""
    assert sent < 100 << 20
    assert not answer or answer.split()[1] in (b"413", b"400")
    assert resident_mb(serving.process) - before < 60
    assert serving.get("/api/session")["reader"] == "R1"


def test_bodies_that_are_no_action_are_refused_in_words(serving):
    path = f"/api/visit/{CODE}/act"
    for body in (b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"head": 1}', b'{"head": "x", "action": {}, "why": []}'):
        headers = {"Origin": f"http://{serving.host}", "Content_Type": "application/json"}
        status, _, content = serving.ask(path, "POST", body, **headers)
        assert status in (400, 409, 422), body[:20]
        assert status == 409 or json.loads(content)["faults"][0]["remedy"]


def test_a_second_window_is_told_and_shown_how_it_stands(serving):
    head = serving.get(f"/api/visit/{CODE}")["head"]
    assert serving.act(CODE, head, kind="comment", words="one")[0] == 200
    status, answer = serving.act(CODE, head, kind="comment", words="two")
    assert (status, answer["state"]["reader_words"]) == (409, "one")
    assert "another window" in answer["said"]
    assert serving.act(CODE, answer["state"]["head"], kind="comment", words="two")[0] == 200


def test_two_servers_on_one_folder_go_on_with_each_other(serving, results):
    other = Serving(results, "--reader", "R1")
    try:
        head = serving.get(f"/api/visit/{CODE}")["head"]
        other.get(f"/api/visit/{CODE}")
        point = points_of("carotid_left", "LPS")[0].tolist()
        add = {"kind": "seed", "op": "add", "vessel": "carotid_left", "lps_mm": point}
        assert serving.act(CODE, head, **add)[0] == 200
        assert other.act(CODE, head, kind="comment", words="late")[0] == 409
        state = other.get(f"/api/visit/{CODE}")
        assert len(next(v for v in state["vessels"] if v["name"] == "carotid_left")["seeds"]) == 1
    finally:
        other.end()


def test_a_killed_server_goes_on_where_it_was(serving, results):
    state = serving.get(f"/api/visit/{CODE}")
    for point in points_of("carotid_left", "LPS"):
        add = {"kind": "seed", "op": "add", "vessel": "carotid_left", "lps_mm": point.tolist()}
        _, answer = serving.act(CODE, state["head"], **add)
        state = answer["state"]
    labels = serving.ask(f"/api/visit/{CODE}/labels.nii.gz")[2]
    serving.end(signal.SIGKILL)
    again = Serving(results, "--reader", "R1")
    try:
        assert again.token != serving.token
        assert again.get(f"/api/visit/{CODE}") == state
        assert again.ask(f"/api/visit/{CODE}/labels.nii.gz")[2] == labels
        assert {r["item"]: r["state"] for r in again.get("/api/worklist")["items"]}[CODE] == "open"
    finally:
        assert again.end() == (0, "")


def test_the_order_is_the_readers_and_nothing_of_the_study_is_sent(serving, results):
    def order(reader):
        from petflame.protocol import Protocol
        from petflame.review.server import session_of
        from petflame.review.worklist import Worklist

        session = session_of(results, reader, (), Protocol())
        return list(Worklist(session.items, reader, session.folder, ()).items)

    assert [row["item"] for row in serving.get("/api/worklist")["items"]] == order("R1")
    assert len({tuple(order(f"R{n}")) for n in range(12)}) > 2
    sent = serving.ask(f"/api/visit/{CODE}")[2] + serving.ask("/api/worklist?order=worst")[2]
    assert str(results).encode() not in sent
    assert b"sha256" not in sent
    assert b"baseline" not in sent


def test_a_fault_of_a_repeat_does_not_tell_which_visit_it_is(tmp_path):
    from petflame.errors import Fault
    from petflame.review.server import Session, said_faults
    from petflame.review.worklist import Item

    root = tmp_path / "visits" / CODE
    session = Session("R1", tmp_path / "review" / "R1", (Item(CODE, root), Item("V00000000FF", root)))
    fault = Fault(f"the visit {CODE} is damaged", str(root / "ct.nii.gz"), "restore it")
    assert CODE not in json.dumps(said_faults([fault], session, "V00000000FF"))
    assert said_faults([fault], session, CODE)[0]["where"] == f"visits/{CODE}/ct.nii.gz"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--reader", "Dr. Smith"), "is no code"),
        (("--reader", "../x"), "is no code"),
        (("--visits", "V1111111111"), "there is no visit V1111111111"),
    ],
)
def test_what_cannot_be_served_is_refused_in_words(results, options, words):
    line = [sys.executable, "-m", "petflame", "review", "serve", str(results), "--no-browser", *options]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_port_that_is_taken_is_refused_in_words(serving, results):
    line = [
        sys.executable,
        "-m",
        "petflame",
        "review",
        "serve",
        str(results),
        "--port",
        str(serving.port),
        "--no-browser",
    ]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"port {serving.port} cannot be used" in done.stderr


def test_ten_thousand_actions_are_opened_and_gone_on_with(results):
    from petflame.protocol import Protocol
    from petflame.review.log import ReadLog, written_line
    from petflame.review.server import Room, session_of

    room = Room(session_of(results, "R1", (CODE,), Protocol()))
    desk = room.desk(CODE)
    assert room.act(CODE, {"head": desk.head, "action": {"kind": "open"}})[0] == 200
    first = desk.log.lines()[0]
    import hashlib

    rng = np.random.default_rng(0)
    size = desk.drawing.found.labels.data.size
    content, previous = desk.log.path.read_bytes(), desk.log.head
    for n in range(2, 10_001):
        start = int(rng.integers(0, size - 50))
        action = {"kind": "paint", "vessel": "carotid_right", "mode": ("add", "erase")[n % 2], "runs": [start, 40]}
        text = written_line({**first, "n": n, "previous": previous, "action": action})
        content, previous = content + text, hashlib.sha256(text[:-1]).hexdigest()
    desk.log.path.write_bytes(content)
    assert len(ReadLog(desk.log.path).lines()) == 10_000
    anew = Room(session_of(results, "R1", (CODE,), Protocol()))
    assert anew.state(CODE)["head"] == previous
    undone = anew.act(CODE, {"head": previous, "action": {"kind": "undo"}})
    assert undone[0] == 200
    assert undone[1]["state"]["can_redo"]
