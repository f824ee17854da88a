"""An edge under test, and origins that do as they are told. Each belongs to the test that started it."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

import base
import gateway

READY_SECONDS_MAX = gateway.READY_SECONDS_MAX
STOP_SECONDS_MAX = gateway.STOP_SECONDS_MAX


class Origin:
    """An HTTP/1.1 server whose answers are `self.answer(request)`: (status, [(name, value)], body bytes), or raw bytes to be sent as they are.
    Deliberately lenient, as the worst origin behind an edge is: bare LF ends a line, transfer-encoding wins over content-length. What it read is in
    `self.requests`: (method, target, headers as a list, body)."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda r: (200, [("cache-control", "max-age=60")], b"hello"))
        self.requests, self.lock = [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections = set()
        self.closed = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.closed:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            stream = connection.makefile("rb")
            while self.one(connection, stream):
                pass
        except (OSError, ValueError):
            pass
        finally:
            self.connections.discard(connection)
            connection.close()

    def one(self, connection, stream):
        line = stream.readline(65537)
        while line in (b"\r\n", b"\n"):
            line = stream.readline(65537)
        if not line:
            return False
        words = line.split()
        headers = []
        while True:
            field = stream.readline(65537)
            if field in (b"\r\n", b"\n", b""):
                break
            name, _, value = field.partition(b":")
            headers.append((name.strip().lower().decode("latin-1"), value.strip().decode("latin-1")))
        named = dict(headers)
        body = b""
        if "chunked" in named.get("transfer-encoding", "").lower():
            while True:
                size = int(stream.readline().split(b";")[0], 16)
                body += stream.read(size)
                if size == 0:
                    while stream.readline() not in (b"\r\n", b"\n", b""):
                        pass
                    break
                stream.readline()
        elif named.get("content-length", "").isdigit():
            body = stream.read(int(named["content-length"]))
        request = (words[0].decode("latin-1"), words[1].decode("latin-1") if len(words) > 1 else "", headers, body)
        with self.lock:
            self.requests.append(request)
        answer = self.answer(request)
        if callable(answer):
            answer(connection, stream)
            return False
        if isinstance(answer, bytes):
            connection.sendall(answer)
            return True
        status, fields, content = answer
        head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields)
        if not any(n.lower() in ("content-length", "transfer-encoding") for n, _ in fields) and status not in (204, 304):
            head += f"content-length: {len(content)}\r\n"
        connection.sendall(head.encode("latin-1") + b"\r\n" + (b"" if request[0] == "HEAD" else content))
        return True

    def seen(self, target=None):
        with self.lock:
            return [r for r in self.requests if target is None or r[1] == target]

    def forget(self):
        with self.lock:
            self.requests.clear()

    def close(self):
        self.closed = True
        # Wakes accept(), which close() alone does not.
        for end in (lambda: self.listener.shutdown(socket.SHUT_RDWR), self.listener.close):
            try:
                end()
            except OSError:
                pass
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Edge:
    """`archipel edge` with a configuration in a directory of its own."""

    def __init__(self, config, threads=1):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-edge-"))
        self.file = self.home / "edge.toml"
        self.token = "0123456789abcdef0123456789abcdef"
        token = self.home / "token"
        token.write_text(self.token)
        token.chmod(0o600)
        self.base = f'[listen]\nhttp = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\ntoken_file = "token"\n'
        if "[limits]" not in config:
            self.base += f"[limits]\nthreads = {threads}\n"
        self.write(config)
        self.process = None
        self.environment = {}
        gateway.speakers.append(self)

    def write(self, config):
        self.file.write_text(self.base + config)

    def spawn(self, *arguments):
        out, err = tempfile.NamedTemporaryFile(dir=self.home, suffix=".out", delete=False), open(self.home / "stderr", "ab")
        process = subprocess.Popen([str(gateway.binary), "edge", "--config", str(self.file), *arguments], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=err, preexec_fn=gateway.end_with_parent, env=dict(os.environ, **self.environment))
        waited, end = threading.Event(), time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < end:
            line = pathlib.Path(out.name).read_bytes().partition(b"\n")
            if line[1]:
                return process, json.loads(line[0])
            if process.poll() is not None:
                raise gateway.StartFailed(process.returncode, self.stderr())
            waited.wait(0.05)
        process.kill()
        process.wait()
        raise gateway.NotReady("no ready line in time; " + self.stderr())

    def start(self):
        self.process, self.ready = self.spawn()
        url, admin = urllib.parse.urlsplit(self.ready["edge"]), urllib.parse.urlsplit(self.ready["admin"])
        self.address, self.admin_address = (url.hostname, url.port), (admin.hostname, admin.port)
        return self

    def stderr(self):
        log = self.home / "stderr"
        return log.read_text(errors="replace") if log.exists() else ""

    def stop(self):
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise base.NotInTime("SIGTERM did not end the edge; its log: " + self.stderr()[-4000:])
        self.process = None
        return code

    def destroy(self):
        if self in gateway.speakers:
            gateway.speakers.remove(self)
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def wait_for_log(self, text, count=1):
        """Waits for the `count`-th event of that text on stderr."""
        waited, end = threading.Event(), time.monotonic() + base.UNTIL_SECONDS_MAX
        while self.stderr().count(text) < count:
            if time.monotonic() > end:
                raise base.NotInTime(f"'{text}' did not come: {self.stderr()[-3000:]}")
            waited.wait(0.05)

    def reload(self, expect="config.reloaded"):
        before = self.stderr().count(expect)
        self.process.send_signal(signal.SIGHUP)
        self.wait_for_log(expect, before + 1)

    def rss(self, which="VmRSS"):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(which + ":"):
                return int(line.split()[1]) << 10
        return 0

    def rss_most(self):
        """At its highest, since it started."""
        return self.rss("VmHWM")

    # Talking to it --------------------------------------------------------------------------------------------------------------

    def get(self, target, headers=None, method="GET", body=None, address=None):
        connection = http.client.HTTPConnection(*(address or self.address), timeout=60)
        try:
            connection.putrequest(method, target, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            response.body = response.read()
            return response
        finally:
            connection.close()

    def admin(self, path, method="GET", body=None, token=True):
        headers = {"Authorization": f"Bearer {self.token}"} if token is True else {"Authorization": token} if token else {}
        return self.get(path, headers, method, body if body is None else json.dumps(body).encode(), self.admin_address)

    def raw(self, data, timeout=60):
        """Sends bytes, ends the sending side, and returns all that comes back until the connection ends."""
        with socket.create_connection(self.address, timeout=timeout) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            answer = b""
            try:
                while chunk := connection.recv(65536):
                    answer += chunk
            except OSError:
                pass
            return answer

    def command(self, *arguments):
        # The real port, in a file of its own: that of the running edge says 0.
        file = self.home / "admin.toml"
        text = self.file.read_text().replace('[admin]\nlisten = "127.0.0.1:0"', f'[admin]\nlisten = "{self.admin_address[0]}:{self.admin_address[1]}"')
        file.write_text(text)
        return subprocess.run([str(gateway.binary), "edge", arguments[0], "--config", str(file), *arguments[1:]], capture_output=True, text=True,
                              timeout=120, env=dict(os.environ))


class EdgeCase(base.Case):
    def new_origin(self, answer=None):
        origin = Origin(answer)
        self.addCleanup(origin.close)
        return origin

    def new_edge(self, config, **more):
        edge = Edge(config, **more)
        self.addCleanup(edge.destroy)
        return edge.start()

    def end_well(self, edge):
        code = edge.stop()
        self.assertEqual(code, 0, edge.stderr()[-4000:])
