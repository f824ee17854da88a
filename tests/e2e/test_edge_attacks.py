"""Attacks on the edge, each by the name it is known by, against a process: what stops it is in docs/edge-attacks.md, which names these tests.

Each test says how much memory the edge had (`memory:`), for that table. Origins here are lenient or hostile on purpose (edge.py); where nginx or h2o are at hand, they stand
behind the edge, too: what they make of what it passes on is compared with what it took it for.
"""
import concurrent.futures
import gzip
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import base
import gateway
import test_edge
from edge import Edge, EdgeCase
from test_edge import site

NO_STORE = [("cache-control", "no-store")]
MINUTE = [("cache-control", "max-age=60")]
QUIET = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"}  # what is freed is no memory of the edge's


def field(request, name):
    return dict(request[2]).get(name)


class AttackCase(EdgeCase):
    def new_edge(self, config, tls=False, limits="", **more):
        text = f'[limits]\nthreads = 1\n{limits}' + config
        edge = Edge(text, **more)
        self.addCleanup(edge.destroy)
        if tls:
            self.make_certificate(edge.home)
            edge.base = edge.base.replace('http = "127.0.0.1:0"', 'http = "127.0.0.1:0"\nhttps = "127.0.0.1:0"')
            edge.write(text.replace("[[site]]", '[[tls]]\nhosts = ["*"]\ncert = "cert.pem"\nkey = "key.pem"\n[[site]]', 1))
        edge.environment = QUIET
        edge.start()
        if tls:
            name, _, port = edge.ready["edge_tls"].rpartition("/")[2].rpartition(":")
            edge.tls_address = (name, int(port))
        return edge

    @staticmethod
    def make_certificate(home):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", str(home / "key.pem"), "-out", str(home / "cert.pem")], check=True, capture_output=True)
        (home / "key.pem").chmod(0o600)

    def finish(self, edge, attack, before=None):
        """The edge still serves, says its memory, and ends well."""
        rss = edge.rss()
        grown = "" if before is None else f", {max(0, rss - before) >> 10} KiB of them since the attack began"
        print(f"memory: {attack}: {rss >> 10} KiB{grown}", flush=True)
        report = os.environ.get("ARCHIPEL_ATTACKS_REPORT")
        if report:
            with open(report, "a") as out:
                out.write(json.dumps({"test": self.id(), "attack": attack, "rss": rss, "grown": None if before is None else rss - before}) + "\n")
        self.assertIn(edge.get("/.still-there").status, (200, 404, 502, 504))
        self.end_well(edge)


# --- requests that two servers read differently ---------------------------------------------------------------------------------

