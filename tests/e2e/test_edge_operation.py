"""Edges as operators run them: purges that reach every edge, upgrades, edges inside a gateway."""
import http.client
import ipaddress
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.parse

import base
import gateway
from edge import STOP_SECONDS_MAX, Edge, EdgeCase, Origin

HOST = {"Host": "www.example.org"}


class Purging(base.Case):
    """Two edges that share their cache, and a shield: what is purged on one is purged on all."""

    def setUp(self):
        super().setUp()
        self.version = 1
        self.origin = Origin(self.answer)
        self.addCleanup(self.origin.close)
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-purges-"))
        self.addCleanup(shutil.rmtree, self.home, True)
        (self.home / "peers").touch(0o600)
        (self.home / "peers").write_text("0123456789abcdef" * 2)
        self.ports = {name: gateway.free_port() for name in ("one", "two", "shield")}
        self.edges = {name: self.make(name) for name in self.ports}
        for edge in self.edges.values():
            edge.start()
        self.wait_until_all_know_each_other()

    def answer(self, request):
        if request[0] == "POST":
            return (201, [("location", request[1] + "/new")], b"")
        fields = [("cache-control", "max-age=600"), ("cache-tag", "all"), ("x-for", dict(request[2]).get("archipel-purges", "none"))]
        return (200, fields, f"{request[1]} {self.version}".encode())

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}"

    def make(self, name):
        peers = "" if name == "shield" else (f'self = "{self.url(name)}"\nlist = ["{self.url("one")}", "{self.url("two")}"]\n'
                                             f'shield = ["{self.url("shield")}"]\nhot_requests = 2\n')
        edge = Edge(f'[peers]\ntoken_file = "{self.home / "peers"}"\ninterval = "3s"\n{peers}[[site]]\nname = "www"\nhosts = ["*"]\n'
                    f'origins = ["{self.origin.url}"]\n')
        self.addCleanup(edge.destroy)
        edge.file.write_text(edge.file.read_text().replace('http = "127.0.0.1:0"', f'http = "127.0.0.1:{self.ports[name]}"', 1))
        return edge

    def metric(self, edge, text):
        lines = edge.admin("/metrics", token=False).body.decode().splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(text)), None)

    def wait_until_all_know_each_other(self):
        for name in ("one", "two"):
            for other in ("two", "one", "shield"):
                if other == name:
                    continue
                pool = "(shield)" if other == "shield" else "(peers)"
                text = f'archipel_edge_origin_state{{site="{pool}",origin="{self.url(other)}",state="usable"}}'
                self.until(lambda: self.metric(self.edges[name], text) == 1, text)

    def purge(self, name, order, expected):
        """Orders it until the answer says of each other edge what is expected: one that takes longer than the answer waits for is `pending`, on a busy
        machine too. Nobody asks for a page in between."""
        expected = {self.url(edge): state for edge, state in expected.items()}

        def told():
            answer = json.loads(self.edges[name].admin("/purge", "POST", order).body)
            states = {e["edge"]: e["state"] for e in answer["edges"]}
            self.assertEqual(set(states), set(expected))
            self.assertLessEqual(set(states.values()), {"purged", "pending"})
            return states == expected
        self.until(told, f"the answer to {order}: {expected}")

    def bodies(self, target, names=("one", "two")):
        return {self.edges[n].get(target, HOST).body.decode() for n in names}

    def test_a_purge_on_one_edge_holds_on_all_and_the_answer_says_so(self):
        pages = [f"/{i}" for i in range(20)]
        for page in pages * 3:
            self.assertEqual(self.bodies(page), {f"{page} 1"})
        fetched = len(self.origin.seen())
        self.assertEqual(fetched, 20, "once for all")
        self.assertEqual({dict(r[2]).get("archipel-purges") for r in self.origin.seen()}, {None})
        self.version = 2
        self.purge("one", {"tag": "all"}, {"two": "purged", "shield": "purged"})
        for page in pages:
            self.assertEqual(self.bodies(page), {f"{page} 2"}, "stale after the purge")
        self.assertEqual(len(self.origin.seen()), fetched + 20)
        self.assertFalse([r for r in self.origin.seen() if any(n == "archipel-purges" for n, _ in r[2])], "what edges say to each other left the cluster")
        done = self.edges["two"].command("purge", "--url", "http://www.example.org/3", "--soft")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(done.stdout)["edges"]), 2)
        for edge in self.edges.values():
            self.assertEqual(edge.stop(), 0, edge.stderr()[-4000:])

    def test_what_an_unsafe_request_invalidates_is_gone_everywhere(self):
        pages = [f"/{i}" for i in range(8)]
        for page in pages + [page + "/new" for page in pages]:
            for _ in range(3):
                self.assertEqual(self.bodies(page), {f"{page} 1"})
        self.version = 2
        for i, page in enumerate(pages):
            self.assertEqual(self.edges["one" if i % 2 else "two"].get(page, HOST, "POST", b"x").status, 201)
        for page in pages + [page + "/new" for page in pages]:
            self.until(lambda: self.bodies(page) == {f"{page} 2"}, page)

    def test_an_edge_that_was_away_gives_out_nothing_that_was_purged(self):
        pages = [f"/{i}" for i in range(20)]
        for page in pages * 3:
            self.bodies(page)
        shield = self.edges["shield"]
        shield.process.send_signal(19)  # SIGSTOP: it holds all pages, and hears nothing
        self.version = 2
        self.purge("one", {"site": "www"}, {"two": "purged", "shield": "pending"})
        shield.process.send_signal(18)
        # As soon as it answers again, whoever is first to ask.
        for page in pages:
            self.assertEqual(self.bodies(page), {f"{page} 2"})
        self.until(lambda: self.metric(self.edges["one"], f'archipel_edge_peer_purges_pending{{edge="{self.url("shield")}"}}') == 0, "the shield hears of it")
        self.assertEqual(shield.get("/1", HOST).body, b"/1 2")

    def test_strangers_purge_nothing(self):
        one = self.edges["one"]
        self.bodies("/a")
        batch = json.dumps({"edge": "x", "id": "0" * 16, "first": 1, "lost": False, "records": [{"site": "www"}]}).encode()
        for token in ({}, {"archipel-peer": "f" * 32}):
            self.assertEqual(one.get("/.archipel/purges", {**HOST, **token}, "POST", batch).status, 201, "it is the origin's business")
        mine = {**HOST, "archipel-peer": "0123456789abcdef" * 2}
        self.assertEqual(one.get("/.archipel/purges", mine, "POST", b"{").status, 400)
        self.assertEqual(one.get("/.archipel/purges", mine).status, 400)
        self.version = 2
        self.assertEqual(self.bodies("/a"), {"/a 1"})
        self.assertEqual(json.loads(one.get("/.archipel/purges", mine, "POST", batch).body), {"heard": 1})
        self.assertEqual(self.bodies("/a", ["one"]), {"/a 2"})
        # Who knows of more than this edge has heard is given nothing from its cache.
        self.assertEqual(one.get("/a", {**mine, "archipel-purges": "0000000000000000=1"}).status, 200)
        self.assertEqual(one.get("/a", {**mine, "archipel-purges": "0000000000000000=2"}).status, 421)
        self.assertEqual(one.get("/a", {**HOST, "archipel-purges": "0000000000000000=2"}).status, 200, "a stranger's word")
        self.assertEqual(self.metric(one, 'archipel_edge_peer_purges_total{event="taken"}'), 1)


