"""Attacks on what the edge stores, and for whom. docs/edge-attacks.md names these tests."""
import concurrent.futures
import http.client
import subprocess
import unittest
import urllib.parse

import gateway
from edge_attack import MINUTE, NO_STORE, AttackCase, field
from test_edge import site


class Poisoning(AttackCase):
    once_is_enough = True

    def test_cache_poisoning_by_unkeyed_input(self):
        """An origin that puts whatever it hears into its page: what a client can make it hear is in the key, or does not arrive."""
        names = ["X-Forwarded-Host", "X-Forwarded-Scheme", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-For", "Forwarded", "X-Host",
                 "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Host", "X-Real-IP", "True-Client-IP", "X-Client-IP",
                 "X_Forwarded_Host", "X_Forwarded_Proto", "X-Forwarded_Host", "X_HTTP_Method_Override", "X-Middleware-Subrequest", "X-Invoke-Status", "Proxy", "Transfer_Encoding"]

        def mirror(r):
            heard = " ".join(v for n, v in r[2] if n not in ("via", "user-agent", "accept", "x-forwarded-for"))
            return (200, MINUTE, f"{r[0]} {r[1]} {heard}".encode())
        origin = self.new_origin(mirror)
        edge = self.new_edge(site(origin))
        for i, name in enumerate(names):
            self.assertNotIn(b"evil", edge.get(f"/p{i}", {name: "evil"}).body, name)
            self.assertNotIn(b"evil", edge.get(f"/p{i}").body, name)
        # Host: as it is in the key, whatever the capitals and the usual port; the target: byte for byte.
        body = edge.raw(b"GET /case HTTP/1.1\r\nHost: WWW.Example.ORG:80\r\nConnection: close\r\n\r\n")
        self.assertIn(b"www.example.org", body)
        self.assertNotIn(b"WWW", body)
        self.assertEqual(dict(origin.seen("/case")[0][2])["host"], "www.example.org")
        self.finish(edge, "cache poisoning, unkeyed input", stores=True)

    def test_cache_key_confusion(self):
        """Targets that some servers take for one another: each has its own answer here, and the origin sees it byte for byte."""
        targets = ["/a/b", "/a//b", "/a/./b", "/a/x/../b", "/a%2fb", "/a%2Fb", "/A/b", "/a/b/", "/a/b?", "/a/b?x", "/a/b;x", "/a/b%3fx", "/a/b%00", "/a/b%20", "/a/b+", "/a\\b", "/a/%62",
                   "/a/b?x=1&y=2", "/a/b?y=2&x=1", "/a/b?x=1;y=2", "/a/b?x=1&x=1", "/a/b?X=1", "/a/b??x", "/a/b?x=%31", "//a/b", "/a/b?x#".rstrip("#") + "%23"]
        origin = self.new_origin(lambda r: (200, MINUTE, f"{field(r, 'host')} {r[1]}".encode()))
        edge = self.new_edge(site(origin))
        for _ in range(2):
            for target in targets:
                self.assertEqual(edge.get(target, {"Host": "h"}).body, f"h {target}".encode(), target)
        self.assertEqual(len(origin.seen()), len(targets))
        hosts = ["h", "h:8080", "h.", "other", "[::1]", "h:08080"]
        for _ in range(2):
            for host in hosts:
                self.assertEqual(edge.get("/host", {"Host": host}).body, f"{host} /host".encode())
        self.assertIn(b" 400 ", edge.raw(b"GET / HTTP/1.1\r\nHost: h\r\nHost: other\r\n\r\n")[:20])
        absolute = edge.raw(b"GET http://other/host HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertTrue(absolute.endswith(b"other /host"), absolute)
        # Absolute, with the shortest of paths (CVE-2026-34475): the origin is asked in origin form, and for what is in the key.
        for target in ("/", "/?x"):
            for absolute in (f"http://h{target}", f"HTTP://h{target.replace('/', '', 1)}", f"https://h{target}"):
                self.assertTrue(edge.raw(f"GET {absolute} HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n".encode()).endswith(f"h {target}".encode()), absolute)
        self.assertEqual({r[1] for r in origin.seen() if not r[1].startswith("/")}, set())
        self.finish(edge, "cache key confusion", stores=True)

    def test_parameter_cloaking(self):
        origin = self.new_origin(lambda r: (200, MINUTE, r[1].encode()))
        edge = self.new_edge(site(origin, more='[site.key]\nignore = ["utm_source"]\n'))
        for cloaked in ("/p?utm_source=x;callback=evil", "/p?utm_source=x%26callback=evil", "/p?utm_source=evil", "/p?utm_source=a&utm_source=evil"):
            self.assertNotIn(b"evil", edge.get(cloaked).body)
        self.assertEqual(edge.get("/p").body, b"/p")
        for other in ("/p?utm_source%20=evil", "/p?utm%5fsource=evil", "/p?UTM_SOURCE=evil", "/p?a=1;utm_source=evil"):
            self.assertEqual(edge.get(other).body, other.encode())  # counts, and is in the key
        self.assertEqual(edge.get("/p").body, b"/p")
        self.finish(edge, "parameter cloaking", stores=True)

    def test_fat_get(self):
        origin = self.new_origin(lambda r: (200, MINUTE, b"page:" + r[3]))
        edge = self.new_edge(site(origin))
        for _ in range(2):
            self.assertEqual(edge.get("/fat", body=b"q=evil").body, b"page:q=evil")
        self.assertEqual(edge.get("/fat").body, b"page:")
        self.assertEqual(edge.get("/fat", body=b"q=evil").body, b"page:q=evil")
        self.assertEqual(edge.get("/fat").body, b"page:")
        self.assertEqual(len(origin.seen("/fat")), 4)
        self.finish(edge, "fat GET", stores=True)

    def test_hop_by_hop_abuse(self):
        """Connection takes nothing away that the origin needs, or the key holds."""
        def page(r):
            return (200, MINUTE, " ".join([field(r, "x-device") or "none", field(r, "cookie") or "none", field(r, "x-forwarded-for") or "none", field(r, "authorization") or "none"]).encode())
        origin = self.new_origin(page)
        edge = self.new_edge(site(origin, more='[site.key]\nheaders = ["x-device"]\n'))
        hide = {"Connection": "close, X-Device, Cookie, X-Forwarded-For, Authorization, Host, Via, Cache-Control", "X-Device": "mobile", "Cookie": "c"}
        self.assertEqual(edge.get("/d", hide).body, b"mobile c 127.0.0.1 none")
        self.assertEqual(edge.get("/d", {"X-Device": "mobile"}).body, b"mobile c 127.0.0.1 none")
        self.assertEqual(edge.get("/d").body, b"none none 127.0.0.1 none")
        self.assertEqual(edge.get("/v", dict(hide, Authorization="a", Cookie="c")).body, b"mobile c 127.0.0.1 a")
        # By a response: what it names goes, Set-Cookie and Cache-Control stay.
        origin.answer = lambda r: (200, [("connection", "x-hop, set-cookie, cache-control"), ("x-hop", "1"), ("set-cookie", "a=b"), ("cache-control", "private")], b"mine")
        answer = edge.get("/r")
        self.assertIsNone(answer.getheader("x-hop"))
        self.assertEqual(answer.getheader("set-cookie"), "a=b")
        edge.get("/r")
        self.assertEqual(len(origin.seen("/r")), 2)
        self.finish(edge, "hop-by-hop abuse", stores=True)

    def test_cpdos(self):
        """HHO, HMC, HMO: a request that the origin refuses because of its fields never makes others get the refusal."""
        def picky(r):
            fields = dict(r[2])
            if len(fields.get("x-oversized", "")) > 4000:
                return (400, [("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")], b"refused")
            if "x-meta" in fields or fields.get("host") != fields.get("host", "").lower():
                return (404 if fields.get("host") != fields.get("host", "").lower() else 400, [], b"refused")
            if any(n in fields for n in ("x-http-method-override", "x-amz-website-redirect-location", "x-invoke-status")) or r[0] != "GET":
                return (405, [("cache-control", "public")], b"refused")
            return (200, [("cache-control", "max-age=600")], b"hello")
        origin = self.new_origin(picky)
        edge = self.new_edge(site(origin, more='[site.cache]\nnegative_ttl = "10s"\n'))
        attacks = {"hho": {"X-Oversized": "a" * 8000}, "hmc": {"X-Meta": "\x01".encode().hex()}, "hmo": {"X-HTTP-Method-Override": "POST"}, "next": {"X-Invoke-Status": "500"},
                   "host": {"Host": "H.EXAMPLE"}, "range": {"Range": "bytes=cow"}, "expect": {"Expect": "cow"}, "many": {f"X-{i}": "a" for i in range(100)}}
        for name, headers in attacks.items():
            edge.get(f"/{name}", headers)
            victim = edge.get(f"/{name}", {"Host": "h.example"} if name == "host" else None)
            self.assertEqual((victim.status, victim.body), (200, b"hello"), name)
        for raw in (b"X: a\x07b", b"X: a\rb", b"\x00X: y", b"X" * 40000 + b": y"):
            self.assertNotIn(b" 200 ", edge.raw(b"GET /raw HTTP/1.1\r\nHost: h\r\n" + raw + b"\r\n\r\n")[:13])
        self.assertEqual(edge.get("/raw").body, b"hello")
        self.finish(edge, "CPDoS: HHO, HMC, HMO", stores=True)

    def test_web_cache_deception(self):
        """/account with something behind it that looks static: what is for one client stays his, whatever the path looks like."""
        suffixes = ["", "/x.css", "/nonexistent.js", ";x.css", ";.js", "%3bx.css", "%2fx.css", "%00.css", "%0a.css", "%23.css", "%3f.css", "/..%2fstatic.css", "?x.css", "/.png", "%2e%2e/x.ico", "/%2e%2e%2fa.woff"]
        for headers in ([("cache-control", "private, max-age=60")], [("cache-control", "no-store")], [("set-cookie", "s=1"), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")],
                        [("cache-control", "max-age=60"), ("vary", "cookie")], []):
            origin = self.new_origin(lambda r, headers=headers: (200, headers + [("content-type", "text/html")], b"account of " + (field(r, "cookie") or "nobody").encode()))
            edge = self.new_edge(site(origin))
            for suffix in suffixes:
                self.assertEqual(edge.get("/account" + suffix, {"Cookie": "victim"}).body, b"account of victim")
                self.assertEqual(edge.get("/account" + suffix).body, b"account of nobody", (suffix, headers))
            self.assertEqual({r[1] for r in origin.seen()}, {"/account" + s for s in suffixes})
            self.finish(edge, "web cache deception", stores=True)

    def test_private_responses_stay_private(self):
        """Set-Cookie by guess, Authorization, private, no-store: for one client alone."""
        origin = self.new_origin()
        edge = self.new_edge(site(origin))
        count = iter(range(10_000))
        for i, (headers, asked) in enumerate([([("set-cookie", "s=1"), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")], {}), (MINUTE, {"Authorization": "Basic eA=="}),
                                              ([("cache-control", "private, max-age=60")], {}), ([("cache-control", "no-store, max-age=60")], {}), ([("cache-control", "max-age=60"), ("vary", "*")], {}),
                                              ([("cache-control", "max-age=60"), ("cache-control", "private")], {}), ([("cache-control", 'max-age=60, PRIVATE')], {})]):
            origin.answer = lambda r, headers=headers: (200, headers, str(next(count)).encode())
            self.assertNotEqual(edge.get(f"/{i}", asked).body, edge.get(f"/{i}").body, headers)
        # A rule about how long things last is none about whose they are.
        ruled = self.new_edge(site(origin, more='[[site.ttl]]\npath = "/*"\nttl = "1h"\n'))
        for i, headers in enumerate([[("cdn-cache-control", "private")], [("cdn-cache-control", "no-store"), ("cache-control", "max-age=60")], [("cache-control", 'private="x-user"'), ("x-user", "him")],
                                     [("cache-control", "max-age=60, private")], [("set-cookie", "s=1")]]):
            origin.answer = lambda r, headers=headers: (200, headers, str(next(count)).encode())
            self.assertNotEqual(ruled.get(f"/ruled{i}").body, ruled.get(f"/ruled{i}").body, headers)
        origin.answer = lambda r: (200, [], str(next(count)).encode())
        self.assertEqual(ruled.get("/ruled").body, ruled.get("/ruled").body)
        self.finish(ruled, "responses for one client, under a rule", stores=True)
        self.finish(edge, "responses for one client", stores=True)

    def test_vary_explosion(self):
        """20,000 variants of one page, 64 KiB each, in 16 MiB of memory: what is stored stays within it, and others stay stored."""
        origin = self.new_origin(lambda r: (200, [("cache-control", "max-age=600"), ("vary", "x-v, accept-encoding, user-agent")], b"x" * 65536))
        edge = self.new_edge(site(origin))

        def many(first):
            connection = http.client.HTTPConnection(*edge.address, timeout=60)
            for i in range(first, first + 1000):
                connection.request("GET", "/v", headers={"X-V": str(i), "User-Agent": f"a{i}", "Accept-Encoding": f"br;q=0.{i % 9}, gzip"})
                connection.getresponse().read()
            connection.close()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(many, range(0, 4000, 1000)))
        # Codings are normalised: their order, weights and inventions make no variants.
        origin.forget()
        origin.answer = lambda r: (200, [("cache-control", "max-age=600"), ("vary", "accept-encoding")], b"page")
        for coding in ("gzip, br", "br,gzip", "br;q=0.9, gzip;q=0.1", "BR, x-gzip", "br, gzip, cow", "identity, br , gzip"):
            edge.get("/c", {"Accept-Encoding": coding})
        self.assertEqual(len(origin.seen("/c")), 1)
        self.finish(edge, "Vary and Accept-Encoding explosion", stores=True)

    def test_guarded_paths_in_another_spelling(self):
        """Signed paths, at an origin that reads paths as loosely as any: whatever way one is written, without a signature it is not had."""
        def resolved(target):
            path = target.partition("?")[0]
            for _ in range(2):
                path = urllib.parse.unquote(path, "latin-1")
            path = path.partition("\0")[0].replace("\\", "/")
            out = []
            for segment in (part.partition(";")[0] for part in path.split("/")):
                if segment == "..":
                    out = out[:-1]
                elif segment not in ("", "."):
                    out.append(segment)
            return "/" + "/".join(out)
        origin = self.new_origin(lambda r: (200, MINUTE, b"secret" if resolved(r[1]).lower().startswith("/private/") else b"open"))
        edge = self.new_edge(site(origin, more='[site.signed]\npaths = ["/private/*"]\nkey_files = ["key"]\n'), files={"key": "k" * 32})
        spellings = ["/private/a", "//private/a", "/./private/a", "/x/../private/a", "/%70rivate/a", "/private%2fa", "/private%2Fa", "/%2fprivate/a", "/%2e/private/a", "/x/%2e%2e/private/a",
                     "/%2570rivate/a", "/x/%252e%252e/private/a", "/private%252fa", "\\private\\a", "/\\private/a", "/private\\a", "/x\\..\\private\\a", "/private;x/a", "/;x/private/a", "/x/..;/private/a",
                     "/private/;/a", "/private//a", "/private/./a", "/private/x/../a", "/../private/a", "/private/a%00.css", "/private%00/a", "/%5cprivate%5ca", "/private/a/", "/private/%2e/a",
                     "/PRIVATE/a", "/Private/a", "/%50rivate/a", "/private/a?expires=1&signature=x", "/private/a?", "/~9999999999~0~AAAA/private/a", "/~9999999999~1~AAAA/private/a",
                     "/~9999999999~1~AAAA/../private/a", "/open/a?/private/a", "/open/..%2fprivate/a", "/open/..%5cprivate/a", "/open/%2e%2e%2fprivate%2fa", "/open%2f..%2fprivate%2fa"]
        for spelling in spellings:
            for raw in (spelling, "http://h" + spelling):
                if raw.startswith("http://h\\"):
                    continue
                edge.raw(f"GET {raw} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
                answer = edge.raw(f"GET {raw} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
                self.assertNotIn(b"secret", answer, raw)
        self.assertEqual(edge.get("/open/a", {"Host": "h"}).body, b"open")
        # With a signature it is had, and what was had that way is not stored for those without.
        signed = subprocess.run([str(gateway.binary), "edge", "sign", "http://h/private/a", "--key-file", str(edge.home / "key")], capture_output=True, text=True, check=True)
        self.assertEqual(edge.get(signed.stdout.strip().removeprefix("http://h"), {"Host": "h"}).body, b"secret")
        for spelling in spellings:
            self.assertNotIn(b"secret", edge.raw(f"GET {spelling} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()), spelling)
        self.finish(edge, "guarded paths in another spelling", stores=True)


if __name__ == "__main__":
    unittest.main()
