import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from petflame.errors import InputRefused, MachineFault
from petflame.segment import totalsegmentator_process as process
from petflame.segment import totalsegmentator_worker
from petflame.segment.totalsegmentator import find_installation, not_used
from petflame.segment.totalsegmentator_process import Limits, read_limits, run_worker

WORKER = Path(totalsegmentator_worker.__file__)


def run(tmp_path, text, limits=Limits(), python=sys.executable):  # noqa: B008
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "request.json").write_text("{}")
    return run_worker(python, script, folder / "request.json", limits)


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_what_takes_too_long_ends_with_all_it_has_started(tmp_path):
    text = """
        import subprocess, sys, time
        from pathlib import Path
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path("child").write_text(str(child.pid))
        time.sleep(600)
    """
    with pytest.raises(MachineFault, match=r"stopped after 0\.05 min"):
        run(tmp_path, text, Limits(timeout_min=0.05))
    child = int((tmp_path / "folder" / "child").read_text())
    assert until(lambda: not alive(child), 5)


def test_memory_counts_every_process_and_ends_at_its_limit(tmp_path):
    # 300 MB in a process that the worker has started.
    text = """
        import subprocess, sys
        subprocess.run([sys.executable, "-c", "import time; a = b'1' * 300_000_000; time.sleep(2.5)"])
    """
    used = run(tmp_path, text)
    assert 0.3 <= used.peak_gb < 0.4
    assert used.seconds >= 2.5
    (tmp_path / "second").mkdir()
    with pytest.raises(MachineFault, match=r"of memory \(limit 0\.1 GB\)"):
        run(tmp_path / "second", text, Limits(memory_gb=0.1))


