"""Purges that outlive the edges that give and hear them."""
import json
import pathlib
import shutil
import signal
import socket
import tempfile
import threading

import base
from edge import Edge, Origin

HOST = {"Host": "www.example.org"}
TOKEN = "0123456789abcdef" * 2


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Surviving(base.Case):
    """One edge tells another what is purged; each has a cache of its own, with a disk tier."""

    def setUp(self):
        super().setUp()
        self.version = 1
        self.origin = Origin(lambda r: (200, [("cache-control", "max-age=3600"), ("cache-tag", "odd" if r[1][-1] in "13579" else "even")],
                                        f"{r[1]} {self.version} ".encode() + b"x" * 3000))
        self.addCleanup(self.origin.close)
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-surviving-"))
        self.addCleanup(shutil.rmtree, self.home, True)
        (self.home / "peers").touch(0o600)
        (self.home / "peers").write_text(TOKEN)
        self.ports = {"sender": free_port(), "hearer": free_port()}

    def make(self, name, disk=True, more=""):
        to = f'self = "http://127.0.0.1:{self.ports[name]}"\npurge = ["http://127.0.0.1:{self.ports["hearer"]}"]\n' if name == "sender" else ""
        cache = '[cache]\nmemory = "1M"\ndisk = "disk"\ndisk_size = "64M"\n' if disk else ""
        edge = Edge(f'{cache}[peers]\ntoken_file = "{self.home / "peers"}"\n{to}{more}[[site]]\nname = "www"\nhosts = ["*"]\norigins = ["{self.origin.url}"]\n')
        self.addCleanup(edge.destroy)
        edge.file.write_text(edge.file.read_text().replace('http = "127.0.0.1:0"', f'http = "127.0.0.1:{self.ports[name]}"', 1))
        return edge.start()

    def metric(self, edge, text):
        lines = edge.admin("/metrics", token=False).body.decode().splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(text)), None)

    def wait(self, condition, what):
        waited = threading.Event()
        for _ in range(1200):
            if condition():
                return
            waited.wait(0.05)
        self.fail(f"did not come: {what}")

    def version_of(self, edge, target):
        return int(edge.get(target, HOST).body.split()[1])

    def order(self, edge, what):
        return json.loads(edge.admin("/purge", "POST", what).body)

    def until_they_speak(self, sender):
        """A sender that found nobody waits longer and longer before it tries again."""
        order = {"url": "http://www.example.org/nothing"}
        self.wait(lambda: self.order(sender, order)["edges"][0]["state"] == "purged", "they speak")

    def taken(self, hearer):
        return self.metric(hearer, 'archipel_edge_peer_purges_total{event="taken"}')

    def pending(self, sender):
        return self.metric(sender, "archipel_edge_peer_purges_pending{")

    def warm(self, edge, count=800):
        """More than memory holds, so that most of it lies on the disk."""
        pages = [f"/{i}" for i in range(count)]
        for _ in range(30):
            for page in pages:
                self.assertEqual(self.version_of(edge, page), 1)
            if self.metric(edge, "archipel_edge_cache_disk_objects") > 0.8 * count:
                return pages
        self.fail(f"{self.metric(edge, 'archipel_edge_cache_disk_objects')} objects on disk")

    def kill(self, edge):
        edge.process.kill()
        edge.process.wait()

    def test_what_is_pending_when_its_sender_is_killed_is_told_by_the_next_start(self):
        hearer, sender = self.make("hearer", disk=False), self.make("sender")
        self.until_they_speak(sender)
        before = self.taken(hearer)
        for page in ("/1", "/2", "/3"):
            self.assertEqual(self.version_of(hearer, page), 1)
        hearer.process.send_signal(signal.SIGSTOP)
        self.version = 2
        answer = self.order(sender, {"url": "http://www.example.org/1"})
        self.assertEqual([e["state"] for e in answer["edges"]], ["pending"])
        self.assertTrue(answer["durable"], "it is on the disk")
        answer = self.order(sender, {"tag": "odd", "site": "www"})
        self.assertEqual((answer["durable"], answer["edges"][0]["state"]), (True, "pending"))
        self.kill(sender)
        # The first order may lie in the hearer's socket; the second waits for its answer.
        hearer.process.send_signal(signal.SIGCONT)
        sender.start()
        self.wait(lambda: self.taken(hearer) == before + 2, "what was pending")
        self.assertEqual([self.version_of(hearer, page) for page in ("/1", "/2", "/3")], [2, 1, 2])
        self.assertEqual(self.metric(hearer, 'archipel_edge_peer_purges_total{event="missed"}'), 0)
        self.assertEqual((sender.home / "disk" / "peers" / "told").stat().st_mode & 0o777, 0o600)
        # And it goes on from there.
        self.version = 3
        self.assertEqual(self.order(sender, {"url": "http://www.example.org/2"})["edges"][0]["state"], "purged")
        self.assertEqual(self.version_of(hearer, "/2"), 3)
        for edge in (sender, hearer):
            self.assertEqual(edge.stop(), 0, edge.stderr()[-4000:])

    def test_without_a_disk_an_order_that_is_pending_is_not_called_durable(self):
        hearer, sender = self.make("hearer", disk=False), self.make("sender", disk=False)
        self.until_they_speak(sender)
        answer = self.order(sender, {"site": "www"})
        self.assertEqual((answer["durable"], answer["edges"][0]["state"]), (True, "purged"))
        hearer.process.send_signal(signal.SIGSTOP)
        answer = self.order(sender, {"site": "www"})
        self.assertEqual((answer["durable"], answer["edges"][0]["state"]), (False, "pending"))
        hearer.process.send_signal(signal.SIGCONT)
        # With a directory of its own it is.
        self.assertEqual(sender.stop(), 0)
        with_log = self.make("sender", disk=False, more='log = "told"\n')
        hearer.process.send_signal(signal.SIGSTOP)
        answer = self.order(with_log, {"site": "www"})
        self.assertEqual((answer["durable"], answer["edges"][0]["state"]), (True, "pending"))
        self.assertTrue((with_log.home / "told" / "told").exists())
        hearer.process.send_signal(signal.SIGCONT)
        for edge in (with_log, hearer):
            self.assertEqual(edge.stop(), 0, edge.stderr()[-4000:])

    def test_a_hearer_that_is_killed_keeps_its_disk_and_gives_back_nothing_that_was_purged(self):
        hearer, sender = self.make("hearer"), self.make("sender")
        self.until_they_speak(sender)
        pages = self.warm(hearer)
        self.version = 2
        self.assertEqual(self.order(sender, {"tag": "odd", "site": "www"})["edges"][0]["state"], "purged")
        self.kill(hearer)
        # It hears of this one when it is back.
        self.assertEqual(self.order(sender, {"url": "http://www.example.org/2"})["edges"][0]["state"], "pending")
        hearer.start()
        self.wait(lambda: self.pending(sender) == 0, "the hearer is back")
        # The one that it missed; and the last before that, if it was killed before a worker wrote how far it had heard.
        self.assertGreaterEqual(self.taken(hearer), 1)
        self.assertEqual(self.metric(hearer, 'archipel_edge_peer_purges_total{event="missed"}'), 0)
        self.origin.forget()
        for page in pages:
            expected = 2 if page[-1] in "13579" or page == "/2" else (1, 2)
            self.assertIn(self.version_of(hearer, page), expected if isinstance(expected, tuple) else (expected,), page)
        again = len([r for r in self.origin.seen() if r[1][-1] in "02468"])
        self.assertLess(again, len(pages) / 4, "its disk was warm")
        for edge in (sender, hearer):
            self.assertEqual(edge.stop(), 0, edge.stderr()[-4000:])
