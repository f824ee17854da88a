"""What the attacks on the edge share (test_edge_attacks_*.py): an edge whose limits are small and said, its memory, and HTTP/2 by hand.

How much memory an attack may cost follows from the limits that the edge was given: see AttackCase.finish().
"""
import json
import os
import pathlib
import re
import select
import socket
import ssl
import struct
import subprocess
import threading

from edge import Edge, EdgeCase

NO_STORE = [("cache-control", "no-store")]
MINUTE = [("cache-control", "max-age=60")]
QUIET = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"}  # what is freed is no memory of the edge's

MIB = 1 << 20
ITSELF = 32 * MIB  # code, pools and tables that come with the first requests, whatever is asked
SANITIZED = 2  # what a byte of ours costs at most in a build with sanitizers
CONNECTION = 48 << 10  # a request line of 16 KiB, fields of 32 KiB


def field(request, name):
    return dict(request[2]).get(name)


class AttackCase(EdgeCase):
    cache = readers = 16 * MIB  # of every edge here, unless its configuration says something else

    def new_edge(self, config, tls=False, limits="", environment=None, files=None, **more):
        """`files`: by name, what lies beside the configuration, for its owner alone."""
        if "reader_memory" not in limits:
            limits += f'reader_memory = "{self.readers >> 20}M"\n'
        if "[cache]" not in config:
            config = f'[cache]\nmemory = "{self.cache >> 20}M"\n' + config
        text = f"[limits]\nthreads = 1\n{limits}" + config
        edge = Edge(text, **more)
        self.addCleanup(edge.destroy)
        for name, content in (files or {}).items():
            (edge.home / name).write_text(content)
            (edge.home / name).chmod(0o600)
        if tls:
            self.make_certificate(edge.home)
            edge.base = edge.base.replace('http = "127.0.0.1:0"', 'http = "127.0.0.1:0"\nhttps = "127.0.0.1:0"')
            edge.write(text.replace("[[site]]", '[[tls]]\nhosts = ["*"]\ncert = "cert.pem"\nkey = "key.pem"\n[[site]]', 1))
        said = lambda name: int(re.search(rf'^{name} = "(\d+)M"$', text, re.MULTILINE).group(1)) * MIB
        edge.cache, edge.readers = said("memory"), said("reader_memory")
        edge.environment = dict(QUIET, **(environment or {}))
        edge.start()
        edge.before = edge.rss()
        if tls:
            name, _, port = edge.ready["edge_tls"].rpartition("/")[2].rpartition(":")
            edge.tls_address = (name, int(port))
        return edge

    @staticmethod
    def make_certificate(home):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", str(home / "key.pem"), "-out", str(home / "cert.pem")], check=True, capture_output=True)
        (home / "key.pem").chmod(0o600)

    def finish(self, edge, attack, stores=False, readers=False, connections=32, more=0):
        """The edge still serves, the attack cost no more memory than its limits allow, and the edge ends well.

        What counts against it: the cache if the attack `stores`, what is held for `readers`, `connections` at once, and `more` bytes that only this attack's limit allows."""
        self.assertIn(edge.get("/.still-there").status, (200, 403, 404, 502, 503, 504))
        most = edge.rss_most()
        grown = max(0, most - edge.before)
        bound = ITSELF + SANITIZED * (edge.cache * stores + edge.readers * readers + connections * CONNECTION + more)
        print(f"memory: {attack}: {most >> 10} KiB, {grown >> 10} KiB of them since the attack began ({bound >> 10} KiB are allowed)", flush=True)
        report = os.environ.get("ARCHIPEL_ATTACKS_REPORT")
        if report:
            with open(report, "a") as out:
                out.write(json.dumps({"test": self.id(), "attack": attack, "rss": most, "grown": grown, "bound": bound}) + "\n")
        self.assertLess(grown, bound)
        self.end_well(edge)


class H2:
    """HTTP/2 by hand, over TLS: frames as the test makes them."""

    def __init__(self, address, settings=b""):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(socket.create_connection(address, timeout=60), server_hostname="localhost")
        # A flood is sent by one thread and read by another, and a TLS connection is for one at a time: neither waits with the lock in its hand.
        self.socket.setblocking(False)
        self.lock, self.patience = threading.Lock(), 60
        self.buffer = b""
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(4, 0, 0, settings))

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
        """False when the connection has ended."""
        rest = memoryview(data)
        while rest:
            try:
                with self.lock:
                    rest = rest[self.socket.send(rest):]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                select.select([], [self.socket], [], 0.1)
            except (OSError, ValueError):
                return False
        return True

    def receive(self):
        """Some bytes; none at the end, or when nothing has come for `patience` seconds (None: as long as it takes)."""
        while True:
            try:
                with self.lock:
                    return self.socket.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if not select.select([self.socket], [], [], self.patience)[0]:
                    return b""
            except (OSError, ValueError):
                return b""

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
            more = self.receive()
            if not more:
                return None
            self.buffer += more

    @staticmethod
    def status(block):
        """200, another one as 400."""
        while block and block[0] & 0xe0 == 0x20:  # the table's size may come first
            size = 1
            if block[0] & 0x1f == 0x1f:
                while block[size] & 0x80:
                    size += 1
                size += 1
            block = block[size:]
        return 200 if block[:1] == b"\x88" else 400

    def answers(self, streams):
        """The status of each, in whatever order they come: 200, another one as 400; 'reset', 'away' or 'ended'."""
        found = {}
        while any(stream not in found for stream in streams):
            kind, _, number, payload = self.read_frame() or ("ended", 0, 0, b"")
            if kind in (1, 3):
                found.setdefault(number, self.status(payload) if kind == 1 else "reset")
            elif kind in (7, "ended"):
                return [found.get(stream, "away" if kind == 7 else kind) for stream in streams]
        return [found[stream] for stream in streams]

    def answer(self, stream):
        return self.answers([stream])[0]

    def until_away(self):
        """Reads until the other side has had enough."""
        self.patience = None
        while frame := self.read_frame():
            if frame[0] == 7:
                return