def test_a_killed_worker_is_a_fault_of_the_machine_and_a_crash_is_not(tmp_path):
    with pytest.raises(MachineFault, match="was killed \\(SIGKILL\\)"):
        run(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    (tmp_path / "second").mkdir()
    with pytest.raises(InputRefused, match="ValueError: these shapes differ"):
        run(tmp_path / "second", "raise ValueError('these shapes differ')")
    (tmp_path / "third").mkdir()
    with pytest.raises(InputRefused, match="exit status 3"):
        run(tmp_path / "third", "raise SystemExit(3)")


def test_the_first_cause_is_told_too(tmp_path):
    text = """
        import subprocess, sys
        subprocess.run([sys.executable, "-c", "raise OSError('AF_UNIX path too long')"])
        raise EOFError
    """
    with pytest.raises(InputRefused, match=r"\(OSError: AF_UNIX path too long; EOFError\)"):
        run(tmp_path, text)


def test_a_folder_whose_name_leaves_no_room_for_sockets_is_refused():
    process.require_short(Path("/" + (process.LONGEST_FOLDER - 1) * "a"))
    with pytest.raises(MachineFault, match="set TMPDIR"):
        process.require_short(Path("/" + process.LONGEST_FOLDER * "a"))
    # What Python itself adds to the folder for temporary files.
    with tempfile.TemporaryDirectory() as folder:
        code = "from multiprocessing.connection import arbitrary_address as f; print(f('AF_UNIX'))"
        named = subprocess.check_output([sys.executable, "-c", code], env={**os.environ, "TMPDIR": folder}, text=True)
        assert named.startswith(folder)
        assert len(named.strip()) - len(folder) <= 32


def test_an_export_process_that_the_system_killed_is_a_fault_of_the_machine(tmp_path):
    words = (
        "Segmentation export worker died. It was likely killed by your OS because of insufficient available CPU RAM."
    )
    with pytest.raises(MachineFault, match="out of memory"):
        run(tmp_path, f"raise RuntimeError({words!r})")


@pytest.mark.parametrize("said", ["soon", "-1", "0", "nan", "inf"])
@pytest.mark.parametrize("variable", [process.TIMEOUT_VARIABLE, process.MEMORY_VARIABLE, process.THREADS_VARIABLE])
def test_limits_that_are_no_positive_numbers_are_refused(monkeypatch, variable, said):
    monkeypatch.setenv(variable, said)
    with pytest.raises(InputRefused, match=variable):
        read_limits()


def test_limits_come_from_the_environment(monkeypatch):
    for variable in (process.TIMEOUT_VARIABLE, process.MEMORY_VARIABLE, process.THREADS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    usual = read_limits()
    assert usual.memory_gb is None
    assert 1 <= usual.threads <= os.cpu_count()
    monkeypatch.setenv(process.TIMEOUT_VARIABLE, "90")
    monkeypatch.setenv(process.MEMORY_VARIABLE, "12.5")
    monkeypatch.setenv(process.THREADS_VARIABLE, "3")
    assert read_limits() == Limits(90.0, 12.5, 3)


def test_another_interpreter_does_not_see_our_modules_and_writes_into_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/ours")
    other = tmp_path / "python"
    other.symlink_to(Path(sys.executable).resolve())
    text = "import json, os, tempfile; json.dump([os.environ.get('PYTHONPATH'), tempfile.gettempdir()], open('o', 'w'))"
    run(tmp_path, text, python=str(other))
    assert json.loads((tmp_path / "folder" / "o").read_text()) == [None, str(tmp_path / "folder")]


# A package that looks for the network in itself and in a process that it starts, and hides that it failed.
CURIOUS = """
import multiprocessing, os, socket, time
from pathlib import Path


def reach():
    for try_it in (
        lambda: socket.create_connection(("192.0.2.1", 443), timeout=1),
        lambda: socket.getaddrinfo("stats.totalsegmentator.com", 443),
    ):
        try:
            try_it()
        except Exception:
            pass


def totalsegmentator(input, output, **options):
    reach()
    child = multiprocessing.get_context("spawn").Process(target=reach)
    child.start()
    child.join()
    Path(output).write_bytes(b"")
    if os.environ.get("SLEEP_ON"):
        Path(os.environ["SLEEP_ON"]).write_text(str(os.getpid()))
        time.sleep(600)
"""


@pytest.fixture
def request_file(tmp_path, monkeypatch):
    package = tmp_path / "site" / "totalsegmentator"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "map_to_binary.py").write_text("class_map = {'total': {52: 'aorta'}}")
    (package / "python_api.py").write_text(CURIOUS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    folder = tmp_path / "folder"
    folder.mkdir()
    asked = {"ct": "ct.nii.gz", "home": str(folder / "home"), "weights": str(folder), "out": str(folder)}
    asked |= {"device": "cpu", "threads": 1, "robust_crop": False, "tasks": {"total": ["aorta"]}}
    (folder / "request.json").write_text(json.dumps(asked))
    return folder / "request.json"


def test_neither_the_worker_nor_what_it_starts_reaches_the_network(request_file):
    run_worker(sys.executable, WORKER, request_file, Limits())
    result = json.loads((request_file.parent / "result.json").read_text())
    assert result["network_attempts"] == ["192.0.2.1", "stats.totalsegmentator.com"] * 2


def test_when_the_parent_is_killed_the_worker_ends_and_leaves_nothing(request_file, tmp_path, monkeypatch):
    told = tmp_path / "pid"
    monkeypatch.setenv("SLEEP_ON", str(told))
    source = Path(process.__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(source)]))
    text = f"""
        import sys
        from pathlib import Path
        from petflame.segment.totalsegmentator_process import Limits, run_worker
        run_worker(sys.executable, Path({str(WORKER)!r}), Path({str(request_file)!r}), Limits())
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(text)])
    try:
        assert until(lambda: told.exists() and told.read_text())
        worker = int(told.read_text())
        assert alive(worker)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert until(lambda: not alive(worker))
        assert until(lambda: not request_file.parent.exists())
    finally:
        parent.kill()
        parent.wait()


def test_an_interpreter_that_is_none_is_named_and_the_automatic_method_says_that_it_was_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("PETFLAME_TOTALSEGMENTATOR_PYTHON", str(tmp_path))
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "none"))
    installation = find_installation()
    assert not installation.ready
    said = not_used(installation)
    assert "names " + str(tmp_path) + ", which is no program" in said
    assert "TotalSegmentator was not used" in said
    monkeypatch.delenv("PETFLAME_TOTALSEGMENTATOR_PYTHON")
    assert not_used(find_installation()) == ""
