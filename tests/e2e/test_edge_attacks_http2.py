"""Floods of HTTP/2 frames against the edge, over TLS, by hand. docs/edge-attacks.md names these tests."""
import struct
import threading
import unittest

from edge_attack import H2, MIB, MINUTE, NO_STORE, AttackCase
from test_edge import site


class Http2(AttackCase):
    GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h"), (b":path", b"/h2")]

    def setUp(self):
        self.origin = self.new_origin(lambda r: (200, NO_STORE, b"hello"))
        self.edge = self.new_edge(site(self.origin), tls=True)
        with H2(self.edge.tls_address) as client:
            client.request(1, self.GET)
            self.assertEqual(client.answer(1), 200)
        self.edge.before = self.edge.rss()

    def flood(self, name, chunk, total=200_000_000, settings=b"", prelude=b""):
        """Sends chunk(i) until the edge ends the connection. It must, long before `total` bytes."""
        sent, i = 0, 0
        with H2(self.edge.tls_address, settings) as client:
            client.send(prelude)
            reader = threading.Thread(target=client.until_away, daemon=True)
            reader.start()
            while sent < total and reader.is_alive():
                data = chunk(i)
                i += 1
                if not client.send(data):
                    break
                sent += len(data)
            self.assertLess(sent, total, f"{name}: all of it was taken")
            reader.join()  # which ends with the connection
        print(f"{name}: ended after {sent >> 10} KiB", flush=True)
        self.finish(self.edge, name)

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

    def test_made_you_reset_by_lengths_that_lie(self):
        # … with no frame that carries nothing: more content than was announced.
        post = b"".join(H2.literal(n, b"POST" if n == b":method" else v) for n, v in self.GET) + H2.literal(b"content-length", b"1")
        pair = lambda n: H2.frame(1, 4, n, post) + H2.frame(0, 1, n, b"ab")
        self.flood("HTTP/2 MadeYouReset by lengths", lambda i: b"".join(pair(1 + 2 * (100 * i + k)) for k in range(100)))

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
        self.assertEqual(len(self.origin.seen("/h2")), 2)
        self.finish(self.edge, "HPACK bomb")

    def hold(self, block, seed=b""):
        """40 clients that take no byte of any body: 128 requests each, of `block`; how many were taken up."""
        self.origin.answer = lambda r: (200, MINUTE, b"hello")
        self.edge = self.new_edge(site(self.origin), tls=True, limits="connections = 64\n")
        self.clients, taken = [], 0
        for _ in range(40):
            client = H2(self.edge.tls_address, struct.pack(">HI", 4, 0))
            self.clients.append(client)
            client.send(H2.frame(1, 5, 1, self.block() + seed))
            self.assertEqual(client.answer(1), 200)
            client.send(b"".join(H2.frame(1, 5, stream, block) for stream in range(3, 257, 2)))
        for client in self.clients:
            client.send(H2.frame(6, 0, 0, bytes(8)))
            while frame := client.read_frame():
                taken += frame[0] == 1
                if frame[0] == 6:  # what came before was understood
                    break
        return taken

    def test_http2_bomb(self):
        """Requests that are small on the wire and large in memory, held by windows of nothing (CVE-2026-49975, CVE-2026-47774)."""
        # Fields of nothing, and crumbs of a cookie: what each costs beside its text counts.
        for seed in (H2.literal(b"y", b"", indexed=True), H2.literal(b"cookie", b"", indexed=True), H2.literal(b"cookie", b"a", indexed=True)):
            with H2(self.edge.tls_address) as client:
                client.send(H2.frame(1, 5, 1, self.block() + seed))
                self.assertEqual(client.answer(1), 200)
                client.send(H2.frame(1, 5, 3, self.block() + b"\xbe" * 16_000))
                self.assertNotEqual(client.answer(3), 200)
        big = H2.literal(b"x", b"a" * 3900, indexed=True)
        taken = self.hold(self.block() + b"\xbe" * 11, big)
        print(f"HTTP/2 bomb: {taken} requests answered", flush=True)
        for client in self.clients:
            client.socket.close()
        self.finish(self.edge, "HTTP/2 bomb", connections=64 + 40, more=16 * MIB)  # H2Memory::kBudgetBytesMin

    def test_origins_are_not_held_by_clients_that_read_nothing(self):
        """1,200 small answers that cannot be stored, to clients that take no byte: the origin, which takes 100 requests at once, is free for others."""
        self.edge = self.new_edge(site(self.origin, more="[site.balance]\nrequests = 100\n"), tls=True)
        clients = []
        for _ in range(12):
            client = H2(self.edge.tls_address, struct.pack(">HI", 4, 0))
            self.addCleanup(client.socket.close)
            for first in range(1, 200, 20):
                client.send(b"".join(H2.frame(1, 5, stream, self.block()) for stream in range(first, first + 20, 2)))
                self.assertEqual(client.answers(range(first, first + 20, 2)), [200] * 10)
            clients.append(client)
        for i in range(20):
            self.assertEqual(self.edge.get(f"/{i}").body, b"hello")
        for client in clients:
            client.socket.close()
        self.finish(self.edge, "origins held by HTTP/2 clients that read nothing", connections=64, readers=True)


if __name__ == "__main__":
    unittest.main()
