"""Edges that balance: origins, an edge and a gateway end under load, and those who ask notice nothing."""
import collections
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import base
import gateway
from edge import Edge, EdgeCase, Origin

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Load:
    """About `per_second` GETs a second from a few keep-alive clients, each of which goes to the next address when one refuses it, as a browser does that is
    given several. `paths(n)` is what the n-th request asks for."""
    CLIENTS = 8

    def __init__(self, addresses, paths, per_second, host="www.example.org"):
        self.addresses, self.paths, self.host = addresses, paths, host
        self.pause = self.CLIENTS / per_second
        self.lock, self.number = threading.Lock(), 0
        self.answers, self.errors = collections.Counter(), []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(self.CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        connections = {}
        while not self.ending.is_set():
            with self.lock:
                self.number += 1
                number = self.number
            self.one(connections, self.paths(number), (client + number) % len(self.addresses))
            self.ending.wait(self.pause)
        for connection in connections.values():
            connection.close()

    def one(self, connections, path, first):
        problem = None
        for i in range(len(self.addresses) + 1):
            address = self.addresses[(first + i) % len(self.addresses)]
            connection = connections.get(address) or http.client.HTTPConnection(*address, timeout=60)
            try:
                connection.request("GET", path, headers={"Host": self.host})
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                # The server ended the connection: of this address, or of one that has gone.
                problem = f"{path}: {error!r}"
                connection.close()
                connections.pop(address, None)
                continue
            connections[address] = connection
            with self.lock:
                self.answers[response.status] += 1
                if response.status != 200 or not body:
                    self.errors.append((time.monotonic(), f"{path}: {response.status} {dict(response.getheaders())} {body[:200]}"))
            return
        with self.lock:
            self.errors.append((time.monotonic(), problem))

    def wait_for(self, more):
        """Until so many further requests were answered or failed."""
        with self.lock:
            wanted = self.number + more
        while self.number < wanted:
            self.ending.wait(0.02)

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)


def metric(edge, name, **labels):
    text = edge.admin("/metrics", token=False).body.decode()
    total = 0.0
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        if match and match[1] == name and all(f'{k}="{v}"' in match[2] for k, v in labels.items()):
            total += float(match[3])
    return total


class Balance(EdgeCase):
    def test_one_of_three_origins_ends_under_load_and_no_get_fails(self):
        def answer(name):
            return lambda request: (200, [("cache-control", "no-store")], name)
        origins = [self.new_origin(answer(b"abc"[i:i + 1])) for i in range(3)]
        urls = ", ".join(f'"{o.url}"' for o in origins)
        edge = self.new_edge(f'[[site]]\nname = "www"\nhosts = ["*"]\norigins = [{urls}]\n[site.health]\npath = "/up"\ninterval = "500ms"\n', threads=2)
        load = Load([edge.address], lambda n: f"/{n}", 200)
        load.wait_for(300)
        self.assertTrue(all(len(o.seen()) > 20 for o in origins), [len(o.seen()) for o in origins])
        origins[1].close()
        load.wait_for(600)
        load.end()
        self.assertEqual(load.errors, [])
        self.assertEqual(set(load.answers), {200})
        self.until(lambda: metric(edge, "archipel_edge_balance_events_total", origin=origins[1].url, event="check_failed") >= 1, "a check that fails")
        state = lambda i: metric(edge, "archipel_edge_origin_state", origin=origins[i].url, state="usable")
        self.until(lambda: [state(i) for i in range(3)] == [1, 0, 1], "two origins are usable, and the one that ended is not")
        self.end_well(edge)

    def test_when_all_origins_are_down_the_answer_comes_at_once_and_is_no_storm(self):
        seen = []
        origins = [self.new_origin(lambda r: seen.append(r) or (503, [], b"")) for _ in range(2)]
        urls = ", ".join(f'"{o.url}"' for o in origins)
        # Without so many retries a second that are free: how many seconds this takes is the machine's affair.
        edge = self.new_edge(f'[[site]]\nname = "www"\nhosts = ["*"]\norigins = [{urls}]\n[site.retry]\nbudget_min = 0\n')
        for i in range(200):
            self.assertEqual(edge.get(f"/{i}").status, 503)
        self.assertLessEqual(len(seen), 200 + 40 + 10 + 2)  # retries, and second origins asked because the first was slow
        for origin in origins:
            origin.close()
        self.assertIn(edge.get("/x").status, (502, 503))  # 504 would be the end of the response timeout
        self.end_well(edge)

    def test_a_reload_keeps_what_is_known_and_serves_from_the_new_list(self):
        origins = [self.new_origin(lambda r, i=i: (200, [("cache-control", "no-store")], str(i).encode())) for i in range(2)]
        config = '[[site]]\nname = "www"\nhosts = ["*"]\norigins = ["{}"]\n[site.balance]\nalgorithm = "round-robin"\nweights = [2]\n'
        edge = self.new_edge(config.format(origins[0].url))
        self.assertEqual(edge.get("/").body, b"0")
        edge.write(config.format(origins[1].url))
        edge.reload()
        self.assertEqual(edge.get("/").body, b"1")
        edge.write(config.format(origins[1].url).replace("round-robin", "sticky"))
        edge.reload("config.refused")
        self.assertEqual(edge.get("/").body, b"1")
        self.end_well(edge)


