"""The edge over TLS, as the programs that people have speak to it: curl, h2load, wrk and Chromium."""
import gzip
import pathlib
import re
import shutil
import tempfile

import base
import browser
import tools
from edge import Edge, Origin
from test_tls import make_certificate

PAGE = b"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title><link rel="stylesheet" href="/style.css">
<link rel="icon" href="data:,"></head><body><h1>It works</h1><script src="/script.js"></script></body></html>"""
KINDS = {"/": ("text/html", PAGE), "/style.css": ("text/css", b"h1 { color: rgb(1, 2, 3) }\n" * 200),
         "/script.js": ("text/javascript", b"document.title = 'It ran';\n"), "/film": ("video/mp4", base.pattern(3_000_000))}
REQUESTS = 2000


def answer(request):
    if request[0] == "POST":
        return 200, [("content-type", "text/plain"), ("cache-control", "no-store")], b"%d bytes" % len(request[3])
    kind, body = KINDS.get(request[1].split("?")[0], ("text/plain", b"hello"))
    return 200, [("content-type", kind), ("cache-control", "max-age=600"), ("etag", f'"{len(body)}"')], body


class Clients(base.Case):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-edge-clients-"))
        self.addCleanup(shutil.rmtree, self.home, True)
        make_certificate(self.home)
        self.origin = Origin(answer)
        self.addCleanup(self.origin.close)
        edge = Edge(f'[[tls]]\nhosts = ["*"]\ncert = "{self.home}/cert.pem"\nkey = "{self.home}/key.pem"\n'
                    f'[[site]]\nhosts = ["*"]\norigins = ["{self.origin.url}"]\n[site.compress]\nminimum = "1K"\n')
        self.addCleanup(edge.destroy)
        edge.base = edge.base.replace("[listen]\n", '[listen]\nhttps = "127.0.0.1:0"\n')
        edge.write(edge.file.read_text().partition("threads = 1\n")[2])
        edge.start()
        self.edge = edge
        self.url = "https://localhost:" + edge.ready["edge_tls"].rpartition(":")[2]

    def curl(self, path, *options):
        """(exit code, HTTP version, status, what was written to the file)"""
        out = self.home / "out"
        out.unlink(missing_ok=True)
        run = tools.run([tools.program("curl"), "-sS", "--cacert", self.home / "cert.pem", "-o", out, "-w", "\n%{http_version} %{http_code}", *options,
                         self.url + path])
        version, status = run.stdout.splitlines()[-1].split()
        return run.returncode, version, int(status), out.read_bytes() if out.exists() else b""

    def test_curl_with_each_protocol_and_version_of_tls(self):
        for options, version in ((("--http1.1",), "1.1"), (("--http2",), "2"), (("--tls-max", "1.2"), "2"), (("--tls-max", "1.2", "--http1.1"), "1.1")):
            with self.subTest(options=options):
                self.assertEqual(self.curl("/film", *options), (0, version, 200, KINDS["/film"][1]))
                self.assertEqual(self.curl("/film", "-r", "1000000-1999999", *options), (0, version, 206, KINDS["/film"][1][1000000:2000000]))
                self.assertEqual(self.curl("/film", "-I", *options)[:3], (0, version, 200))
                self.assertEqual(self.curl("/style.css", "--compressed", *options)[3], KINDS["/style.css"][1])
                code, _, _, packed = self.curl("/style.css", "-H", "accept-encoding: gzip", *options)
                self.assertEqual((code, gzip.decompress(packed)), (0, KINDS["/style.css"][1]))
                self.assertEqual(self.curl("/form", "--data-binary", "x" * 100_000, *options), (0, version, 200, b"100000 bytes"))
        self.assertEqual(self.curl("/", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0")[0], 35)  # CURLE_SSL_CONNECT_ERROR

    def test_h2load_and_wrk_get_every_answer(self):
        run = tools.run([tools.program("h2load"), "-n", REQUESTS, "-c", 8, "-m", 16, self.url + "/style.css"])
        self.assertIn("Application protocol: h2", run.stdout)
        self.assertIn(f"{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout", run.stdout)
        self.assertIn(f"status codes: {REQUESTS} 2xx", run.stdout)
        run = tools.run([tools.program("wrk"), "-c", 8, "-t", 1, "-d", 4, "--timeout", "60s", self.url + "/style.css"])
        self.assertRegex(run.stdout, r"[1-9]\d* requests in")
        self.assertIsNone(re.search("Non-2xx|Socket errors", run.stdout), run.stdout)
        self.assertLessEqual(len(self.origin.seen("/style.css")), 2)

    def test_chromium_shows_a_page_with_all_that_it_needs(self):
        with browser.Browser(insecure=True) as chromium:
            for visit in range(2):
                chromium.open(self.url + f"/?visit={visit}")
                self.assertEqual(chromium.run("return document.title"), "It ran")
                self.assertEqual(chromium.run("return getComputedStyle(document.querySelector('h1')).color"), "rgb(1, 2, 3)")
                self.assertEqual(chromium.run("return performance.getEntriesByType('navigation')[0].nextHopProtocol"), "h2")
            answers = chromium.run("return (async () => { const post = await (await fetch('/form', {method: 'POST', body: 'x'.repeat(200000)})).text();"
                                   "const part = await fetch('/film', {headers: {range: 'bytes=5-9'}});"
                                   "return [post, part.status, (await part.arrayBuffer()).byteLength] })()")
            self.assertEqual(answers, ["200000 bytes", 206, 5])
            self.assertEqual([m for m in chromium.messages() if m["level"] == "SEVERE"], [])
        # Chromium asks for what it has twice, if at all; the origin was asked once for each form.
        self.assertEqual(len(self.origin.seen("/script.js")), 1)
