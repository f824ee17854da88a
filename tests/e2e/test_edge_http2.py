"""How the edge ends connections of HTTP/2, over TLS: nothing that was asked for is lost."""
import socket
import ssl
import struct
import threading
import unittest

from edge_attack import AttackCase, H2
from test_edge import site


class Client(H2):
    def get(self, stream, path):
        self.request(stream, [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h"), (b":path", path.encode())])

    def end_side(self):
        """close_notify, and the end of our bytes; what the edge has to say then is still read. Nothing may be on its way: OpenSSL takes it amiss."""
        with self.lock:
            try:
                self.socket.unwrap()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def conversation(self, until=None):
        """All frames to the end of the connection, or of stream `until`; SETTINGS and PINGs are acknowledged, as clients do."""
        out = []
        while frame := self.read_frame():
            kind, flags, stream, payload = frame
            out.append(frame)
            if kind == 0 and flags & 1 and stream == until:
                break
            if kind in (4, 6) and not flags & 1:
                self.send(self.frame(kind, 1, 0, payload if kind == 6 else b""))
        return out


def bodies(frames):
    out = {}
    for kind, _, stream, payload in frames:
        if kind == 0:
            out[stream] = out.get(stream, b"") + payload
    return out


class Http2Ends(AttackCase):
    def setUp(self):
        self.go = threading.Event()

        def slow(connection, _stream):
            self.go.wait(60)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncache-control: no-store\r\n\r\nslow")
        self.origin = self.new_origin(lambda r: slow if r[1].startswith("/slow") else (200, [("cache-control", "max-age=60")], b"fast"))
        self.edge = self.new_edge(site(self.origin), tls=True)

    def test_a_client_that_ends_its_side_gets_its_answers(self):
        with Client(self.edge.tls_address) as client:
            client.get(1, "/slow")
            client.get(3, "/fast")
            self.until(lambda: self.origin.seen("/slow"), "a slow request is under way")
            self.assertEqual(bodies(client.conversation(until=3)), {3: b"fast"})
            client.end_side()
            self.go.set()
            self.assertEqual(bodies(client.conversation()), {1: b"slow"})
        self.end_well(self.edge)

    def test_a_drain_says_so_twice_and_answers_what_is_under_way(self):
        with Client(self.edge.tls_address) as client:
            client.get(1, "/slow")
            self.until(lambda: self.origin.seen("/slow"), "a slow request is under way")
            self.edge.command("drain")
            self.edge.wait_for_log("edge.draining")
            heard = []
            reader = threading.Thread(target=lambda: heard.extend(client.conversation()))
            reader.start()
            self.go.set()
            reader.join()
            # The client's side is open still, and the process ends all the same.
            self.assertEqual(self.edge.process.wait(60), 0)
        self.edge.process = None
        self.assertEqual(bodies(heard), {1: b"slow"})
        last = [struct.unpack(">II", payload) for kind, _, _, payload in heard if kind == 7]
        self.assertEqual(last, [(0x7fffffff, 0), (1, 0)])


if __name__ == "__main__":
    unittest.main()
