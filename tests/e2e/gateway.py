"""Starts, watches and ends `archipel demo` processes for tests. Each belongs to the test that started it and is ended by its own pid."""
import ctypes
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

from s3 import Client

READY_SECONDS_MAX = 180   # a start under sanitizers on a busy machine; an idle one takes a second or two
STOP_SECONDS_MAX = 120
ISLANDS = ("alibaba-frankfurt", "aws-ireland", "ovh-gravelines", "hetzner-helsinki", "sakura-tokyo", "exoscale-zurich")
W = 4  # confirmations that a 200 needs with code (6, 3)
MEMORY_DISK = pathlib.Path("/dev/shm")
MEMORY_DISK_BYTES_MIN = 8 << 30  # free there; those that run at the same time take less than one GiB each

binary = None  # set by run.py
speakers = []  # what runs now and has a log: run.py shows its end beside a failure
_ports = []    # locks of those given out, for as long as this process lives


_libc = ctypes.CDLL(None)


def end_with_parent():
    """In the child: die with the test runner, so that an interrupted run leaves nothing behind (prctl PR_SET_PDEATHSIG)."""
    _libc.prctl(1, signal.SIGKILL)


def memory_disk():
    """A file system in memory with room for a test's clouds, or None. Its files are there at once: no island is left behind because a disk took its time."""
    try:
        room = os.statvfs(MEMORY_DISK)
        available = re.search(r"MemAvailable: +(\d+) kB", pathlib.Path("/proc/meminfo").read_text())
    except OSError:
        return None
    free = min(room.f_bavail * room.f_frsize, int(available[1]) << 10 if available else 0)
    return MEMORY_DISK if free >= MEMORY_DISK_BYTES_MIN and os.access(MEMORY_DISK, os.W_OK) else None


def free_port():
    """A port of 127.0.0.1 that nobody has, for a server that is started later. A port that the kernel gives out could be anybody's until then: these lie
    below its range, and no other test of this machine is given the same one."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as text:
        end = int(text.read().split()[0])
    for port in random.SystemRandom().sample(range(10_000 if end > 11_000 else 1024, end), 1000):
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0archipel-e2e-port-{port}")
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            lock.close()
            continue
        _ports.append(lock)
        return port
    raise AssertionError("no free port below the kernel's own range")


class StartFailed(Exception):
    def __init__(self, code, stderr):
        super().__init__(f"archipel demo ended with exit code {code}: {stderr[-3000:]}")
        self.code, self.stderr = code, stderr


class NotReady(AssertionError):
    """It neither ended nor said that it serves."""


class Gateway:
    """A demo cloud in `self.dir`. start() and stop() any number of times; logs of all runs are kept in `self.logs`."""

    def __init__(self, in_memory=False):
        # Not under build/: a path that is short, and local to this machine.
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-e2e-", dir=memory_disk() if in_memory else None))
        self.dir = self.home / "demo"
        self.logs = self.home / "logs"
        self.logs.mkdir(exist_ok=True)
        self.runs = 0
        self.process = self.ready = self.stderr_path = None
        speakers.append(self)

    # Life ---------------------------------------------------------------------------------------------------------------------

    def spawn(self, wrapper=(), listen="127.0.0.1:0", arguments=(), env=None, preexec=None, directory=None):
        """Starts a process; returns (process, stdout path, stderr path). Most tests want start()."""
        self.runs += 1
        out, err = self.logs / f"run{self.runs}.stdout", self.logs / f"run{self.runs}.stderr"
        command = [*wrapper, str(binary), "demo", "--dir", str(directory or self.dir), "--listen", listen, *arguments]
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, preexec_fn=preexec or end_with_parent,
                                       env=dict(os.environ, **(env or {})))
        return process, out, err

    def start(self, **more):
        assert self.process is None, "already running"
        self.ready = None  # the pid of an earlier run is nobody's any more
        self.process, out, self.stderr_path = self.spawn(**more)
        waited, end = threading.Event(), time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < end:
            # The ready line is the event we wait for; the file is only how we see it.
            line = out.read_bytes().partition(b"\n")
            if line[1]:
                self.ready = json.loads(line[0])
                assert self.ready["event"] == "ready", self.ready
                url = urllib.parse.urlsplit(self.ready["s3"])
                self.address = (url.hostname, url.port)
                return self
            if self.process.poll() is not None:
                code, self.process = self.process.returncode, None
                raise StartFailed(code, self.stderr())
            waited.wait(0.05)
        self.process.kill()
        self.process.wait()
        self.process = None
        raise NotReady("no ready line in time; " + self.stderr())

    def refuse_start(self, **more):
        """Starts a second process or a broken set-up that must end by itself; returns (exit code, stderr of that run)."""
        process, _, err = self.spawn(**more)
        try:
            code = process.wait(READY_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("the process should have ended with an error, but it keeps running: " + err.read_text(errors="replace"))
        return code, err.read_text(errors="replace")

    def terminate(self):
        os.kill(self.ready["pid"], signal.SIGTERM)

    def stop(self):
        """SIGTERM; returns the exit code."""
        if self.process is None:
            return 0
        self.terminate()
        try:
            code = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("SIGTERM did not end the gateway; its log: " + self.stderr())
        self.process = None
        return code

    def kill(self):
        """kill -9."""
        if self.process is None:
            return
        if self.process.poll() is None:
            try:
                os.kill(self.ready["pid"] if self.ready else self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            # A wrapper (strace) ends by itself once its child is gone.
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def destroy(self):
        if self in speakers:
            speakers.remove(self)
        self.kill()
        for path in self.dir.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(self.home, ignore_errors=True)

    # Looking ------------------------------------------------------------------------------------------------------------------

    def client(self, **more):
        return Client(self.address, self.ready["access_key"], self.ready["secret_key"], self.ready["region"], **more)

    def stderr(self):
        return self.stderr_path.read_text(errors="replace") if self.stderr_path else ""

    def island(self, name):
        return self.dir / "islands" / name

    def held(self):
        """How many files each island holds."""
        return {name: sum(path.is_file() for path in self.island(name).rglob("*")) for name in ISLANDS}

    def metrics(self):
        with urllib.request.urlopen(f"http://{self.address[0]}:{self.address[1]}/metrics", timeout=120) as response:
            return response.read().decode()
