"""Attacks on the edge's memory, its time, and its origins' time. docs/edge-attacks.md names these tests."""
import concurrent.futures
import gzip
import http.client
import json
import signal
import socket
import threading
import time
import unittest

import base
from edge_attack import MIB, MINUTE, NO_STORE, AttackCase, field
from test_edge import site


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
        self.finish(edge, "RangeAmp: SBR, OBR", stores=True)

    def test_thundering_herd(self):
        """300 clients on a cold page are one fetch; on a private one each gets his own, none waits for another's."""
        ready, together = threading.Event(), threading.Event()

        def slow(r):
            ready.wait(120)
            if "private" in r[1]:
                asked = len(origin.seen(r[1]))
                if asked >= 50:
                    together.set()
                elif asked > 1:  # whoever has to wait for another's answer never comes to be the 50th
                    together.wait(120)
            return (200, MINUTE if "public" in r[1] else [("cache-control", "private")], b"hello")
        origin = self.new_origin(slow)
        edge = self.new_edge(site(origin))
        for target, most in (("/public", 1), ("/private", 301)):
            ready.clear()
            with concurrent.futures.ThreadPoolExecutor(300) as pool:
                waiting = [pool.submit(edge.get, target) for _ in range(300)]
                time.sleep(1)
                ready.set()
                self.assertTrue(all(w.result().body == b"hello" for w in waiting))
            self.assertLessEqual(len(origin.seen(target)), most)
        self.finish(edge, "thundering herd, uncacheable serialisation", readers=True, connections=300)

    def test_slow_readers(self):
        """2,000 clients, each on a body of his own of 4 MiB, none of them reading: what the edge holds for them is bounded by [limits] reader_memory."""
        size, count = 4 << 20, 2000
        body = bytes(size)
        origin = self.new_origin(lambda r: (200, MINUTE, body))
        edge = self.new_edge(site(origin, more="origin_connections = 4000\n"),
                             limits='reader_memory = "64M"\nconnections = 4000\nbody_timeout = "120s"\n')
        clients = []
        for i in range(count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(60)
            client.connect(edge.address)
            client.sendall(f"GET /slow{i} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            clients.append(client)
        most = 0
        for _ in range(20):  # as long as it takes the slowest to be ended
            metrics = edge.admin("/metrics", token=False).body.decode()
            most = max(most, int(next(line.split()[1] for line in metrics.splitlines() if line.startswith("archipel_edge_reader_bytes "))))
            time.sleep(0.5)
        print(f"slow readers: {most >> 10} KiB held for {count} clients of {size >> 20} MiB; {len(origin.seen())} asked of the origin", flush=True)
        self.assertLessEqual(most, edge.readers + count * (32 << 10))
        for client in clients:
            client.close()
        self.assertEqual(len(edge.get("/good").body), size)
        self.finish(edge, "slow read by 2,000 clients", stores=True, readers=True, connections=count)

    def test_slow_origins(self):
        """An origin that sends its head byte by byte, for ever, is given up at the deadline, and takes nobody else with it."""
        done = threading.Event()
        self.addCleanup(done.set)

        def drip(connection, _stream):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not done.wait(0.1):
                connection.sendall(b"a")
        origin = self.new_origin(lambda r: drip if r[1] == "/drip" else (200, MINUTE, b"hello"))
        edge = self.new_edge(site(origin).replace("origins =", 'response_timeout = "6s"\norigins ='))
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            waiting = [pool.submit(edge.get, "/drip") for _ in range(20)]
            for i in range(20):
                self.assertEqual(edge.get(f"/fast{i}").body, b"hello")
            self.assertTrue(all(w.result().status == 504 for w in waiting))
        self.finish(edge, "slow origins", connections=40)

    def test_decompression_bomb(self):
        """A gzip body of 256 MiB of zeros passes as it is; nothing is unpacked, not even for a client that takes no gzip."""
        packed = gzip.compress(bytes(256 << 20), 1)
        origin = self.new_origin(lambda r: (200, MINUTE + [("content-encoding", "gzip"), ("content-type", "text/html")], packed))
        edge = self.new_edge(site(origin, more="[site.compress]\non = true\n"))
        for accepted in ("gzip", "identity", "br"):
            self.assertEqual(edge.get("/bomb", {"Accept-Encoding": accepted}).body, packed)
        self.finish(edge, "decompression bomb", stores=True)

    def test_hash_flooding(self):
        """Keys, fields and tags by the ten thousand, as alike as can be: their hashes have a secret, and what is kept is bounded."""
        origin = self.new_origin(lambda r: (200, MINUTE + [("cache-tag", ",".join(f"Aa{i}BB" for i in range(200)))], b"x"))
        edge = self.new_edge(site(origin))
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
        self.finish(edge, "hash flooding", stores=True)

    def test_connection_flood(self):
        """More connections than [limits] connections are closed at once; those within are served."""
        origin = self.new_origin()
        edge = self.new_edge(site(origin), limits="connections = 200\n")
        clients = [socket.create_connection(edge.address, timeout=60) for _ in range(1000)]
        kept = 0
        for client in clients:
            client.settimeout(60)
            try:
                client.sendall(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
                kept += client.recv(100).startswith(b"HTTP/1.1 200")
            except OSError:
                pass
        self.assertLessEqual(kept, 200)
        self.assertGreaterEqual(kept, 190)
        for client in clients:
            client.close()
        for _ in range(600):  # until it has seen that they went
            try:
                if edge.get("/a").status == 200:
                    break
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
        self.finish(edge, "connection flood", connections=200)

    def test_growth_of_the_purge_list(self):
        """Purges by the ten thousand, half of them by clients whose POSTs succeed: what they do not concern stays stored, and what they cost is bounded."""
        origin = self.new_origin(lambda r: (200, [("cache-control", "max-age=3600"), ("cache-tag", "a, b")], r[1].encode()))
        edge = self.new_edge(site(origin))
        count = 10_000
        self.assertEqual([edge.get(t).body for t in ("/stays", "/goes")], [b"/stays", b"/goes"])

        def post(first):
            connection = http.client.HTTPConnection(*edge.address, timeout=120)
            for i in range(first, count, 2):
                connection.request("POST", f"/{i}?" + "x" * 1000, body=b"")
                connection.getresponse().read()
            connection.close()

        def purge(what):
            connection = http.client.HTTPConnection(*edge.admin_address, timeout=120)
            for i in range(count // 2):
                connection.request("POST", "/purge", body=json.dumps(what(i)).encode(), headers={"Authorization": f"Bearer {edge.token}"})
                self.assertEqual(connection.getresponse().read()[:1], b"{")
            connection.close()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            done = [pool.submit(post, 0), pool.submit(post, 1), pool.submit(purge, lambda i: {"tag": f"t{i}", "site": "www"}),
                    pool.submit(purge, lambda i: {"prefix": "http://127.0.0.1/" + "y" * (i % 500) + f"/{i}/"})]
            for one in done:
                one.result()
        metrics = edge.admin("/metrics", token=False).body.decode()
        listed = int(next(line.split()[1] for line in metrics.splitlines() if line.startswith("archipel_edge_cache_purges ")))
        self.assertGreaterEqual(listed, count)
        origin.forget()
        edge.admin("/purge", "POST", {"url": f"http://{edge.address[0]}:{edge.address[1]}/goes"})
        self.assertEqual([edge.get(t).body for t in ("/stays", "/goes")], [b"/stays", b"/goes"])
        self.assertEqual([r[1] for r in origin.seen()], ["/goes"])
        self.finish(edge, "growth of the purge list", stores=True, more=listed * 256)

    def push(self, edge):
        """SIGHUP, and until it is decided."""
        decided = lambda: sum(edge.stderr().count(word) for word in ("config.refused", "config.reloaded"))
        before = decided()
        edge.process.send_signal(signal.SIGHUP)

        def is_decided():
            self.assertIsNone(edge.process.poll())
            return decided() > before
        self.until(is_decided, "the end of a reload")

    def test_poisoned_config_push(self):
        """Oversized, broken, deep or merely strange: the last good configuration stays, and the process lives."""
        origin = self.new_origin()
        edge = self.new_edge(site(origin))
        good = edge.file.read_text()
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
        self.finish(edge, "poisoned config push", more=48 * MIB)  # a file of 1 MiB, its tree and its sites

    def test_slowloris(self):
        origin = self.new_origin()
        edge = self.new_edge(site(origin), limits='header_timeout = "2s"\nconnections = 1200\n')
        edge.get("/warm")
        clients = []
        for _ in range(1000):
            client = socket.create_connection(edge.address, timeout=60)
            try:
                client.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\nX-Slow: ")
            except OSError:
                client.close()  # on its way for longer than a head may be
                continue
            clients.append(client)
        for _ in range(10):
            self.assertEqual(edge.get("/warm").body, b"hello")
        # The deadline is absolute: a byte now and then buys nothing.
        open_ones = clients
        while open_ones:  # the test's own time is up otherwise
            left = []
            for client in open_ones:
                try:
                    client.sendall(b"x")
                    left.append(client)
                except OSError:
                    client.close()
            open_ones = left
            time.sleep(0.5)
        self.assertEqual(origin.seen("/slow"), [])
        self.finish(edge, "slowloris, 1,000 half requests", connections=1000)

    def test_slow_read(self):
        """Clients that do not read hold what fits into sockets and one store, not a copy of the body each."""
        size = 8 << 20
        body = base.pattern(size)
        origin = self.new_origin(lambda r: (200, [("cache-control", "max-age=60")], body))
        edge = self.new_edge('[cache]\nmemory = "32M"\n' + site(origin), limits='body_timeout = "20s"\n')
        self.assertEqual(edge.get("/big").body, body)
        clients = []
        for _ in range(100):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(60)
            client.connect(edge.address)
            client.sendall(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
            clients.append(client)
        self.assertEqual(edge.get("/big").body, body)
        for client in clients:
            client.close()
        self.finish(edge, "slow read of one body by 100 clients", stores=True, readers=True, connections=100)


if __name__ == "__main__":
    unittest.main()