class Smuggling(AttackCase):
    HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

    def odd(self):
        """Odd, and nothing is wrong with it: the edge may pass it on or not, but both sides have to see the same requests."""
        ask = lambda head, body=b"": head + body
        yield ask(b"POST /o HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\n\r\n")
        yield ask(b"POST /o HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b'5;a="\\"0\r\nhello\r\n0\r\n\r\n')
        yield ask(b"POST /o HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ChUnKeD\r\n\r\n", b"00000005\r\nhello\r\n000\r\nX-T: y\r\n\r\n")
        yield ask(b"POST /o HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\nContent-Length: 40\r\nTransfer-Encoding: x\r\n\r\n")
        yield ask(b"GET http://h/o?absolute HTTP/1.1\r\nHost: other\r\n\r\n")
        yield ask(b"GET HTTPS://h:80/o HTTP/1.1\r\nHost: h\r\n\r\n")
        yield ask(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
        yield ask(b"GET /o HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        yield ask(b"GET /o HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", b"hello")
        yield ask(b"DELETE /o HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n")
        yield ask(b"GET /o HTTP/1.1\r\nHost: h\r\nX-Obs: \xe9\xff\r\nX-Empty:\r\nX-Tab:\ta\tb\r\n\r\n")
        yield ask(b"GET /o HTTP/1.1\r\nHost: h\r\n!#$%&'*+-.^_`|~9: token\r\n\r\n")
        yield ask(b"GET /o HTTP/1.1\r\nHost: h\r\nTransfer_Encoding: chunked\r\nContent_Length: 40\r\n\r\n")
        yield ask(b"GET /o HTTP/1.1\r\nHost: h\r\nConnection: Host, Content-Length, X-A, , close\r\nX-A: 1\r\n\r\n")
        yield ask(b"POST /o HTTP/1.1\r\nHost: h\r\nConnection: Content-Length, Transfer-Encoding\r\nContent-Length: 5\r\n\r\n", b"hello")
        yield ask(b"GET /o HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n")
        yield ask(b"GET /o HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n")
        yield ask(b"POST /o HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n", b"hello")
        yield ask(b"POST /o HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", b"hello")
        yield ask(b"POST /o HTTP/1.1\r\nHost: h\r\nExpect: \"100-continue\"\r\nContent-Length: 5\r\n\r\n", b"hello")
        yield ask(b"GET /o HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        yield ask(b"GET /o/../a/%2e%2e/b;x=1?q=%0d%0aX:y&z=%00 HTTP/1.1\r\nHost: h\r\n\r\n")
        yield ask(b"GET //evil.example/o HTTP/1.1\r\nHost: h\r\n\r\n")
        yield ask(b"GET /o\\..\\a HTTP/1.1\r\nHost: h\r\n\r\n")
        yield ask(b"GET /o?" + b"a" * 8000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        yield ask(b"GET /o HTTP/1.1\r\nHost: h\r\nTE: trailers, chunked\r\nTrailer: X\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n\r\n")

    def attack(self, edge, payloads):
        """What was answered from behind the edge, and that it still answers: by how often the origin's body came."""
        def one(payload):
            return edge.raw(test_edge.Attacks.GET + payload).count(b"ORIGIN-SAYS-OK")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return sum(pool.map(one, payloads))

    def behind(self, start):
        """A real server as the origin; its log of requests is compared with the edge's answers."""
        home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-behind-"))
        self.addCleanup(shutil.rmtree, home, True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        process = subprocess.Popen(start(home, port), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(home / "err", "wb"), preexec_fn=gateway.end_with_parent)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            self.fail((home / "err").read_text())
        edge = self.new_edge(f'[[site]]\nname = "www"\nhosts = ["*"]\norigins = ["http://127.0.0.1:{port}"]\n')
        payloads = list(test_edge.Attacks("payloads").payloads()) + list(self.odd())
        answered = self.attack(edge, payloads)
        edge.get("/the-last")
        lines = []
        for _ in range(100):
            lines = (home / "requests.log").read_bytes().decode("latin-1").splitlines()
            if any("/the-last" in line for line in lines):
                break
            time.sleep(0.1)
        lines = [line for line in lines if "/the-last" not in line]
        self.assertEqual([line for line in lines if "smuggled" in line and "GET /o" not in line], [])
        refused = [line for line in lines if line.startswith("400") and "OPTIONS *" not in line]  # which nginx does not know
        self.assertEqual(refused, [], "the server behind refused what the edge passed on")
        self.assertEqual(len([line for line in lines if " /ok" in line]), len(payloads))
        return edge, answered, lines

    def test_smuggling_h1_to_nginx(self):
        nginx = shutil.which("nginx")
        if not nginx:
            self.skipTest("nginx is not installed")

        def start(home, port):
            (home / "nginx.conf").write_text(f"""
daemon off; error_log {home}/error.log; pid {home}/pid; worker_processes 1; events {{ }}
http {{ log_format r '$status $request'; access_log {home}/requests.log r; client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
uwsgi_temp_path {home}/u; scgi_temp_path {home}/s; large_client_header_buffers 4 64k;
server {{ listen 127.0.0.1:{port}; location / {{ add_header cache-control no-store; return 200 ORIGIN-SAYS-OK; }} }} }}
""")
            return [nginx, "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")]
        edge, answered, lines = self.behind(start)
        # nginx answers OPTIONS * and dot segments in its own way; the rest is one for one.
        self.assertEqual(answered, len([line for line in lines if line.startswith("200")]))
        self.finish(edge, "request smuggling, h1 to h1 (nginx)")

    def test_smuggling_h1_to_h2o(self):
        h2o = shutil.which("h2o")
        if not h2o:
            self.skipTest("h2o is not installed")

        def start(home, port):
            (home / "htdocs").mkdir()
            for name in ("ok", "o", "p", "index.html"):
                (home / "htdocs" / name).write_text("ORIGIN-SAYS-OK")
            user = "user: root\n" if os.geteuid() == 0 else ""
            (home / "h2o.conf").write_text(f"""{user}listen:
  host: 127.0.0.1
  port: {port}
access-log:
  path: {home}/requests.log
  format: "%s %r"
num-threads: 1
hosts:
  default:
    paths:
      /:
        file.dir: {home}/htdocs
        header.set: "cache-control: no-store"
""")
            return [h2o, "-c", str(home / "h2o.conf")]
        edge, answered, lines = self.behind(start)
        self.assertEqual(answered, len([line for line in lines if line.startswith("200") and " HEAD" not in line]))
        self.finish(edge, "request smuggling, h1 to h1 (h2o)")

    def test_smuggling_h1_to_a_lenient_origin(self):
        origin = self.new_origin(lambda r: (200, NO_STORE, b"ORIGIN-SAYS-OK"))
        edge = self.new_edge(site(origin))
        payloads = list(test_edge.Attacks("payloads").payloads()) + list(self.odd())
        answered = self.attack(edge, payloads)
        self.assertEqual(origin.seen("/smuggled"), [])
        self.assertEqual(answered, len(origin.seen()))
        for _, target, headers, body in origin.seen():
            names = [n for n, _ in headers]
            self.assertLessEqual(names.count("content-length") + names.count("transfer-encoding"), 1, headers)
            self.assertFalse({"transfer_encoding", "content_length", "upgrade", "http2-settings", "te", "trailer", "keep-alive", "proxy-connection"} & set(names), headers)
            self.assertEqual(names.count("host"), 1)
        self.finish(edge, "request smuggling, h1 to h1 (lenient origin)")

    def test_smuggling_h2_to_h1(self):
        origin = self.new_origin(lambda r: (200, NO_STORE, b"ORIGIN-SAYS-OK"))
        edge = self.new_edge(site(origin), tls=True)
        good = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h"), (b":path", b"/g")]
        swap = lambda name, value: [(n, value if n == name else v) for n, v in good]
        split = b" HTTP/1.1\r\nHost: h\r\n\r\nGET /smuggled HTTP/1.1\r\nX: "
        evil = [swap(b":path", v) for v in (b"/a b", b"/a" + split, b"/a\r\nX: y", b"/a\x00", b"", b"a", b"/a\x7f", b"/a#b", b"*", b"http://h/smuggled")]
        evil += [swap(b":method", v) for v in (b"GET /smuggled HTTP/1.1\r\nX:", b"GET ", b"", b"G\x00T", b"CONNECT", b"TRACE")]
        evil += [swap(b":authority", v) for v in (b"h/smuggled", b"h\r\nX: y", b"h h", b"u@h", b"h,h")]
        evil += [swap(b":scheme", v) for v in (b"http://h/smuggled?", b"")]
        for name, value in [(b"transfer-encoding", b"chunked"), (b"connection", b"close"), (b"keep-alive", b"5"), (b"proxy-connection", b"x"), (b"upgrade", b"h2c"), (b"te", b"gzip"),
                            (b"X-Upper", b"y"), (b"x y", b"z"), (b"x:y", b"z"), (b"x\r\ny", b"z"), (b"x\x00", b"z"), (b"", b"z"), (b"x", b"a\r\nX: b"), (b"x", b"a\nb"), (b"x", b"a\rb"),
                            (b"x", b"a\x00b"), (b":path", b"/smuggled"), (b":status", b"200"), (b":x", b"y"), (b"host", b"other"), (b"content-length", b"5"), (b"content-length", b"+0"),
                            (b"content-length", b"-1"), (b"x", b"a" + split), (b"transfer-encoding", b"")]:
            evil.append(good + [(name, value)])
        evil.append([(b"x", b"before")] + good)
        evil.append(good[1:])
        evil.append(good + [(b"content-length", b"0"), (b"content-length", b"5")])
        statuses = []
        for headers in evil:
            with H2(edge.tls_address) as client:
                client.request(1, headers)
                statuses.append((headers, client.answer(1)))
        seen = origin.seen()
        for headers, status in statuses:
            self.assertNotEqual(status, 200, headers)
        self.assertEqual(seen, [])
        # Bodies whose length lies.
        for said, sent in ((b"5", b"123"), (b"5", b"1234567"), (b"0", b"GET /smuggled HTTP/1.1\r\n\r\n")):
            with H2(edge.tls_address) as client:
                client.request(1, [(b":method", b"POST")] + good[1:] + [(b"content-length", said)], sent)
                self.assertNotEqual(client.answer(1), 200)
        self.assertEqual([r for r in origin.seen() if r[3] not in (b"", b"123")], [])
        # … and the good one works: the test can tell.
        with H2(edge.tls_address) as client:
            client.request(1, good)
            self.assertEqual(client.answer(1), 200)
        self.finish(edge, "request smuggling, h2 to h1")

    def test_response_splitting_and_lies_of_origins(self):
        head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
        bad = {"bare CR": head + b"X: a\rSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nhi", "NUL": head + b"X: a\x00b\r\nContent-Length: 2\r\n\r\nhi",
               "bare LF": head + b"X: a\nSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nhi", "space before colon": head + b"Content-Length : 2\r\n\r\nhi",
               "two lengths": head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", "both": head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
               "coding": head + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "chunk size": head + b"Transfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
               "huge head": head + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(100)) + b"\r\n", "many fields": head + b"X: y\r\n" * 500 + b"\r\n",
               "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "1xx flood": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 200 + head + b"\r\n",
               "no HTTP": b"SSH-2.0-OpenSSH\r\n", "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n", "0.9": b"<html>"}
        origin = self.new_origin()
        edge = self.new_edge(site(origin))
        before = edge.rss()
        for name, text in bad.items():
            origin.answer = lambda r, text=text: (lambda connection, stream: connection.sendall(text))
            answer = edge.raw(b"GET /bad HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            self.assertNotIn(b"evil", answer, name)
            self.assertFalse(answer.endswith(b"hi"), name)
            if name != "chunk size":  # which comes when the head is out already: a reset
                self.assertIn(b"HTTP/1.1 502 ", answer, (name, answer[:300]))
            # Nothing of it is stored.
            origin.answer = lambda r: (200, NO_STORE, b"good")
            self.assertEqual(edge.get("/bad").body, b"good", name)
        # Shorter than it said: never taken for whole, nor stored. Longer: what is too much belongs to nobody.
        origin.answer = lambda r: (lambda connection, stream: connection.sendall(head + b"Content-Length: 10\r\n\r\nshort"))
        with self.assertRaises((http.client.IncompleteRead, OSError)):
            edge.get("/short")
        origin.answer = lambda r: (200, NO_STORE, b"good")
        self.assertEqual(edge.get("/short").body, b"good")
        origin.answer = lambda r: head + b"Content-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        self.assertEqual([edge.get(f"/long{i}").body for i in range(4)], [b"good"] * 4)
        self.finish(edge, "response splitting, origins that lie", before)


class H2:
    """HTTP/2 by hand, over TLS: frames as the test makes them."""

    def __init__(self, address, settings=b""):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(socket.create_connection(address, timeout=30), server_hostname="localhost")
        self.buffer = b""
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(4, 0, 0, settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @staticmethod
    def frame(kind, flags, stream, payload=b""):
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

    @staticmethod
    def number(value, bits, first=0):
        most = (1 << bits) - 1
        if value < most:
            return bytes([first | value])
        out, value = [first | most], value - most
        while value >= 128:
            out.append(value % 128 + 128)
            value //= 128
        return bytes(out + [value])

    @classmethod
    def literal(cls, name, value, indexed=False):
        return bytes([0x40 if indexed else 0]) + cls.number(len(name), 7) + name + cls.number(len(value), 7) + value

    def send(self, data):
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def request(self, stream, headers, body=None):
        block = b"".join(self.literal(n, v) for n, v in headers)
        data = self.frame(1, 4 | (body is None), stream, block)
        if body is not None:
            data += self.frame(0, 1, stream, body)
        self.send(data)

    def read_frame(self):
        """(type, flags, stream, payload), or None at the end."""
        while True:
            if len(self.buffer) >= 9:
                size = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + size:
                    out = (self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big"), self.buffer[9:9 + size])
                    self.buffer = self.buffer[9 + size:]
                    return out
            try:
                more = self.socket.recv(65536)
            except OSError:
                return None
            if not more:
                return None
            self.buffer += more

    def answer(self, stream):
        """The status of its answer: 200, another one as 400; 'reset', 'away' or 'ended'."""
        while frame := self.read_frame():
            kind, _, number, payload = frame
            if kind == 1 and number == stream:
                while payload and payload[0] & 0xe0 == 0x20:  # the table's size may come first
                    size = 1
                    if payload[0] & 0x1f == 0x1f:
                        while payload[size] & 0x80:
                            size += 1
                        size += 1
                    payload = payload[size:]
                return 200 if payload[:1] == b"\x88" else 400
            if kind == 3 and number == stream:
                return "reset"
            if kind == 7:
                return "away"
        return "ended"

    def until_away(self, seconds=20):
        """Reads until the other side has had enough; True if it has."""
        self.socket.settimeout(seconds)
        while frame := self.read_frame():
            if frame[0] == 7:
                return True
        return True


# --- HTTP/2 floods ------------------------------------------------------------------------------------------------------------------

class Http2(AttackCase):
    GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h"), (b":path", b"/h2")]

    def setUp(self):
        self.origin = self.new_origin(lambda r: (200, NO_STORE, b"hello"))
        self.edge = self.new_edge(site(self.origin), tls=True)
        with H2(self.edge.tls_address) as client:
            client.request(1, self.GET)
            self.assertEqual(client.answer(1), 200)
        self.before = self.edge.rss()

    def flood(self, name, chunk, total=200_000_000, settings=b"", prelude=b""):
        """Sends chunk(i) until the edge ends the connection. It must, long before `total` bytes."""
        began, sent, i = time.monotonic(), 0, 0
        with H2(self.edge.tls_address, settings) as client:
            client.send(prelude)
            reader = threading.Thread(target=client.until_away, daemon=True)
            reader.start()
            while sent < total and time.monotonic() - began < 60 and reader.is_alive():
                data = chunk(i)
                i += 1
                if not client.send(data):
                    break
                sent += len(data)
            reader.join(20)
            self.assertFalse(reader.is_alive(), f"{name}: {sent} bytes were taken")
        print(f"{name}: ended after {sent >> 10} KiB", flush=True)
        self.assertLess(self.edge.rss() - self.before, 32 << 20)
        self.finish(self.edge, name, self.before)

    def block(self):
        return b"".join(H2.literal(n, v) for n, v in self.GET)

    def test_rapid_reset(self):
        pair = lambda n: H2.frame(1, 5, n, self.block()) + H2.frame(3, 0, n, struct.pack(">I", 8))
        self.flood("HTTP/2 Rapid Reset", lambda i: b"".join(pair(1 + 2 * (100 * i + k)) for k in range(100)))
        self.assertLess(len(self.origin.seen("/h2")), 2000)

    def test_made_you_reset(self):
        # The server resets: a WINDOW_UPDATE of 0 on each stream.
        pair = lambda n: H2.frame(1, 5, n, self.block()) + H2.frame(8, 0, n, struct.pack(">I", 0))
        self.flood("HTTP/2 MadeYouReset", lambda i: b"".join(pair(1 + 2 * (100 * i + k)) for k in range(100)))

    def test_continuation_flood(self):
        self.flood("HTTP/2 CONTINUATION flood", lambda i: H2.frame(9, 0, 1, H2.literal(b"x-%d" % i, b"a" * 4000)), prelude=H2.frame(1, 0, 1, self.block()))

    def test_empty_continuation_flood(self):
        self.flood("HTTP/2 empty CONTINUATION flood", lambda i: H2.frame(9, 0, 1) * 500, prelude=H2.frame(1, 0, 1, self.block()))

    def test_settings_flood(self):
        self.flood("HTTP/2 SETTINGS flood", lambda i: H2.frame(4, 0, 0, struct.pack(">HI", 4, 65535)) * 200)

    def test_ping_flood(self):
        self.flood("HTTP/2 PING flood", lambda i: H2.frame(6, 0, 0, bytes(8)) * 200)

    def test_empty_data_flood(self):
        post = b"".join(H2.literal(n, b"POST" if n == b":method" else v) for n, v in self.GET)
        self.flood("HTTP/2 empty DATA flood", lambda i: H2.frame(0, 0, 1) * 500, prelude=H2.frame(1, 4, 1, post))

    def test_priority_flood(self):
        self.flood("HTTP/2 PRIORITY flood", lambda i: H2.frame(2, 0, 1 + 2 * (i % 1000), struct.pack(">IB", 0, 1)) * 200)

    def test_hpack_bomb(self):
        # One large entry of the dynamic table, named again and again: a byte stands for 4,000.
        big = H2.literal(b"x", b"a" * 4000, indexed=True)
        with H2(self.edge.tls_address) as client:
            client.send(H2.frame(1, 5, 1, self.block() + big))
            self.assertEqual(client.answer(1), 200)
            for stream in range(3, 203, 2):
                client.send(H2.frame(1, 5, stream, self.block() + b"\xbe" * 8000))  # 8 KB that stand for 32 MB
                answer = client.answer(stream)
                self.assertNotEqual(answer, 200)
                if answer in ("away", "ended"):
                    break
            self.assertLess(self.edge.rss() - self.before, 16 << 20)
        self.assertEqual(len(self.origin.seen("/h2")), 2)
        self.finish(self.edge, "HPACK bomb", self.before)


# --- what is stored, and for whom -----------------------------------------------------------------------------------------------

class Poisoning(AttackCase):
    def test_cache_poisoning_by_unkeyed_input(self):
        """An origin that puts whatever it hears into its page: what a client can make it hear is in the key, or does not arrive."""
        names = ["X-Forwarded-Host", "X-Forwarded-Scheme", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-For", "Forwarded", "X-Host",
                 "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Host", "X-Real-IP", "True-Client-IP", "X-Client-IP",
                 "X_Forwarded_Host", "X_Forwarded_Proto", "X-Forwarded_Host", "X_HTTP_Method_Override", "X-Middleware-Subrequest", "X-Invoke-Status", "Proxy", "Transfer_Encoding"]

        def mirror(r):
            heard = " ".join(v for n, v in r[2] if n not in ("via", "user-agent", "accept", "x-forwarded-for"))
            return (200, MINUTE, f"{r[0]} {r[1]} {heard}".encode())
        origin = self.new_origin(mirror)
        edge = self.new_edge(site(origin))
        before = edge.rss()
        for i, name in enumerate(names):
            self.assertNotIn(b"evil", edge.get(f"/p{i}", {name: "evil"}).body, name)
            self.assertNotIn(b"evil", edge.get(f"/p{i}").body, name)
        # Host: as it is in the key, whatever the capitals and the usual port; the target: byte for byte.
        body = edge.raw(b"GET /case HTTP/1.1\r\nHost: WWW.Example.ORG:80\r\nConnection: close\r\n\r\n")
        self.assertIn(b"www.example.org", body)
        self.assertNotIn(b"WWW", body)
        self.assertEqual(dict(origin.seen("/case")[0][2])["host"], "www.example.org")
        self.finish(edge, "cache poisoning, unkeyed input", before)

    def test_cache_key_confusion(self):
        """Targets that some servers take for one another: each has its own answer here, and the origin sees it byte for byte."""
        targets = ["/a/b", "/a//b", "/a/./b", "/a/x/../b", "/a%2fb", "/a%2Fb", "/A/b", "/a/b/", "/a/b?", "/a/b?x", "/a/b;x", "/a/b%3fx", "/a/b%00", "/a/b%20", "/a/b+", "/a\\b", "/a/%62",
                   "/a/b?x=1&y=2", "/a/b?y=2&x=1", "/a/b?x=1;y=2", "/a/b?x=1&x=1", "/a/b?X=1", "/a/b??x", "/a/b?x=%31", "//a/b", "/a/b?x#".rstrip("#") + "%23"]
        origin = self.new_origin(lambda r: (200, MINUTE, f"{field(r, 'host')} {r[1]}".encode()))
        edge = self.new_edge(site(origin))
        for _ in range(2):
            for target in targets:
                self.assertEqual(edge.get(target, {"Host": "h"}).body, f"h {target}".encode(), target)
        self.assertEqual(len(origin.seen()), len(targets))
        hosts = ["h", "h:8080", "h.", "other", "[::1]", "h:08080"]
        for _ in range(2):
            for host in hosts:
                self.assertEqual(edge.get("/host", {"Host": host}).body, f"{host} /host".encode())
        self.assertIn(b" 400 ", edge.raw(b"GET / HTTP/1.1\r\nHost: h\r\nHost: other\r\n\r\n")[:20])
        absolute = edge.raw(b"GET http://other/host HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertTrue(absolute.endswith(b"other /host"), absolute)
        self.finish(edge, "cache key confusion")

    def test_parameter_cloaking(self):
        origin = self.new_origin(lambda r: (200, MINUTE, r[1].encode()))
        edge = self.new_edge(site(origin, more='[site.key]\nignore = ["utm_source"]\n'))
        for cloaked in ("/p?utm_source=x;callback=evil", "/p?utm_source=x%26callback=evil", "/p?utm_source=evil", "/p?utm_source=a&utm_source=evil"):
            self.assertNotIn(b"evil", edge.get(cloaked).body)
        self.assertEqual(edge.get("/p").body, b"/p")
        for other in ("/p?utm_source%20=evil", "/p?utm%5fsource=evil", "/p?UTM_SOURCE=evil", "/p?a=1;utm_source=evil"):
            self.assertEqual(edge.get(other).body, other.encode())  # counts, and is in the key
        self.assertEqual(edge.get("/p").body, b"/p")
        self.finish(edge, "parameter cloaking")

    def test_fat_get(self):
        origin = self.new_origin(lambda r: (200, MINUTE, b"page:" + r[3]))
        edge = self.new_edge(site(origin))
        for _ in range(2):
            self.assertEqual(edge.get("/fat", body=b"q=evil").body, b"page:q=evil")
        self.assertEqual(edge.get("/fat").body, b"page:")
        self.assertEqual(edge.get("/fat", body=b"q=evil").body, b"page:q=evil")
        self.assertEqual(edge.get("/fat").body, b"page:")
        self.assertEqual(len(origin.seen("/fat")), 4)
        self.finish(edge, "fat GET")

    def test_hop_by_hop_abuse(self):
        """Connection takes nothing away that the origin needs, or the key holds."""
        def page(r):
            return (200, MINUTE, " ".join([field(r, "x-device") or "none", field(r, "cookie") or "none", field(r, "x-forwarded-for") or "none", field(r, "authorization") or "none"]).encode())
        origin = self.new_origin(page)
        edge = self.new_edge(site(origin, more='[site.key]\nheaders = ["x-device"]\n'))
        hide = {"Connection": "close, X-Device, Cookie, X-Forwarded-For, Authorization, Host, Via, Cache-Control", "X-Device": "mobile", "Cookie": "c"}
        self.assertEqual(edge.get("/d", hide).body, b"mobile c 127.0.0.1 none")
        self.assertEqual(edge.get("/d", {"X-Device": "mobile"}).body, b"mobile c 127.0.0.1 none")
        self.assertEqual(edge.get("/d").body, b"none none 127.0.0.1 none")
        self.assertEqual(edge.get("/v", dict(hide, Authorization="a", Cookie="c")).body, b"mobile c 127.0.0.1 a")
        # By a response: what it names goes, Set-Cookie and Cache-Control stay.
        origin.answer = lambda r: (200, [("connection", "x-hop, set-cookie, cache-control"), ("x-hop", "1"), ("set-cookie", "a=b"), ("cache-control", "private")], b"mine")
        answer = edge.get("/r")
        self.assertIsNone(answer.getheader("x-hop"))
        self.assertEqual(answer.getheader("set-cookie"), "a=b")
        edge.get("/r")
        self.assertEqual(len(origin.seen("/r")), 2)
        self.finish(edge, "hop-by-hop abuse")

    def test_cpdos(self):
        """HHO, HMC, HMO: a request that the origin refuses because of its fields never makes others get the refusal."""
        def picky(r):
            fields = dict(r[2])
            if len(fields.get("x-oversized", "")) > 4000:
                return (400, [("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")], b"refused")
            if "x-meta" in fields or fields.get("host") != fields.get("host", "").lower():
                return (404 if fields.get("host") != fields.get("host", "").lower() else 400, [], b"refused")
            if any(n in fields for n in ("x-http-method-override", "x-amz-website-redirect-location", "x-invoke-status")) or r[0] != "GET":
                return (405, [("cache-control", "public")], b"refused")
            return (200, [("cache-control", "max-age=600")], b"hello")
        origin = self.new_origin(picky)
        edge = self.new_edge(site(origin, more='[site.cache]\nnegative_ttl = "10s"\n'))
        attacks = {"hho": {"X-Oversized": "a" * 8000}, "hmc": {"X-Meta": "\x01".encode().hex()}, "hmo": {"X-HTTP-Method-Override": "POST"}, "next": {"X-Invoke-Status": "500"},
                   "host": {"Host": "H.EXAMPLE"}, "range": {"Range": "bytes=cow"}, "expect": {"Expect": "cow"}, "many": {f"X-{i}": "a" for i in range(100)}}
        for name, headers in attacks.items():
            edge.get(f"/{name}", headers)
            victim = edge.get(f"/{name}", {"Host": "h.example"} if name == "host" else None)
            self.assertEqual((victim.status, victim.body), (200, b"hello"), name)
        for raw in (b"X: a\x07b", b"X: a\rb", b"\x00X: y", b"X" * 40000 + b": y"):
            self.assertNotIn(b" 200 ", edge.raw(b"GET /raw HTTP/1.1\r\nHost: h\r\n" + raw + b"\r\n\r\n")[:13])
        self.assertEqual(edge.get("/raw").body, b"hello")
        self.finish(edge, "CPDoS: HHO, HMC, HMO")

    def test_web_cache_deception(self):
        """/account with something behind it that looks static: what is for one client stays his, whatever the path looks like."""
        suffixes = ["", "/x.css", "/nonexistent.js", ";x.css", ";.js", "%3bx.css", "%2fx.css", "%00.css", "%0a.css", "%23.css", "%3f.css", "/..%2fstatic.css", "?x.css", "/.png", "%2e%2e/x.ico", "/%2e%2e%2fa.woff"]
        for headers in ([("cache-control", "private, max-age=60")], [("cache-control", "no-store")], [("set-cookie", "s=1"), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")],
                        [("cache-control", "max-age=60"), ("vary", "cookie")], []):
            origin = self.new_origin(lambda r, headers=headers: (200, headers + [("content-type", "text/html")], b"account of " + (field(r, "cookie") or "nobody").encode()))
            edge = self.new_edge(site(origin))
            for suffix in suffixes:
                self.assertEqual(edge.get("/account" + suffix, {"Cookie": "victim"}).body, b"account of victim")
                self.assertEqual(edge.get("/account" + suffix).body, b"account of nobody", (suffix, headers))
            self.assertEqual({r[1] for r in origin.seen()}, {"/account" + s for s in suffixes})
            self.finish(edge, "web cache deception")

    def test_private_responses_stay_private(self):
        """Set-Cookie by guess, Authorization, private, no-store: for one client alone."""
        origin = self.new_origin()
        edge = self.new_edge(site(origin))
        count = iter(range(10_000))
        for i, (headers, asked) in enumerate([([("set-cookie", "s=1"), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")], {}), (MINUTE, {"Authorization": "Basic eA=="}),
                                              ([("cache-control", "private, max-age=60")], {}), ([("cache-control", "no-store, max-age=60")], {}), ([("cache-control", "max-age=60"), ("vary", "*")], {}),
                                              ([("cache-control", "max-age=60"), ("cache-control", "private")], {}), ([("cache-control", 'max-age=60, PRIVATE')], {})]):
            origin.answer = lambda r, headers=headers: (200, headers, str(next(count)).encode())
            self.assertNotEqual(edge.get(f"/{i}", asked).body, edge.get(f"/{i}").body, headers)
        self.finish(edge, "responses for one client")

    def test_vary_explosion(self):
        """20,000 variants of one page, 64 KiB each, in 16 MiB of memory: what is stored stays within it, and others stay stored."""
        origin = self.new_origin(lambda r: (200, [("cache-control", "max-age=600"), ("vary", "x-v, accept-encoding, user-agent")], b"x" * 65536))
        edge = self.new_edge('[cache]\nmemory = "16M"\n' + site(origin))
        before = edge.rss()

        def many(first):
            connection = http.client.HTTPConnection(*edge.address, timeout=60)
            for i in range(first, first + 1000):
                connection.request("GET", "/v", headers={"X-V": str(i), "User-Agent": f"a{i}", "Accept-Encoding": f"br;q=0.{i % 9}, gzip"})
                connection.getresponse().read()
            connection.close()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(many, range(0, 4000, 1000)))
        # Codings are normalised: their order, weights and inventions make no variants.
        origin.forget()
        origin.answer = lambda r: (200, [("cache-control", "max-age=600"), ("vary", "accept-encoding")], b"page")
        for coding in ("gzip, br", "br,gzip", "br;q=0.9, gzip;q=0.1", "BR, x-gzip", "br, gzip, cow", "identity, br , gzip"):
            edge.get("/c", {"Accept-Encoding": coding})
        self.assertEqual(len(origin.seen("/c")), 1)
        self.assertLess(edge.rss() - before, 64 << 20)
        self.finish(edge, "Vary and Accept-Encoding explosion", before)


# --- amplification and exhaustion -------------------------------------------------------------------------------------------------

class Exhaustion(AttackCase):
    def test_range_amp(self):
        """SBR: one byte of 25 MiB costs the origin two slices at most. OBR: many overlapping ranges are never more than the object."""
        size = 25 << 20
        body = bytes(size)
        sent = []

        def ranged(r):
            asked = field(r, "range")
            fields = MINUTE + [("etag", '"v"'), ("accept-ranges", "bytes")]
            if not asked:
                sent.append(size)
                return (200, fields, body)
            first, _, last = asked.partition("=")[2].partition("-")
            first, last = (size - int(last), size - 1) if not first else (int(first), min(int(last or size), size - 1))
            sent.append(last - first + 1)
            return (206, fields + [("content-range", f"bytes {first}-{last}/{size}")], body[first:last + 1])
        origin = self.new_origin(ranged)
        edge = self.new_edge('[cache]\nmemory = "64M"\n' + site(origin))
        before = edge.rss()
        for asked in ("bytes=0-0", "bytes=-1", "bytes=1048575-1048576", f"bytes={size - 1}-"):
            sent.clear()
            self.assertLessEqual(len(edge.get("/sbr" + asked[6:], {"Range": asked}).body), 2)
            self.assertLessEqual(sum(sent), 2 << 20, asked)
        many = "bytes=" + ",".join(["0-"] * 1000)
        answer = edge.get("/sbr0-0", {"Range": many})
        self.assertLessEqual(len(answer.body), size)
        answer = edge.get("/sbr0-0", {"Range": "bytes=" + ",".join(f"{i}-{i}" for i in range(0, 4000, 2))})
        self.assertLessEqual(len(answer.body), size)
        # The OBR of a page that is not stored yet, at an origin that has no ranges.
        origin.answer = lambda r: (200, MINUTE, body[:1 << 20])
        self.assertLessEqual(len(edge.get("/obr", {"Range": many}).body), 1 << 20)
        self.finish(edge, "RangeAmp: SBR, OBR", before)

    def test_thundering_herd(self):
        """300 clients on a cold page are one fetch; on a private one each gets his own, none waits for another's."""
        ready = threading.Event()

        def slow(r):
            ready.wait(20)
            return (200, MINUTE if "public" in r[1] else [("cache-control", "private")], b"hello")
        origin = self.new_origin(slow)
        edge = self.new_edge(site(origin))
        before = edge.rss()
        for target, most in (("/public", 1), ("/private", 301)):
            ready.clear()
            with concurrent.futures.ThreadPoolExecutor(300) as pool:
                waiting = [pool.submit(edge.get, target) for _ in range(300)]
                time.sleep(1)
                ready.set()
                self.assertTrue(all(w.result().body == b"hello" for w in waiting))
            self.assertLessEqual(len(origin.seen(target)), most)
        self.finish(edge, "thundering herd, uncacheable serialisation", before)

    def test_slow_readers(self):
        """2,000 clients, each on a body of his own of 4 MiB, none of them reading: what the edge holds for them is bounded by [limits] reader_memory."""
        size, count = 4 << 20, 2000
        body = bytes(size)
        origin = self.new_origin(lambda r: (200, MINUTE, body))
        edge = self.new_edge('[cache]\nmemory = "16M"\n' + site(origin, more="origin_connections = 4000\n"),
                             limits='reader_memory = "64M"\nconnections = 4000\nbody_timeout = "120s"\n')
        before = edge.rss()
        clients = []
        for i in range(count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(60)
            client.connect(edge.address)
            client.sendall(f"GET /slow{i} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            clients.append(client)
        deadline, grown = time.monotonic() + 15, 0
        while time.monotonic() < deadline:
            grown = max(grown, edge.rss() - before)
            time.sleep(0.5)
        print(f"slow readers: {grown >> 10} KiB more for {count} clients of {size >> 20} MiB; {len(origin.seen())} asked of the origin", flush=True)
        metrics = edge.admin("/metrics", token=False).body.decode()
        held = int(next(line.split()[1] for line in metrics.splitlines() if line.startswith("archipel_edge_reader_bytes ")))
        self.assertLessEqual(held, (64 << 20) + count * (32 << 10))
        self.assertLess(grown, (64 << 20) + (16 << 20) + count * (96 << 10))
        for client in clients:
            client.close()
        self.assertEqual(len(edge.get("/good").body), size)
        self.finish(edge, "slow read by 2,000 clients", before)

    def test_slow_origins(self):
        """An origin that sends its head byte by byte is given up at the deadline; one that stops in its body takes nobody else with it."""
        def drip(connection, _stream):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            for _ in range(300):
                connection.sendall(b"a")
                time.sleep(0.1)
        origin = self.new_origin(lambda r: drip if r[1] == "/drip" else (200, MINUTE, b"hello"))
        edge = self.new_edge(site(origin).replace("origins =", 'response_timeout = "2s"\norigins ='))
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            waiting = [pool.submit(edge.get, "/drip") for _ in range(20)]
            for i in range(20):
                self.assertEqual(edge.get(f"/fast{i}").body, b"hello")
            self.assertTrue(all(w.result().status == 504 for w in waiting))
        self.assertLess(time.monotonic() - began, 20)
        self.finish(edge, "slow origins")

    def test_decompression_bomb(self):
        """A gzip body of 256 MiB of zeros passes as it is; nothing is unpacked, not even for a client that takes no gzip."""
        packed = gzip.compress(bytes(256 << 20), 1)
        origin = self.new_origin(lambda r: (200, MINUTE + [("content-encoding", "gzip"), ("content-type", "text/html")], packed))
        edge = self.new_edge(site(origin, more="[site.compress]\non = true\n"))
        before = edge.rss()
        for accepted in ("gzip", "identity", "br"):
            self.assertEqual(edge.get("/bomb", {"Accept-Encoding": accepted}).body, packed)
        self.assertLess(edge.rss() - before, 64 << 20)
        self.finish(edge, "decompression bomb", before)

    def test_hash_flooding(self):
        """Keys, fields and tags by the ten thousand, as alike as can be: their hashes have a secret, and what is kept is bounded."""
        origin = self.new_origin(lambda r: (200, MINUTE + [("cache-tag", ",".join(f"Aa{i}BB" for i in range(200)))], b"x"))
        edge = self.new_edge('[cache]\nmemory = "16M"\n' + site(origin))
        before = edge.rss()
        # Pairs that collide in many hashes of the times-31 kind: "Aa" and "BB".
        words = [""]
        for _ in range(13):
            words = [w + part for w in words for part in ("Aa", "BB")]

        def ask(part):
            connection = http.client.HTTPConnection(*edge.address, timeout=60)
            for word in part:
                connection.request("GET", "/" + word)
                connection.getresponse().read()
            connection.close()
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, [words[i::4] for i in range(4)]))
        print(f"hash flooding: {len(words)} keys in {time.monotonic() - began:.1f} s", flush=True)
        self.assertIn(b" 431 ", edge.raw(b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%s: y\r\n" % w.encode() for w in words[:200]) + b"\r\n")[:20])
        self.assertLess(edge.rss() - before, 48 << 20)
        self.finish(edge, "hash flooding", before)

    def test_connection_flood(self):
        """More connections than [limits] connections are closed at once; those within are served."""
        origin = self.new_origin()
        edge = self.new_edge(site(origin), limits="connections = 200\n")
        before = edge.rss()
        clients = [socket.create_connection(edge.address, timeout=20) for _ in range(1000)]
        kept = 0
        for client in clients:
            client.settimeout(5)
            try:
                client.sendall(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
                kept += client.recv(100).startswith(b"HTTP/1.1 200")
            except OSError:
                pass
        self.assertLessEqual(kept, 200)
        self.assertGreaterEqual(kept, 190)
        for client in clients:
            client.close()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if edge.get("/a").status == 200:
                    break
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
        self.finish(edge, "connection flood", before)

    def push(self, edge):
        """SIGHUP, and until it is decided."""
        decided = lambda: sum(edge.stderr().count(word) for word in ("config.refused", "config.reloaded"))
        before = decided()
        edge.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while decided() == before:
            self.assertIsNone(edge.process.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def test_poisoned_config_push(self):
        """Oversized, broken, deep or merely strange: the last good configuration stays, and the process lives."""
        origin = self.new_origin()
        edge = self.new_edge(site(origin))
        good = edge.file.read_text()
        before = edge.rss()
        pushes = {"empty": "", "garbage": "\x00\x01\x02", "oversized": good + "# " + "x" * (2 << 20), "deep": "a = " + "[" * 5000 + "]" * 5000, "cut": good[:-20], "unknown key": good + "colour = 1\n",
                  "no sites": good.split("[[site]]")[0], "twice": good + good.split("]\n", 1)[1], "wild numbers": good + "[site.limit]\nrate = 1e999\n", "hosts": good.replace('"*"', '"a b"'),
                  "origin": good.replace("http://127.0.0.1", "gopher://x"), "many": good + "".join(f'[[site]]\nname = "s{i}"\nhosts = ["h{i}"]\norigins = ["http://127.0.0.1:1"]\n' for i in range(10_001)),
                  "not UTF-8": None}
        for name, text in pushes.items():
            if text is None:
                edge.file.write_bytes(good.encode() + b'# \xff\xfe\n[site.headers]\nrequest_set = ["x: \xff"]\n')
            else:
                edge.file.write_text(text)
            self.push(edge)
            self.assertEqual(edge.get("/a").body, b"hello", name)
        edge.file.unlink()
        self.push(edge)
        self.assertEqual(edge.get("/a").body, b"hello")
        edge.file.write_text(good)
        edge.reload()
        self.finish(edge, "poisoned config push", before)


if __name__ == "__main__":
    unittest.main()
