"""Buckets as websites: what a browser gets from the port of [website], with curl, and over TLS."""
import json
import shutil
import subprocess

import base


class Website(base.Case):
    in_memory = True

    def setUp(self):
        super().setUp()
        self.cloud = self.new_gateway()
        self.cloud.start()
        self.cloud.stop()
        config = self.cloud.dir / "archipel.toml"
        text = config.read_text()
        keys = self.cloud.home / "tls"
        keys.mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=blog",
                        "-addext", "subjectAltName=DNS:www.example.org", "-keyout", str(keys / "key.pem"), "-out", str(keys / "cert.pem")],
                       check=True, capture_output=True)
        (keys / "key.pem").chmod(0o600)
        lines = [line for line in text.splitlines() if line.strip() != "[website]"]
        config.write_text("\n".join(lines) + f"""
[website]
http = "127.0.0.1:0"
https = "127.0.0.1:0"
domain = "sites.localhost"
[[tls]]
hosts = ["*"]
cert = "{keys / 'cert.pem'}"
key = "{keys / 'key.pem'}"
""")
        self.cloud.start()
        self.authority = str(keys / "cert.pem")

    def curl(self, url, *arguments):
        """(status, headers, body) of one request; redirects are not followed."""
        run = subprocess.run(["curl", "--silent", "--show-error", "--max-time", "30", "--include", *arguments, url], capture_output=True, timeout=60)
        self.assertEqual(run.returncode, 0, run.stderr)
        head, _, body = run.stdout.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict((name.lower(), value) for name, _, value in (line.partition(": ") for line in lines[1:]))
        return int(lines[0].split()[1]), headers, body

    def page(self, path, host="blog.sites.localhost", *arguments):
        return self.curl(self.cloud.ready["website"] + path, "--header", f"Host: {host}", *arguments)

    def make_site(self, bucket):
        s3 = self.cloud.client()
        self.expect(s3.request("PUT", bucket), 200)
        policy = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"},
            {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"}]}
        self.expect(s3.request("PUT", bucket, query=[("policy", "")], body=json.dumps(policy).encode()), 204)
        website = (b"<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
                   b"<ErrorDocument><Key>404.html</Key></ErrorDocument><RoutingRules><RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals>"
                   b"</Condition><Redirect><ReplaceKeyPrefixWith>docs/</ReplaceKeyPrefixWith></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>")
        self.expect(s3.request("PUT", bucket, query=[("website", "")], body=website), 200)
        for key, body in (("index.html", b"<h1>home</h1>"), ("docs/index.html", b"docs"), ("404.html", b"not here"), ("film", base.pattern(3_000_000))):
            self.expect(s3.request("PUT", bucket, key, body=body, headers={"content-type": "text/html"}), 200)

    def test_is_served_to_browsers_and_outlives_its_index_and_three_islands(self):
        self.make_site("blog")
        self.make_site("www.example.org")
        for _ in range(2):
            status, headers, body = self.page("/")
            self.assertEqual((status, body, headers["content-type"]), (200, b"<h1>home</h1>", "text/html"))
            self.assertEqual(self.page("/docs")[1]["location"], "/docs/")
            self.assertEqual(self.page("/docs/")[2], b"docs")
            self.assertEqual(self.page("/old/x")[1]["location"], "http://blog.sites.localhost/docs/x")
            status, _, body = self.page("/nothing")
            self.assertEqual((status, body), (404, b"not here"))
            self.assertEqual(base.sha256(self.page("/film")[2]), base.sha256(base.pattern(3_000_000)))
            self.assertEqual(self.page("/film", "blog.sites.localhost", "--range", "100-199")[2], base.pattern(3_000_000)[100:200])
            etag = self.page("/")[1]["etag"]
            self.assertEqual(self.page("/", "blog.sites.localhost", "--header", f"If-None-Match: {etag}")[0], 304)
            self.assertEqual(self.page("/", "blog.sites.localhost", "--data", "x=y")[0], 405)
            self.assertEqual(self.page("/", "nobody.sites.localhost")[0], 404)
            self.assertEqual(self.page("/", "www.example.org")[2], b"<h1>home</h1>")
            port = self.cloud.ready["website_tls"].rpartition(":")[2]
            secure = self.curl(f"https://www.example.org:{port}/", "--resolve", f"www.example.org:{port}:127.0.0.1", "--cacert", self.authority)
            self.assertEqual((secure[0], secure[2]), (200, b"<h1>home</h1>"))
            self.lose()

    def lose(self):
        self.assertEqual(self.cloud.stop(), 0)
        shutil.rmtree(self.cloud.dir / "index", ignore_errors=True)
        for name in ("alibaba-frankfurt", "sakura-tokyo", "aws-ireland"):
            shutil.rmtree(self.cloud.island(name), ignore_errors=True)
        self.cloud.start()
