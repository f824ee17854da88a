"""The edge as its users meet it: curl, origins that fail, configurations that are wrong, clients that attack."""
import concurrent.futures
import gzip
import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
import unittest

import base
import gateway
from edge import STOP_SECONDS_MAX, Edge, EdgeCase

SITE = '[[site]]\nname = "www"\nhosts = ["*"]\norigins = [{}]\n'


def site(*origins, more=""):
    return SITE.format(", ".join(f'"{o.url}"' for o in origins)) + more


class Serving(EdgeCase):
    def test_a_page_is_fetched_once_and_served_from_then_on(self):
        origin = self.new_origin()
        edge = self.new_edge(site(origin), threads=2)
        curl = shutil.which("curl")
        for i in range(5):
            if curl:
                done = subprocess.run([curl, "-sS", "-i", f"http://{edge.address[0]}:{edge.address[1]}/a?b"], capture_output=True)
                self.assertTrue(done.stdout.endswith(b"\r\n\r\nhello"), done)
                self.assertEqual(b"; hit" in done.stdout, i > 0, done.stdout)
            else:
                self.assertEqual(edge.get("/a?b").body, b"hello")
        self.assertEqual(len(origin.seen()), 1)
        fields = dict(origin.seen()[0][2])
        self.assertEqual(fields["x-forwarded-for"], "127.0.0.1")
        self.assertIn("archipel", fields["via"])
        sites = json.loads(edge.admin("/sites").body)["sites"]
        self.assertEqual(sites[0]["requests"]["hit"], 4)
        self.assertAlmostEqual(sites[0]["hit_ratio"], 0.8)
        metrics = edge.admin("/metrics", token=False).body.decode()
        self.assertIn('archipel_edge_hit_ratio{site="www"} 0.8000', metrics)
        self.assertIn("archipel_edge_origin_seconds_bucket", metrics)
        self.end_well(edge)

    def test_hosts_methods_and_the_admin_port(self):
        origin = self.new_origin()
        edge = self.new_edge(site(origin).replace('["*"]', '["www.example.org", "*.cdn.example.org"]'))
        self.assertEqual(edge.get("/", {"Host": "www.example.org"}).status, 200)
        self.assertEqual(edge.get("/", {"Host": "A.b.cdn.example.org:80"}).status, 200)
        self.assertEqual(edge.get("/", {"Host": "elsewhere.example"}).status, 421)
        self.assertEqual(edge.get("/", {"Host": "www.example.org"}, method="TRACE").status, 405)
        self.assertIn(b" 4", edge.raw(b"CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org:443\r\n\r\n")[:13])
        self.assertEqual(edge.get("/", {"Host": "www.example.org"}, method="BREW").status, 200)
        self.assertEqual(edge.admin("/healthz", token=False).status, 200)
        self.assertEqual(edge.admin("/readyz", token=False).status, 200)
        for token in (None, "Bearer wrong", "Basic eA==", "Bearer "):
            self.assertEqual(edge.admin("/sites", token=token).status, 401)
            self.assertEqual(edge.admin("/purge", "POST", {"site": "www"}, token=token).status, 401)
        self.assertEqual(edge.admin("/purge", "GET").status, 405)
        self.assertEqual(edge.admin("/nothing").status, 404)
        self.end_well(edge)

    def test_purges_hold_for_the_next_request(self):
        origin = self.new_origin(lambda r: (200, [("cache-control", "max-age=600"), ("cache-tag", "red, Blue"), ("etag", f'"{r[1]}"')], r[1].encode()))
        edge = self.new_edge(site(origin))
        host = f"{edge.address[0]}:{edge.address[1]}"

        def fetched(target):
            before = len(origin.seen())
            self.assertEqual(edge.get(target).body, target.encode())
            return len(origin.seen()) - before

        for target in ("/a/1", "/a/2", "/b"):
            self.assertEqual((fetched(target), fetched(target)), (1, 0))
        done = edge.command("purge", "--url", f"http://{host}/a/1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([fetched(t) for t in ("/a/1", "/a/2", "/b")], [1, 0, 0])
        self.assertEqual(edge.admin("/purge", "POST", {"prefix": f"http://{host}/a/"}).status, 200)
        self.assertEqual([fetched(t) for t in ("/a/1", "/a/2", "/b")], [1, 1, 0])
        done = edge.command("purge", "--tag", "blue", "--site", "www")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([fetched(t) for t in ("/a/1", "/a/2", "/b")], [1, 1, 1])
        self.assertEqual(edge.admin("/purge", "POST", {"site": "www", "soft": True}).status, 200)
        origin.answer = lambda r: (503, [], b"")
        self.assertEqual(edge.get("/b").body, b"/b", "stale on error after a soft purge")
        for bad in ({}, {"url": "/a"}, {"url": "ftp://x/"}, {"tag": ""}, {"colour": "red"}, {"url": "http://x/", "tag": "a"}, {"soft": 1, "site": "www"}, [1]):
            self.assertEqual(edge.admin("/purge", "POST", bad).status, 400, bad)
        self.assertEqual(edge.admin("/purge", "POST", {"site": "none"}).status, 404)
        self.assertEqual(edge.command("purge", "--site", "none").returncode, 1)
        self.end_well(edge)

    def test_policy_of_a_site(self):
        origin = self.new_origin(lambda r: (200, [("cache-control", "max-age=60"), ("content-type", "text/css"), ("server", "x")], b"a { b: c }\n" * 1000))
        edge = Edge("")
        self.addCleanup(edge.destroy)
        key = edge.home / "key"
        key.write_text("k" * 32)
        key.chmod(0o600)
        edge.write(site(origin, more='''
[site.headers]
response_remove = ["server"]
security = true
[[site.redirect]]
path = "/old/*"
to = "/new/$1"
[site.signed]
paths = ["/private/*"]
key_files = ["key"]
[site.limit]
methods = ["GET", "HEAD", "POST"]
body = "1K"
[site.compress]
on = true
'''))
        edge.start()
        plain = edge.get("/a.css")
        self.assertEqual((plain.status, plain.getheader("server"), plain.getheader("x-content-type-options")), (200, None, "nosniff"))
        packed = edge.get("/a.css", {"Accept-Encoding": "gzip, deflate"})
        self.assertEqual(packed.getheader("content-encoding"), "gzip")
        self.assertEqual(gzip.decompress(packed.body), plain.body)
        again = edge.get("/a.css", {"Accept-Encoding": "deflate;q=0.1, gzip"})
        self.assertIn("hit", again.getheader("cache-status"))
        self.assertEqual(again.body, packed.body)
        self.assertEqual(edge.get("/a.css", {"Accept-Encoding": "br"}).getheader("content-encoding"), "br")
        self.assertEqual(edge.get("/old/x?y").getheader("location"), "/new/x?y")
        self.assertEqual(edge.get("/x", method="DELETE").status, 405)
        self.assertEqual(edge.get("/x", method="POST", body=b"x" * 1025).status, 413)
        chunked = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"y" * 1024 + b"\r\n" + b"400\r\n" + b"y" * 1024 + b"\r\n0\r\n\r\n"
        self.assertIn(b"413", edge.raw(chunked)[:20])
        self.assertEqual(edge.get("/private/a").status, 403)
        host = f"{edge.address[0]}:{edge.address[1]}"
        for form in ([], ["--path-form"], ["--scope", "/private/"]):
            signed = subprocess.run([str(gateway.binary), "edge", "sign", f"http://{host}/private/a", "--key-file", str(key), *form], capture_output=True, text=True)
            self.assertEqual(signed.returncode, 0, signed.stderr)
            target = signed.stdout.strip().removeprefix(f"http://{host}")
            self.assertEqual(edge.get(target).status, 200, target)
        self.assertEqual({r[1] for r in origin.seen() if "private" in r[1]}, {"/private/a"}, "the signature stays at the edge")
        self.assertEqual(len(origin.seen("/private/a")), 1, "one stored response for all signatures")
        self.end_well(edge)

    def test_clients_that_ask_too_often_are_told_when_to_come_back(self):
        origin = self.new_origin()
        edge = self.new_edge(site(origin, more="[site.limit]\nrate = 0.01\nburst = 5\n"))
        answers = [edge.get("/a").status for _ in range(8)]
        self.assertEqual(answers, [200] * 5 + [429] * 3)
        self.assertGreater(int(edge.get("/a").getheader("retry-after")), 1)
        self.end_well(edge)

    def test_access_log_says_what_happened_and_moves_when_it_is_rotated(self):
        origin = self.new_origin()
        edge = self.new_edge('[log]\naccess = "access.log"\n' + site(origin))
        log = edge.home / "access.log"

        def lines(count):
            def got():
                text = log.read_text() if log.exists() else ""
                return text[:text.rfind("\n") + 1].splitlines()
            self.until(lambda: len(got()) >= count, f"{count} lines of the access log")
            return [json.loads(line) for line in got()]

        for _ in range(2):
            edge.get("/a", {"User-Agent": 'x"\\y'})
        first, second = lines(2)
        self.assertEqual((first["cache"], second["cache"], second["status"], second["bytes"], second["user_agent"]), ("miss", "hit", 200, 5, 'x"\\y'))
        self.assertEqual(first["origin"], origin.url)
        log.rename(edge.home / "access.log.1")
        edge.reload()
        edge.get("/b")
        self.assertEqual(lines(1)[0]["target"], "/b")
        self.end_well(edge)


class Upkeep(EdgeCase):
    def test_poisoned_config_push_keeps_the_last_good_one(self):
        origin, other = self.new_origin(), self.new_origin(lambda r: (200, [("cache-control", "no-store")], b"other"))
        good = site(origin)
        edge = self.new_edge(good)
        bad = [b"\x00\xff garbage", b"", b"[listen]\n", (edge.base + good + "colour = 1\n").encode(), (edge.base + good + "# " + "x" * (2 << 20)).encode(),
               (edge.base + good + '[[site]]\nhosts=["*"]\norigins=["http://x"]\n').encode(), (edge.base + "[[site]]\n" * 20000).encode(),
               (edge.base + good.replace("127.0.0.1", "999.0.0.1:")).encode(), (edge.base + good + "[a" + ".a" * 10000 + "]\n").encode(),
               (edge.base + good + "x = " + "[" * 100000).encode()]
        for i, text in enumerate(bad):
            edge.file.write_bytes(text)
            edge.reload("config.refused")
            self.assertEqual(edge.get(f"/{i}").body, b"hello", text[:100])
        edge.file.unlink()
        edge.reload("config.refused")
        self.assertEqual(edge.get("/gone").body, b"hello")
        self.assertEqual(edge.process.poll(), None)
        # Valid, and strange: many sites, long lists.
        weird = good.replace('"*"', ", ".join(f'"h{i}.example"' for i in range(900))) + "".join(
            f'[[site]]\nhosts = ["s{i}.example"]\norigins = ["{other.url}"]\n' for i in range(2000))
        edge.write(weird)
        edge.reload()
        self.assertEqual(edge.get("/", {"Host": "s1999.example"}).body, b"other")
        self.assertEqual(edge.get("/", {"Host": "h899.example"}).body, b"hello")
        self.end_well(edge)

    def test_reload_drops_no_connection_and_changes_what_it_says(self):
        origin, other = self.new_origin(), self.new_origin(lambda r: (200, [("cache-control", "no-store")], b"other"))
        edge = self.new_edge(site(origin, more="[site.cache]\non = false\n"))
        with socket.create_connection(edge.address, timeout=60) as kept:
            def ask():
                kept.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                return self.receive_until(kept, lambda answer: answer.endswith((b"hello", b"other")))[-5:]
            self.assertEqual(ask(), b"hello")
            edge.write(site(other))
            edge.reload()
            self.assertEqual(ask(), b"other")
            # A body that is under way when the configuration changes is finished by the old one.
            go = threading.Event()

            def slow(connection, _stream):
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\ncache-control: no-store\r\n\r\n01234")
                go.wait(120)
                connection.sendall(b"56789")
            other.answer = lambda r: slow
            with concurrent.futures.ThreadPoolExecutor() as pool:
                waiting = pool.submit(edge.get, "/slow")
                self.until(lambda: other.seen("/slow"), "the slow request is at the origin")
                edge.write(site(origin))
                edge.reload()
                self.assertEqual(ask(), b"hello")
                go.set()
                self.assertEqual(waiting.result().body, b"0123456789")
        self.end_well(edge)

    def test_sigterm_lets_requests_finish(self):
        go = threading.Event()

        def slow(connection, _stream):
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234")
            go.wait(120)
            connection.sendall(b"56789")
        origin = self.new_origin(lambda r: slow)
        edge = self.new_edge(site(origin))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = pool.submit(edge.get, "/slow")
            self.until(lambda: origin.seen("/slow"), "the slow request is at the origin")
            edge.command("drain")
            edge.wait_for_log("edge.draining")
            go.set()
            self.assertEqual(waiting.result().body, b"0123456789")
        self.assertEqual(edge.process.wait(STOP_SECONDS_MAX), 0)
        edge.process = None

    def test_check_says_whether_a_configuration_is_good(self):
        origin = self.new_origin()
        edge = Edge(site(origin))
        self.addCleanup(edge.destroy)
        run = lambda: subprocess.run([str(gateway.binary), "edge", "--config", str(edge.file), "--check"], capture_output=True, text=True)
        good = run()
        self.assertEqual((good.returncode, "www" in good.stdout), (0, True), good)
        edge.write(site(origin) + "hots = 1\n")
        bad = run()
        self.assertEqual(bad.returncode, 1)
        self.assertRegex(bad.stderr, r"edge.toml:\d+:1: unknown key `hots` in \[\[site\]\]")

    def test_check_reads_what_the_configuration_names(self):
        origin = self.new_origin()
        edge = Edge(site(origin))
        self.addCleanup(edge.destroy)
        before = sorted(path.name for path in edge.home.iterdir())
        (edge.home / "junk").write_text("junk")
        (edge.home / "junk").chmod(0o600)
        secure = '[[tls]]\nhosts = ["*"]\ncert = "{0}"\nkey = "junk"\n'
        with_https = edge.base.replace("[listen]", '[listen]\nhttps = "127.0.0.1:0"')
        cases = ((edge.base, '[log]\naccess = "nowhere/access.log"\n', "nowhere"),
                 (edge.base, '[log]\naccess = "access.log"\n', None),
                 (edge.base, '[cache]\ndisk = "junk"\ndisk_size = "64M"\n', "junk is not a directory"),
                 (edge.base, '[cache]\ndisk = "tier"\ndisk_size = "64M"\n', None),
                 (edge.base, '[proxy]\ntake_over = "no/where"\n', "mkdir -p"),
                 (edge.base, '[proxy]\ngeo_database = "junk"\n', "junk"),
                 (edge.base.replace('"token"', '"absent"'), "", "absent"),
                 (with_https, secure.format("absent"), "absent"),
                 (with_https, secure.format("junk"), "junk"))
        for base, more, words in cases:
            with self.subTest(more=more, words=words):
                edge.file.write_text(base + more + site(origin))
                run = subprocess.run([str(gateway.binary), "edge", "--config", str(edge.file), "--check"], capture_output=True, text=True)
                self.assertEqual(run.returncode, 0 if words is None else 1, run.stderr)
                self.assertIn(words or "", run.stderr)
        self.assertEqual(sorted(path.name for path in edge.home.iterdir()), sorted(before + ["junk"]), "nothing was made")

    def test_an_order_that_cannot_be_given_says_what_is_missing(self):
        edge = Edge(site(self.new_origin()))
        self.addCleanup(edge.destroy)
        run = lambda *words: subprocess.run([str(gateway.binary), "edge", *words], capture_output=True, text=True)
        for words in ((), ("--soft",), ("--url", "http://a/", "--tag", "b"), ("--url", "http://a/", "--site", "b")):
            nothing = run("purge", "--config", str(edge.file), *words)
            self.assertEqual(nothing.returncode, 2, nothing)
            self.assertIn("--url, --prefix, --tag", nothing.stderr)
        edge.write("[log]\n" + site(self.new_origin()))
        edge.file.write_text(edge.file.read_text().replace('[admin]\nlisten = "127.0.0.1:0"', '[admin]\nlisten = "127.0.0.1:1"'))
        nobody = run("purge", "--config", str(edge.file), "--tag", "b")
        self.assertEqual(nobody.returncode, 1, nobody)
        self.assertIn("nobody listens on 127.0.0.1:1: does the edge run with", nobody.stderr)
        edge.file.write_text(edge.file.read_text().replace('token_file = "token"\n', ""))
        self.assertIn("openssl rand", run("drain", "--config", str(edge.file)).stderr)

    def test_origins_that_are_down_are_passed_over(self):
        origin, dead = self.new_origin(lambda r: (200, [("cache-control", "no-store")], b"alive")), self.new_origin()
        dead.close()
        edge = self.new_edge(site(dead, origin))
        self.assertEqual([edge.get(f"/{i}").body for i in range(10)], [b"alive"] * 10)
        # Kept connections that the origin closed are no failures either.
        for connection in list(origin.connections):
            connection.shutdown(socket.SHUT_RDWR)
        self.assertEqual([edge.get(f"/{i}").body for i in range(10)], [b"alive"] * 10)
        origin.close()
        self.assertIn(edge.get("/x").status, (502, 503))
        self.end_well(edge)


class HandOver(EdgeCase):
    def test_upgrade_by_socket_hand_over_fails_no_request(self):
        origin = self.new_origin(lambda r: (200, [("cache-control", "max-age=60" if r[1] == "/cached" else "no-store")], b"hello"))
        edge = self.new_edge('[proxy]\ntake_over = "run"\n' + site(origin), threads=2)
        done, failures, counts = threading.Event(), [], []

        def load(kept):
            """Asks and asks, on one connection for as long as it is kept, as browsers do."""
            count, connection, answered = 0, None, 0.0
            try:
                while not done.is_set():
                    if connection is None:
                        connection = http.client.HTTPConnection(*edge.address, timeout=60)
                        answered = time.monotonic()
                    try:
                        connection.request("GET", "/cached" if count % 2 else "/passed", headers={} if kept else {"Connection": "close"})
                        response = connection.getresponse()
                    except (ConnectionError, http.client.RemoteDisconnected):
                        # One that nothing was asked on for seconds may be ended, as long as this thread did not run: browsers ask again then, too.
                        if time.monotonic() - answered < 1:
                            raise
                        connection = None
                        continue
                    answered = time.monotonic()
                    if response.status != 200 or response.read() != b"hello":
                        failures.append(response.status)
                    if response.will_close:
                        connection.close()
                        connection = None
                    count += 1
            except OSError as error:
                failures.append(repr(error))
            counts.append(count)

        def scrape():
            """As monitoring does, without a pause: the admin port is handed over, too."""
            count = 0
            try:
                while not done.is_set():
                    self.assertEqual(edge.admin("/healthz", token=False).status, 200)
                    count += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                failures.append(f"the admin port: {error!r}")
            counts.append(count)
        clients = [threading.Thread(target=load, args=(i % 2 == 0,)) for i in range(6)] + [threading.Thread(target=scrape)]
        for client in clients:
            client.start()
        try:
            for _ in range(2):
                time.sleep(0.5)
                process, ready = edge.spawn("--take-over")
                self.assertEqual(ready["edge"], edge.ready["edge"])
                self.assertEqual(edge.process.wait(STOP_SECONDS_MAX), 0, edge.stderr()[-3000:])
                edge.process = process
            time.sleep(0.5)
        finally:
            done.set()
            for client in clients:
                client.join()
        self.assertEqual(failures, [])
        self.assertGreater(min(counts), 5)
        self.assertEqual(edge.get("/cached").body, b"hello")
        # Nobody there to take anything from: said, and nothing happens to the one that runs.
        lonely = Edge('[proxy]\ntake_over = "run"\n' + site(origin))
        self.addCleanup(lonely.destroy)
        with self.assertRaises(gateway.StartFailed) as failed:
            lonely.spawn("--take-over")
        self.assertIn("nobody offers sockets", failed.exception.stderr)
        # One that dies before it is ready changes nothing.
        edge.write('[proxy]\ntake_over = "run"\n' + site(origin).replace("[[site]]", '[[tls]]\nhosts = ["*"]\ncert = "none"\nkey = "none"\n[[site]]'))
        text = edge.file.read_text()
        edge.file.write_text(text.replace('http = "127.0.0.1:0"', 'http = "127.0.0.1:0"\nhttps = "127.0.0.1:0"'))
        with self.assertRaises(gateway.StartFailed):
            edge.spawn("--take-over")
        self.assertEqual(edge.get("/cached").body, b"hello")
        self.end_well(edge)


class Bodies(EdgeCase):
    """Who sends when: interim responses, and bodies that nobody wants."""

    def test_interim_responses_and_expect(self):
        def hints(connection, _stream):
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        origin = self.new_origin(lambda r: hints)
        edge = self.new_edge(site(origin))
        answer = edge.raw(b"GET /hints HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 103"), answer)
        self.assertIn(b"</a.css>", answer.split(b"\r\n\r\n")[0])
        self.assertTrue(answer.endswith(b"ok"))
        origin.answer = lambda r: (200, [("cache-control", "no-store")], b"got " + r[3])
        with socket.create_connection(edge.address, timeout=60) as client:
            client.sendall(b"POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            asked = self.receive_until(client, lambda a: a.endswith(b"\r\n\r\n"))  # though the origin has just closed the connection that was kept
            self.assertTrue(asked.startswith(b"HTTP/1.1 100"), asked)
            client.sendall(b"hello")
            self.receive_until(client, lambda a: a.endswith(b"got hello"))
        # The origin was asked first (RFC 9110 §10.1.1); it said nothing, and got the body after a while all the same.
        self.assertEqual(dict(origin.seen("/e")[0][2])["expect"], "100-continue")
        # One that does not want it: the client is never asked for it.
        def refuses(listener):
            connection, _ = listener.accept()
            with connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(4096)
                connection.sendall(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno")
                try:
                    while connection.recv(4096):
                        pass
                except OSError:
                    pass
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stern = self.new_edge(SITE.format(f'"http://127.0.0.1:{listener.getsockname()[1]}"'))
            thread = threading.Thread(target=refuses, args=(listener,), daemon=True)
            thread.start()
            with socket.create_connection(stern.address, timeout=60) as client:
                client.sendall(b"PUT /e HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n")
                answer = self.receive_until(client, lambda a: a.endswith(b"no"))
            self.assertTrue(answer.startswith(b"HTTP/1.1 401"), answer)
            self.assertIn(b"connection: close", answer.lower())
            self.end_well(stern)
        self.end_well(edge)

    def test_an_early_refusal_reaches_a_client_that_still_sends(self):
        """The origin says 413 after the first bytes and reads no more; the client has 50 MB to go and does not look up before it has to."""
        def tired(listener):
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig")
                done.wait(120)
        done = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            edge = self.new_edge(SITE.format(f'"http://127.0.0.1:{listener.getsockname()[1]}"'))
            threading.Thread(target=tired, args=(listener,), daemon=True).start()
            with socket.create_connection(edge.address, timeout=60) as client:
                client.sendall(b"PUT /big HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n" + bytes(200_000))
                answer = self.receive_until(client, lambda a: a.endswith(b"big"))
            self.assertTrue(answer.startswith(b"HTTP/1.1 413"), answer)
            done.set()
        self.end_well(edge)


if __name__ == "__main__":
    unittest.main()