class Cluster(base.Case):
    """Two edges that share their cache, and a shield."""

    def setUp(self):
        super().setUp()
        self.origin = Origin(lambda r: (200, [("cache-control", "max-age=600"), ("x-for", dict(r[2]).get("x-forwarded-for", ""))], r[1].encode()))
        self.addCleanup(self.origin.close)
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-peers-"))
        self.addCleanup(shutil.rmtree, self.home, True)
        (self.home / "peers").touch(0o600)
        (self.home / "peers").write_text("0123456789abcdef" * 2)

    def new_edge(self, port, peers, more=""):
        edge = Edge(f'[peers]\ntoken_file = "{self.home / "peers"}"\ninterval = "3s"\n{peers}\n[[site]]\nname = "www"\nhosts = ["*"]\n'
                    f'origins = ["{self.origin.url}"]\n{more}')
        edge.base = edge.base.replace('http = "127.0.0.1:0"', f'http = "127.0.0.1:{port}"', 1)
        edge.write(edge.file.read_text()[len(edge.base) - len(str(port)) + 1:])
        self.addCleanup(edge.destroy)
        return edge.start()

    def pair(self, more=""):
        ports = [gateway.free_port() for _ in range(2)]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        lists = ", ".join(f'"{u}"' for u in urls)
        edges = [self.new_edge(port, f'self = "{url}"\nlist = [{lists}]\nhot_requests = 5\n{more}') for port, url in zip(ports, urls)]
        for edge, other in zip(edges, reversed(urls)):
            self.until(lambda: metric(edge, "archipel_edge_origin_state", site="(peers)", origin=other, state="usable") == 1, "the edges find each other")
        return edges

    def test_each_object_is_fetched_once_for_both_and_a_dead_edge_costs_nothing(self):
        edges = self.pair()
        host = {"Host": "www.example.org"}
        for i in range(60):
            for edge in edges:
                answer = edge.get(f"/{i}", host)
                self.assertEqual((answer.status, answer.body), (200, f"/{i}".encode()))
        self.assertEqual(len(self.origin.seen()), 60)
        self.assertFalse([r for r in self.origin.seen() if any(n == "archipel-peer" for n, _ in r[2])], "the token left the cluster")
        self.assertEqual({dict(r[2])["x-forwarded-for"].split(",")[0] for r in self.origin.seen()}, {"127.0.0.1"})
        # A key that is asked for often is kept by both.
        for _ in range(8):
            for edge in edges:
                self.assertEqual(edge.get("/1", host).status, 200)
        states = [edge.get("/1", host).headers.get_all("cache-status")[-1] for edge in edges]
        self.assertTrue(all("; hit" in s for s in states), states)
        edges[1].process.kill()
        edges[1].process.wait()
        edges[1].process = None
        for i in range(60, 120):
            self.assertEqual(edges[0].get(f"/{i}", host).status, 200)
        self.assertEqual(edges[0].stop(), 0, edges[0].stderr()[-4000:])

    def test_a_forged_token_is_not_believed_and_what_goes_round_is_refused(self):
        edges = self.pair()
        forged = {"Host": "www.example.org", "archipel-peer": "f" * 32, "x-forwarded-for": "192.0.2.9"}
        self.assertNotIn("192.0.2.9", edges[0].get("/forged", forged).headers["x-for"])
        name = dict(self.origin.seen()[-1][2])["cdn-loop"].split(",")[0].strip()
        self.assertEqual(edges[0].get("/round", {"Host": "www.example.org", "CDN-Loop": ", ".join([name] * 3)}).status, 508)
        self.assertEqual(edges[0].get("/.archipel/peer").status, 204)
        for edge in edges:
            self.assertEqual(edge.stop(), 0, edge.stderr()[-4000:])


class Site(base.Case):
    """examples/site: pages in a bucket behind a shield and two edges."""

    def start(self):
        home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-site-"))
        self.addCleanup(shutil.rmtree, home, True)
        self.log = home / "stderr"
        with open(self.log, "wb") as err:
            process = subprocess.Popen([sys.executable, str(ROOT / "examples" / "site" / "run"), "--any-ports", "--dir", str(home / "site"),
                                        "--archipel", str(gateway.binary)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err)
        self.addCleanup(self.end, process)
        line = process.stdout.readline()
        self.assertTrue(line, self.log.read_text())
        self.ready = json.loads(line)
        return process

    def end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(90)
        process.stdout.close()

    def kill(self, name):
        os.kill(self.ready["pids"][name], signal.SIGKILL)

    def test_an_origin_an_edge_and_the_gateway_end_one_after_the_other_and_no_visitor_notices(self):
        self.start()
        addresses = [("127.0.0.1", int(url.rsplit(":", 1)[1])) for url in self.ready["edges"]]
        pages = ["/", "/about/", "/style.css"]

        # Half of the requests ask for what is cached, half for what has to be fetched.
        def paths(number):
            page = pages[number % 3]
            return page if number % 2 else f"{page}?n={number}"
        load = Load(addresses, paths, 200)
        load.wait_for(400)
        for name in ("mirror", "edge1"):
            self.kill(name)
            load.wait_for(600)
        self.assertEqual(load.errors, [])
        self.ready["pids"]["mirror"] = self.restart_mirror()
        load.wait_for(600)
        self.kill("gateway")
        load.wait_for(800)
        load.end()
        self.assertEqual(load.errors, [])
        self.assertEqual(set(load.answers), {200})

    def restart_mirror(self):
        port = self.ready["origins"][1].rsplit(":", 1)[1]
        process = subprocess.Popen([sys.executable, str(ROOT / "examples" / "site" / "run"), "--mirror", port], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(self.end_mirror, process)
        process.stdout.readline()
        return process.pid

    def end_mirror(self, process):
        process.kill()
        process.wait()
        process.stdout.close()