class Upgrading(EdgeCase):
    """A running edge is replaced: its sockets, and then its disk tier."""
    SITE = '[proxy]\ntake_over = "run"\n[cache]\nmemory = "4M"\ndisk = "disk"\ndisk_size = "128M"\n[[site]]\nname = "www"\nhosts = ["*"]\norigins = ["{}"]\n'
    PAGES = [f"/{i}" for i in range(150)]

    def made(self, target):
        return (target.encode() + b"#") * (40_000 // (len(target) + 1))

    def number(self, edge, name):
        for line in edge.admin("/metrics", token=False).body.decode().splitlines():
            if line.startswith(f"archipel_edge_cache_{name} "):
                return int(float(line.split()[1]))
        self.fail(name)

    def start(self):
        def answer(request):
            if request[1] == "/slow":
                return self.slow
            return 200, [("cache-control", "max-age=3600"), ("cache-tag", "even" if request[1][-1] in "02468" else "odd")], self.made(request[1])
        self.origin = self.new_origin(answer)
        self.finish = threading.Event()
        self.addCleanup(self.finish.set)
        edge = self.new_edge(self.SITE.format(self.origin.url))

        def filled():
            for page in self.PAGES:
                self.assertEqual(edge.get(page).body, self.made(page))
            return self.number(edge, "disk_objects") >= len(self.PAGES) * 0.9
        self.until(filled, "the disk tier is filled")
        return edge

    def slow(self, connection, _stream):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncache-control: no-store\r\n\r\nab")
        self.finish.wait(300)
        connection.sendall(b"cd")

    def has_the_disk(self, edge):
        self.until(lambda: self.number(edge, "disk_objects") >= len(self.PAGES) * 0.8, "the successor has the disk tier")
        self.origin.forget()
        for page in self.PAGES:
            self.assertEqual(edge.get(page).body, self.made(page))
        fetched = [r[1] for r in self.origin.seen()]
        return fetched

    def test_a_successor_gets_the_disk_tier_while_the_predecessor_still_drains(self):
        edge = self.start()
        slow = []
        client = threading.Thread(target=lambda: slow.append(edge.get("/slow").body))
        client.start()
        self.until(lambda: self.origin.seen("/slow"), "a slow request is under way")
        self.assertEqual(edge.admin("/purge", "POST", {"tag": "odd"}).status, 200)
        old = edge.process
        edge.process, ready = edge.spawn("--take-over")
        self.assertEqual(ready["edge"], edge.ready["edge"])
        fetched = self.has_the_disk(edge)
        self.assertIsNone(old.poll(), "the predecessor drains: its client reads slowly")
        self.assertLessEqual(len([t for t in fetched if t[-1] in "02468"]), len(self.PAGES) * 0.1, "what lay on disk are hits")
        self.assertGreaterEqual(len([t for t in fetched if t[-1] not in "02468"]), len(self.PAGES) * 0.4, "what was purged is fetched again")
        self.finish.set()
        client.join()
        self.assertEqual(slow, [b"abcd"])
        self.assertEqual(old.wait(STOP_SECONDS_MAX), 0, edge.stderr()[-4000:])
        self.end_well(edge)

    def test_sigusr2_replaces_the_process_by_a_new_one(self):
        edge = self.start()
        old = edge.process
        ready = self.successor_of(edge)
        self.addCleanup(self.end, ready["pid"])
        self.assertEqual(ready["edge"], edge.ready["edge"])
        self.assertNotEqual(ready["pid"], old.pid)
        self.assertEqual(old.wait(STOP_SECONDS_MAX), 0, edge.stderr()[-4000:])
        edge.process = None
        self.assertLessEqual(len(self.has_the_disk(edge)), len(self.PAGES) * 0.1)
        os.kill(ready["pid"], signal.SIGTERM)
        edge.wait_for_log("edge.stopped", 2)

    def test_sigusr2_with_a_bad_file_changes_nothing(self):
        origin = self.new_origin()
        edge = self.new_edge('[proxy]\ntake_over = "run"\n[[site]]\nhosts = ["*"]\norigins = ["' + origin.url + '"]\n')
        good = edge.file.read_text()
        edge.file.write_text(good + "nonsense = 1\n")
        edge.process.send_signal(signal.SIGUSR2)
        edge.wait_for_log("hand_over.failed")
        self.assertEqual(edge.get("/").body, b"hello")
        self.end_well(edge)

    def successor_of(self, edge):
        edge.process.send_signal(signal.SIGUSR2)

        def ready_lines():
            texts = [out.read_bytes() for out in edge.home.glob("*.out")]
            return [text.splitlines()[1] for text in texts if text.count(b"\n") > 1]
        self.until(ready_lines, "the successor's ready line")
        return json.loads(ready_lines()[0])

    def end(self, pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class InGateway(base.Case):
    """[edge] in a gateway's archipel.toml: websites from a cache in the same process, which knows of every change."""

    def setUp(self):
        super().setUp()
        self.cloud = self.new_gateway()
        self.cloud.start()
        self.cloud.stop()
        token = self.cloud.dir / "edge-token"
        token.touch(0o600)
        token.write_text("0123456789abcdef" * 2)
        config = self.cloud.dir / "archipel.toml"
        config.write_text(config.read_text() + '\n[edge.listen]\nhttp = "127.0.0.1:0"\n[edge.cache]\nmemory = "16M"\n'
                          '[edge.admin]\nlisten = "127.0.0.1:0"\ntoken_file = "edge-token"\n')
        self.cloud.start()
        self.s3 = self.cloud.client()
        self.addCleanup(self.s3.close)
        self.expect(self.s3.request("PUT", "blog"), 200)
        self.allow("*")
        website = (b"<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
                   b"<ErrorDocument><Key>404.html</Key></ErrorDocument></WebsiteConfiguration>")
        self.expect(self.s3.request("PUT", "blog", query=[("website", "")], body=website), 200)
        self.put("index.html", b"one")
        self.put("404.html", b"not here")

    def allow(self, principal):
        policy = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::blog/*"},
            {"Effect": "Allow", "Principal": principal, "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::blog"}]}
        self.expect(self.s3.request("PUT", "blog", query=[("policy", "")], body=json.dumps(policy).encode()), 204)

    def put(self, key, body):
        self.expect(self.s3.request("PUT", "blog", key, body=body, headers={"content-type": "text/html"}), 200)

    def page(self, path, host="blog.website.localhost"):
        """(status, body, "hit" or not)."""
        where = urllib.parse.urlsplit(self.cloud.ready["edge"])
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
        try:
            connection.request("GET", path, headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.read(), "; hit" in response.getheader("cache-status", "")
        finally:
            connection.close()

    def test_pages_are_hits_until_the_bucket_changes(self):
        self.assertEqual(self.page("/"), (200, b"one", False))
        for _ in range(3):
            self.assertEqual(self.page("/"), (200, b"one", True))
        self.assertEqual(self.page("/news.html")[:2], (404, b"not here"))
        self.assertEqual(self.page("/news.html"), (404, b"not here", True))
        # Whoever has written reads what was written, each time.
        for i in range(20):
            self.put("index.html", b"%d" % i)
            self.assertEqual(self.page("/"), (200, b"%d" % i, False))
            self.assertEqual(self.page("/"), (200, b"%d" % i, True))
        self.put("news.html", b"news")
        self.assertEqual(self.page("/news.html"), (200, b"news", False))
        self.expect(self.s3.request("DELETE", "blog", "news.html"), 204)
        self.assertEqual(self.page("/news.html")[:2], (404, b"not here"))
        # Another bucket's changes are nothing to this one's pages; theirs are validated after a change, not fetched.
        self.assertEqual(self.page("/")[2], False)
        self.assertEqual(self.page("/")[2], True)
        self.expect(self.s3.request("PUT", "other"), 200)
        self.expect(self.s3.request("PUT", "other", "x", body=b"x"), 200)
        self.assertEqual(self.page("/"), (200, b"19", True))

    def test_what_is_closed_to_the_public_is_not_shown_from_the_cache(self):
        self.assertEqual(self.page("/")[1], b"one")
        self.assertEqual(self.page("/"), (200, b"one", True))
        self.expect(self.s3.request("DELETE", "blog", query=[("policy", "")]), 204)
        self.assertEqual(self.page("/")[0], 403)
        self.allow("*")
        self.assertEqual(self.page("/")[:2], (200, b"one"))

    def test_the_admin_port_a_reload_and_a_large_page(self):
        film = base.pattern(3_000_000)
        self.put("film", film)
        for hit in (False, True):
            status, body, was = self.page("/film")
            self.assertEqual((status, base.sha256(body), was), (200, base.sha256(film), hit))
        where = urllib.parse.urlsplit(self.cloud.ready["edge_admin"])

        def admin(method, path, body=None):
            connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
            connection.request(method, path, body, {"Authorization": "Bearer " + "0123456789abcdef" * 2})
            response = connection.getresponse()
            return response.status, response.read()
        self.assertEqual(json.loads(admin("GET", "/sites")[1])["sites"][0]["name"], "websites")
        self.assertEqual(admin("POST", "/purge", json.dumps({"site": "websites"}))[0], 200)
        # The command line finds it by the gateway's file, once that says where it is.
        config = self.cloud.dir / "archipel.toml"
        config.write_text(config.read_text().replace('[edge.admin]\nlisten = "127.0.0.1:0"', f'[edge.admin]\nlisten = "{where.netloc}"'))
        self.assertEqual(self.page("/")[2], False)
        self.assertEqual(self.page("/")[2], True)
        order = subprocess.run([str(gateway.binary), "edge", "purge", "--config", str(config), "--site", "websites"], capture_output=True, text=True)
        self.assertEqual(order.returncode, 0, order)
        self.assertEqual(self.page("/")[2], False)
        self.assertEqual(self.page("/film")[2], False)
        config = self.cloud.dir / "archipel.toml"
        config.write_text(config.read_text() + '[[edge.site]]\nname = "all"\nhosts = ["*"]\norigins = ["local"]\n[edge.site.headers]\nresponse_set = ["x-edge: yes"]\n')
        self.cloud.process.send_signal(signal.SIGHUP)
        self.until(lambda: "config.reloaded" in self.cloud.stderr(), "the new configuration")
        connection = http.client.HTTPConnection(*urllib.parse.urlsplit(self.cloud.ready["edge"]).netloc.split(":"), timeout=60)
        connection.request("GET", "/", headers={"Host": "blog.website.localhost"})
        self.assertEqual(connection.getresponse().getheader("x-edge"), "yes")
        connection.close()
        self.assertEqual(self.cloud.stop(), 0, self.cloud.stderr()[-3000:])


def mmdb(countries):
    """A country database (MaxMind DB File Format 2.0) of {"192.0.2.0/24": "FR"}."""
    def field(kind, value):
        return bytes([kind << 5 | len(value)]) + value if kind <= 7 else bytes([len(value), kind - 7]) + value

    def text(value):
        return field(2, value.encode())

    def number(kind, value):
        return field(kind, value.to_bytes((value.bit_length() + 7) // 8, "big"))

    def table(pairs):
        return bytes([7 << 5 | len(pairs)]) + b"".join(text(k) + v for k, v in pairs)

    nodes, data, places = [[None, None]], b"", {}
    for prefix, code in countries.items():
        network = ipaddress.ip_network(prefix)
        if code not in places:
            places[code] = len(data)
            data += table([("country", table([("iso_code", text(code))]))])
        value, bits = int(network.network_address), network.prefixlen + (96 if network.version == 4 else 0)
        at = 0
        for i in range(bits):
            bit = value >> (127 - i) & 1
            if i + 1 == bits:
                nodes[at][bit] = ("data", places[code])
            elif nodes[at][bit] is None:
                nodes.append([None, None])
                nodes[at][bit] = len(nodes) - 1
            at = nodes[at][bit] if i + 1 < bits else at
    count, tree = len(nodes), b""
    for node in nodes:
        for side in node:
            value = count if side is None else side if isinstance(side, int) else side[1] + count + 16
            tree += value.to_bytes(3, "big")
    meta = table([("binary_format_major_version", number(5, 2)), ("binary_format_minor_version", number(5, 0)), ("build_epoch", number(9, 1800000000)),
                  ("database_type", text("Test-Country")), ("description", table([])), ("ip_version", number(5, 6)),
                  ("languages", bytes([0, 4])), ("node_count", number(6, count)), ("record_size", number(5, 24))])
    return tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + meta


class Countries(EdgeCase):
    def test_visitors_are_let_in_by_the_country_of_their_address(self):
        origin = self.new_origin(lambda r: (200, [("cache-control", "max-age=60")], dict(r[2]).get("x-country", "-").encode()))
        edge = Edge('[proxy]\ntrust = ["127.0.0.1"]\ngeo_database = "country.mmdb"\n[[site]]\nname = "www"\nhosts = ["*"]\norigins = ["' + origin.url + '"]\n'
                    '[site.key]\nheaders = ["x-country"]\n[site.geo]\ndeny = ["KP"]\nheader = "x-country"\n')
        self.addCleanup(edge.destroy)
        database = edge.home / "country.mmdb"
        database.write_bytes(mmdb({"192.0.2.0/24": "FR", "198.51.100.0/24": "KP", "2001:db8::/32": "JP", "2001:db9::/32": "KP"}))
        edge.start()

        def visit(address):
            answer = edge.get("/", {"X-Forwarded-For": address})
            return answer.status, answer.body if answer.status == 200 else b""
        for _ in range(2):
            self.assertEqual(visit("192.0.2.77"), (200, b"FR"))
            self.assertEqual(visit("2001:db8::9"), (200, b"JP"))
            self.assertEqual(visit("203.0.113.1"), (200, b"XX"))
            self.assertEqual(visit("198.51.100.5")[0], 403)
            self.assertEqual(visit("2001:db9::1")[0], 403)
        # A newer file is read at a reload; a broken one is refused, and the one before stays.
        fresh = edge.home / "fresh"
        fresh.write_bytes(mmdb({"192.0.2.0/24": "KP"}))
        fresh.rename(database)
        edge.reload()
        self.assertEqual(visit("192.0.2.77")[0], 403)
        self.assertEqual(visit("198.51.100.5"), (200, b"XX"))
        fresh.write_bytes(b"no database")
        fresh.rename(database)
        edge.reload("config.refused")
        self.assertEqual(visit("192.0.2.77")[0], 403)
        self.end_well(edge)
