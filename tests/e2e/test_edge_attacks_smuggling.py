"""Attacks on the edge by requests and responses that two servers read differently. docs/edge-attacks.md names these tests.

Origins here are lenient or hostile on purpose (edge.py); where nginx or h2o are at hand, they stand behind the edge, too: what they make of what it passes on is compared with
what it took it for.
"""
import concurrent.futures
import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

import gateway
from edge_attack import H2, MINUTE, NO_STORE, AttackCase
from test_edge import SITE, site


class Smuggling(AttackCase):
    once_is_enough = True
    GET = b"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n"
    HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

    def payloads(self):
        hidden = self.HIDDEN
        length = str(len(hidden)).encode()
        post = lambda fields, body, version=b"HTTP/1.1": b"POST /p " + version + b"\r\nHost: h\r\n" + fields + b"\r\n" + body
        both = b"Content-Length: %s\r\nTransfer-Encoding: chunked\r\n" % length
        yield post(both, b"0\r\n\r\n" + hidden)
        yield post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n" + hidden)
        for coding in (b"xchunked", b"chunked, identity", b"identity, chunked", b"gzip, chunked", b"chunked, chunked", b"\x0bchunked", b"chunked\x00", b'"chunked"', b"Chunked ;x",
                       b"identity", b"", b"chunked,", b",chunked,gzip", b"cow", b"chunked\xa0"):
            yield post(b"Transfer-Encoding: " + coding + b"\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + hidden)
            yield post(b"Transfer-Encoding: " + coding + b"\r\n", b"5\r\nhello\r\n0\r\n\r\n" if coding in (b"cow",) else b"0\r\n\r\n" + hidden)
        for name in (b"Transfer-Encoding ", b"Transfer-Encoding\t", b" Transfer-Encoding", b"Transfer_Encoding", b"Transfer-Encoding\x00", b"X: y\nTransfer-Encoding",
                     b"X: y\rTransfer-Encoding", b"Transfer-Encoding:chunked\r\nTransfer-Encoding"):
            yield post(name + b": chunked\r\nContent-Length: %s\r\n" % length, b"0\r\n\r\n" + hidden)
        for value in (b"+5", b"-1", b"0x5", b"5 5", b"5,5", b"5, 6", b"5_0", b"", b" ", b"99999999999999999999", b"5;x", b"\x0b5", b"5\x00", b"1e1", b"5.0", b"%35"):
            yield post(b"Content-Length: " + value + b"\r\n", b"hello" + hidden)
        yield post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello" + hidden)
        yield post(b"Content-Length: 5\r\nContent-Length: 05\r\n", b"hello" + hidden)
        for size in (b"0x5", b"+5", b"-5", b"5_", b" 5", b"5 ;", b"", b"g", b"fffffffffffffffff", b"5\n", b"05\x00"):
            yield post(b"Transfer-Encoding: chunked\r\n", size + b"\r\nhello\r\n0\r\n\r\n" + hidden)
        yield post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhelloXX0\r\n\r\n" + hidden)
        yield post(b"Transfer-Encoding: chunked\r\n", b"5\nhello\n0\n\n" + hidden)
        yield post(b"Transfer-Encoding: chunked\r\n", b"5;a\rb\r\nhello\r\n0\r\n\r\n" + hidden)
        yield post(b"Transfer-Encoding: chunked\r\n", b'5;a="\r\nhello\r\n0\r\n\r\n"' + hidden)
        yield post(b"Transfer-Encoding: chunked\r\n", b"5;a\n5\r\nhello\r\n0\r\n\r\n" + hidden)
        yield post(b"Transfer-Encoding: chunked\r\n", b"0\r\nX: y\n\r\n" + hidden)
        yield post(b"Transfer-Encoding: chunked\r\n", b"0\r\n0\r\n\r\n" + hidden, b"HTTP/1.0")
        yield post(b"X: a\r\n b\r\nContent-Length: 0\r\n", hidden)
        yield post(b"X: a\r\n\tTransfer-Encoding: chunked\r\n", hidden)
        yield b"POST /p HTTP/1.1\nHost: h\nContent-Length: 0\n\n" + hidden
        yield b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\n\r\n" + hidden
        yield b"POST /p HTTP/1.1\rHost: h\r\r" + hidden
        yield b"GET /p HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + hidden
        yield b"GET /p HTTP/1.1\r\nHost: a b\r\n\r\n" + hidden
        yield b"GET /p HTTP/1.1\r\n\r\n" + hidden
        yield b"GET /p\r\n\r\n" + hidden
        yield b"GET  /p HTTP/1.1\r\nHost: h\r\n\r\n" + hidden
        yield b"GET /p HTTP/1.1 x\r\nHost: h\r\n\r\n" + hidden
        yield b"GET /p x HTTP/1.1\r\nHost: h\r\n\r\n" + hidden
        yield b"GET /p\x00 HTTP/1.1\r\nHost: h\r\n\r\n" + hidden
        yield b"GET /p HTTP/1.2345\r\nHost: h\r\n\r\n" + hidden
        yield b"GET /p HTTP/2.0\r\nHost: h\r\n\r\n" + hidden
        yield b"GET http://a\r\nb/ HTTP/1.1\r\nHost: h\r\n\r\n" + hidden
        yield b"GE(T /p HTTP/1.1\r\nHost: h\r\n\r\n" + hidden

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
            return edge.raw(self.GET + payload).count(b"ORIGIN-SAYS-OK")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return sum(pool.map(one, payloads))

    def behind(self, start):
        """A real server as the origin; its log of requests is compared with the edge's answers."""
        home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-behind-"))
        self.addCleanup(shutil.rmtree, home, True)
        port = gateway.free_port()
        process = subprocess.Popen(start(home, port), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(home / "err", "wb"), preexec_fn=gateway.end_with_parent)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

        def serves():
            self.assertIsNone(process.poll(), (home / "err").read_text())
            try:
                socket.create_connection(("127.0.0.1", port), 60).close()
            except OSError:
                return False
            return True
        self.until(serves, "the server behind the edge")
        edge = self.new_edge(f'[[site]]\nname = "www"\nhosts = ["*"]\norigins = ["http://127.0.0.1:{port}"]\n')
        payloads = list(self.payloads()) + list(self.odd())
        answered = self.attack(edge, payloads)
        edge.get("/the-last")
        logged = lambda: (home / "requests.log").read_bytes().decode("latin-1")
        self.until(lambda: "/the-last" in logged(), "the last request in its log")
        lines = [line for line in logged().splitlines() if "/the-last" not in line]
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
        payloads = list(self.payloads()) + list(self.odd())
        self.assertGreaterEqual(len(payloads), 100)
        answered = self.attack(edge, payloads)
        # Whatever the edge passed on it answered for, one by one, in its own framing.
        self.assertEqual(origin.seen("/smuggled"), [])
        self.assertEqual(len(origin.seen("/ok")), len(payloads))
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
        for i, text in enumerate([b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
                                  b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", b"garbage\r\n\r\n", b"HTTP/1.1 99 X\r\n\r\n"]):
            origin.answer = lambda r, text=text: text  # and the connection stays open: it must not be used again
            self.assertEqual(edge.get(f"/kept{i}").status, 502, text)
            origin.answer = lambda r: (200, NO_STORE, b"good")
            self.assertEqual(edge.get(f"/good{i}").body, b"good", text)
        # Shorter than it said: never taken for whole, nor stored. Longer: what is too much belongs to nobody.
        origin.answer = lambda r: (lambda connection, stream: connection.sendall(head + b"Content-Length: 10\r\n\r\nshort"))
        with self.assertRaises((http.client.IncompleteRead, OSError)):
            edge.get("/short")
        origin.answer = lambda r: (200, NO_STORE, b"good")
        self.assertEqual(edge.get("/short").body, b"good")
        origin.answer = lambda r: head + b"Content-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        self.assertEqual([edge.get(f"/long{i}").body for i in range(4)], [b"good"] * 4)
        self.finish(edge, "response splitting, origins that lie")

    def test_origin_that_speaks_in_clear_before_tls(self):
        """Somebody between the edge and an https origin answers in clear, before the handshake (CVE-2026-1642): nobody believes him."""
        def inject(listener):
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nevil")
                    try:
                        connection.settimeout(30)
                        while connection.recv(4096):
                            pass
                    except OSError:
                        pass
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        threading.Thread(target=inject, args=(listener,), daemon=True).start()
        edge = self.new_edge(SITE.format(f'"https://127.0.0.1:{listener.getsockname()[1]}"'))
        for i in range(10):
            answer = edge.get(f"/{i % 2}")
            self.assertIn(answer.status, (502, 503))
            self.assertNotIn(b"evil", answer.body)
        listener.shutdown(socket.SHUT_RDWR)
        self.finish(edge, "an origin's answer in clear, before TLS")

    def test_cache_hit_without_draining_the_body(self):
        origin = self.new_origin()
        edge = self.new_edge(site(origin))
        edge.get("/cached")
        body = self.HIDDEN
        with_body = b"GET /cached HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        edge.raw(with_body + self.GET)
        self.assertEqual(origin.seen("/smuggled"), [])
        self.assertEqual(len(origin.seen("/ok")), 1)
        # Nor where the body is announced only, and larger than the edge would read for nothing: no answer, and no request, is made of it.
        large = b"GET /cached HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n" + body * 40_000
        self.assertLessEqual(edge.raw(large + self.GET).count(b"HTTP/1.1 "), 1)
        # What the edge answers by itself, before anybody has looked at the body.
        traced = b"TRACE /cached HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        self.assertEqual(edge.raw(traced + self.GET).count(b"HTTP/1.1 "), 2)
        chunked = b"GET /cached HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
        self.assertEqual(edge.raw(chunked + self.GET).count(b"HTTP/1.1 200"), 2)
        self.assertEqual(origin.seen("/smuggled"), [])
        self.finish(edge, "cache hit without draining the body", stores=True)

    def test_upgrade_passes_bytes_only_after_101(self):
        origin = self.new_origin(lambda r: (200, [("cache-control", "no-store")], b"no websocket here"))
        edge = self.new_edge(site(origin))
        ask = b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
        edge.raw(ask + self.HIDDEN.replace(b"/smuggled", b"/second"))
        # The bytes behind the request are the next request, read by the edge itself; they never reach the origin in the upgrade's tow.
        self.assertEqual([r[1] for r in origin.seen()], ["/ws", "/second"])
        second = dict(origin.seen("/second")[0][2])
        self.assertIn("via", second, "the second request went around the edge")

        def echo(connection, stream):
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\nhi:")
            while data := connection.recv(4096):
                connection.sendall(data.upper())
        origin.answer = lambda r: echo
        with socket.create_connection(edge.address, timeout=60) as client:
            client.sendall(ask)
            answer = self.receive_until(client, lambda a: b"hi:" in a)
            self.assertIn(b" 101 ", answer)
            self.assertIn(b"upgrade: websocket", answer.lower())
            client.sendall(b"hello")
            self.assertEqual(self.receive_until(client, lambda a: len(a) >= 5), b"HELLO")
        # h2c: a request could hide behind it. It is answered as if it had not asked.
        origin.answer = lambda r: (200, [("cache-control", "no-store")], b"plain")
        edge.raw(ask.replace(b"/ws", b"/h2c").replace(b"websocket", b"h2c"))
        self.assertNotIn("upgrade", dict(origin.seen("/h2c")[0][2]))
        self.finish(edge, "upgrade before 101, h2c smuggling")


if __name__ == "__main__":
    unittest.main()
