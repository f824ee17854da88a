"""TLS at the edge: what connections hold that do nothing, or half of something."""
import os
import pathlib
import shutil
import socket
import ssl
import tempfile
import unittest.mock

import base
from edge import Edge, Origin
from test_tls import make_certificate

CLIENTS = 300
REQUEST = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Client:
    """TLS over a socket, with the records in our hands."""

    def __init__(self, address, version=None, alpn="http/1.1"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the system's authorities, which take long to load
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols([alpn])
        if version is not None:
            context.minimum_version = context.maximum_version = version
        self.socket = socket.create_connection(address, timeout=60)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.step(self.tls.do_handshake)

    def flush(self):
        self.socket.sendall(self.outgoing.read())

    def step(self, what, *arguments):
        while True:
            try:
                done = what(*arguments)
                self.flush()
                return done
            except ssl.SSLWantReadError:
                self.flush()
                got = self.socket.recv(65536)
                if got:
                    self.incoming.write(got)
                else:
                    self.incoming.write_eof()

    def seal(self, data):
        """The record, sealed and not sent."""
        self.tls.write(data)
        return self.outgoing.read()

    def get(self):
        self.step(self.tls.write, REQUEST)
        return self.answer()

    def answer(self):
        all_of_it = b""
        while not all_of_it.endswith(b"the page"):
            more = self.step(self.tls.read, 65536)
            if not more:
                break
            all_of_it += more
        return all_of_it

    def close(self):
        self.socket.close()


class EdgeTls(base.Case):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-edge-tls-"))
        self.addCleanup(shutil.rmtree, self.home, True)
        make_certificate(self.home)
        origin = Origin(lambda r: (200, [("cache-control", "max-age=600")], b"the page"))
        self.addCleanup(origin.close)
        config = (f'[limits]\nthreads = 1\n[[tls]]\nhosts = ["*"]\ncert = "{self.home}/cert.pem"\nkey = "{self.home}/key.pem"\n'
                  f'[[site]]\nhosts = ["*"]\norigins = ["http://127.0.0.1:{origin.port}"]\n')
        self.edge = Edge(config)
        self.addCleanup(self.edge.destroy)
        self.edge.base = self.edge.base.replace("[listen]\n", '[listen]\nhttps = "127.0.0.1:0"\n')
        self.edge.write(config)
        # A build with sanitizers keeps what was freed, unless it is told not to.
        options = [o for o in [os.environ.get("ASAN_OPTIONS", "")] if o] + ["quarantine_size_mb=0", "thread_local_quarantine_size_kb=0"]
        with unittest.mock.patch.dict(os.environ, ASAN_OPTIONS=":".join(options)):
            self.edge.start()
        self.address = ("127.0.0.1", int(self.edge.ready["edge_tls"].rpartition(":")[2]))
        self.clients = []
        self.addCleanup(lambda: [client.close() for client in self.clients])

    def connect(self, version):
        client = Client(self.address, version)
        self.assertTrue(client.get().endswith(b"the page"))
        self.clients.append(client)
        return client

    def grown(self, version, then):
        """What CLIENTS connections hold that have had an answer, and after `then`; bytes each."""
        for _ in range(30):
            self.connect(version)
        before = self.edge.rss()
        for client in [self.connect(version) for _ in range(CLIENTS)]:
            then(client)
        self.assertTrue(self.connect(version).get().endswith(b"the page"))  # all of it was looked at
        return (self.edge.rss() - before) / CLIENTS

    def end_well(self):
        for client in self.clients:
            client.close()
        self.assertEqual(self.edge.stop(), 0, self.edge.stderr()[-2000:])

    def test_an_idle_connection_holds_no_session(self):
        # In TLS 1.2 the session stays, which is the measure that holds in every build.
        whole = self.grown(ssl.TLSVersion.TLSv1_2, lambda client: None)
        each = self.grown(ssl.TLSVersion.TLSv1_3, lambda client: None)
        print(f"idle: {each / 1024:.1f} KiB a connection of TLS 1.3, {whole / 1024:.1f} of TLS 1.2", flush=True)
        self.assertLess(each, 0.75 * whole)
        self.assertLess(each, 20 << 10)
        self.end_well()

    def test_part_of_a_record_holds_its_own_size(self):
        """Slowloris below HTTP: a record that never becomes whole."""
        # Besides what came, HTTP holds a buffer of 16 KiB for the head that it waits for.
        for sent, most in ((3, 40 << 10), (15_000, 56 << 10)):
            rest = []

            def half(client):
                record = client.seal(REQUEST + b" " * 15_900)
                client.socket.sendall(record[:sent])
                rest.append((client, record[sent:]))
            each = self.grown(ssl.TLSVersion.TLSv1_3, half)
            print(f"{sent} bytes of a record: {each / 1024:.1f} KiB a connection", flush=True)
            self.assertLess(each, most)
            # It still counts when it comes.
            client, missing = rest[-1]
            client.socket.sendall(missing)
            self.assertTrue(client.answer().endswith(b"the page"))
        self.end_well()

    def test_a_record_byte_by_byte_is_a_request(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = self.connect(version)
            for byte in client.seal(REQUEST):
                client.socket.sendall(bytes([byte]))
            self.assertTrue(client.answer().endswith(b"the page"))
        self.end_well()
