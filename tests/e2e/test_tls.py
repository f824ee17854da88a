"""S3 over TLS: real clients, old and plain ones refused, certificates that change while clients work."""
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
import urllib.parse

import base
import gateway
import s3
import tools


def make_certificate(directory, name="localhost", kind="ec"):
    """A self-signed certificate and its key in `directory`, replaced at once if they are there."""
    fresh = pathlib.Path(tempfile.mkdtemp(dir=directory))
    algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", "rsa:2048"]
    subprocess.run([tools.program("openssl"), "req", "-x509", *algorithm, "-nodes", "-days", "30", "-subj", f"/CN={name}", "-addext",
                    "subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1", "-keyout", fresh / "key.pem", "-out", fresh / "cert.pem"],
                   check=True, stderr=subprocess.DEVNULL)
    (fresh / "key.pem").chmod(0o600)
    for file in ("key.pem", "cert.pem"):
        (fresh / file).rename(directory / file)
    fresh.rmdir()


def enable_tls(cloud, directory):
    """Has `cloud`, which is stopped and has run before, listen with TLS as well."""
    config = cloud.dir / "archipel.toml"
    text = config.read_text()
    text = text.replace("[listen]\n", '[listen]\nhttps = "127.0.0.1:0"\n', 1)
    text += f'\n[[tls]]\nhosts = ["localhost", "*.localhost"]\ncert = "{directory}/cert.pem"\nkey = "{directory}/key.pem"\n'
    config.write_text(text)


class TlsCase(base.Case):
    @classmethod
    def setUpClass(cls):
        cls.certificates = pathlib.Path(tempfile.mkdtemp(prefix="archipel-tls-"))
        cls.addClassCleanup(shutil.rmtree, cls.certificates, True)
        make_certificate(cls.certificates)
        cls.gateway = gateway.Gateway()
        cls.addClassCleanup(cls.gateway.destroy)
        cls.gateway.start()
        cls.gateway.stop()
        enable_tls(cls.gateway, cls.certificates)
        cls.gateway.start()
        cls.endpoint = cls.gateway.ready["s3_tls"]
        url = urllib.parse.urlsplit(cls.endpoint)
        assert url.scheme == "https", cls.endpoint
        cls.tls_address = (url.hostname, url.port)

    @classmethod
    def tearDownClass(cls):
        code = cls.gateway.stop()
        if code != 0:
            raise AssertionError(f"the gateway ended with exit code {code}: {cls.gateway.stderr()[-4000:]}")

    def trusting(self):
        return ssl.create_default_context(cafile=str(self.certificates / "cert.pem"))

    def client(self, tls=None):
        ready = self.gateway.ready
        made = s3.Client(self.tls_address, ready["access_key"], ready["secret_key"], ready["region"], tls=tls or self.trusting())
        self.addCleanup(made.close)
        return made

    def shown(self):
        """The certificate that a new connection is shown, DER."""
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(self.tls_address, timeout=60) as plain, anyone.wrap_socket(plain) as tls:
            return tls.getpeercert(binary_form=True)


class Tls(TlsCase):
    def test_objects_of_every_size_pass_both_ways_in_both_versions(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.trusting()
            context.minimum_version = context.maximum_version = version
            client = self.client(context)
            bucket = f"tls-{version.name.lower().replace('_', '-')}"
            self.expect(client.make_bucket(bucket), 200)
            for size in (0, 1, 4096, 16384, 65537, 1 << 20, 9 << 20):
                data = base.pattern(size, 7)
                self.expect(client.put(bucket, f"o{size}", data), 200)
                self.assertEqual(base.sha256(client.get(bucket, f"o{size}").body), base.sha256(data), size)
            self.assertEqual(client.put_trailer(bucket, "trailer", base.pattern(200_000), "crc32c").status, 200)
            # The same objects through the other port.
            plain = self.gateway.client()
            self.addCleanup(plain.close)
            self.assertEqual(plain.get(bucket, "o65537").body, base.pattern(65537, 7))

    def test_old_versions_plain_text_and_strangers_are_refused(self):
        openssl = tools.program("openssl")
        host = f"{self.tls_address[0]}:{self.tls_address[1]}"
        for option, works in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
            done = tools.run([openssl, "s_client", "-connect", host, option, "-cipher", "ALL:@SECLEVEL=0", "-servername", "localhost"], 60)
            self.assertEqual(done.returncode == 0, works, f"{option}: {done.stdout[-500:]}")
        done = tools.run([openssl, "s_client", "-connect", host, "-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0"], 60)
        self.assertNotEqual(done.returncode, 0, "no forward secrecy")
        done = tools.run([openssl, "s_client", "-connect", host, "-alpn", "h2,http/1.1"], 60)
        self.assertIn("ALPN protocol: http/1.1", done.stdout)
        wire = s3.Wire(self.tls_address)
        self.addCleanup(wire.close)
        wire.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = wire.receive()
        self.assertEqual(answer.status, 400)
        self.assertIn(b"https://", answer.body)
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.client(ssl.create_default_context()).get("b", "k")

    def test_boto3_and_rclone_trust_and_work(self):
        ready = self.gateway.ready
        home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-tls-home-"))
        self.addCleanup(shutil.rmtree, home, True)
        trust = str(self.certificates / "cert.pem")
        env = tools.clean_environment(AWS_ACCESS_KEY_ID=ready["access_key"], AWS_SECRET_ACCESS_KEY=ready["secret_key"], HOME=str(home),
                                      AWS_DEFAULT_REGION=ready["region"], AWS_REGION=ready["region"], AWS_CA_BUNDLE=trust, PYTHONUTF8="1")
        done = tools.run([tools.program("rclone"), "--config", "/dev/null", "--ca-cert", trust, "--retries", "1", "copy", self.certificates,
                          f":s3,provider=Other,env_auth=true,region={ready['region']},endpoint='{self.endpoint}':rclone-tls/"], 150,
                         env={n: v for n, v in env.items() if n != "AWS_CA_BUNDLE"})  # rclone has its own option, and refuses to see both
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
        self.assertEqual(self.client().get("rclone-tls", "cert.pem").body, (self.certificates / "cert.pem").read_bytes())
        script = pathlib.Path(__file__).parent / "clients" / "boto3_check.py"
        env["SSL_CERT_FILE"] = trust  # boto3 reads AWS_CA_BUNDLE; the script opens presigned links with urllib, which asks OpenSSL
        done = tools.run([tools.venv("python"), script, self.endpoint, "boto-tls", json.dumps(["a", "b c"]), str(20 << 20)], 150, env=env)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])

    def test_the_aws_clis_and_curl_trust_and_work(self):
        ready = self.gateway.ready
        home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-tls-home-"))
        self.addCleanup(shutil.rmtree, home, True)
        env = tools.clean_environment(AWS_ACCESS_KEY_ID=ready["access_key"], AWS_SECRET_ACCESS_KEY=ready["secret_key"],
                                      AWS_DEFAULT_REGION=ready["region"], AWS_CA_BUNDLE=str(self.certificates / "cert.pem"), HOME=str(home))
        self.expect(self.client().make_bucket("clis"), 200)
        data = base.pattern(6 << 20, 3)
        (home / "in").write_bytes(data)
        (home / "config").write_text("[default]\ns3 =\n  multipart_threshold = 5GB\n")
        env["AWS_CONFIG_FILE"] = str(home / "config")
        curl = tools.program("curl")
        for extra in (["--tls-max", "1.2"], ["--tlsv1.3"], ["--http1.1"]):
            done = tools.run([curl, "--silent", "--show-error", "--cacert", self.certificates / "cert.pem", *extra,
                              "--aws-sigv4", f"aws:amz:{ready['region']}:s3", "--user", f"{ready['access_key']}:{ready['secret_key']}",
                              "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--upload-file", home / "in", f"{self.endpoint}/clis/curl"], 120)
            self.assertEqual((done.returncode, done.stdout), (0, ""), extra)
        self.assertEqual(self.client().get("clis", "curl").body, data)
        for find in (lambda: tools.program("aws"), lambda: tools.venv("aws")):
            try:
                aws = find()
            except unittest.SkipTest:
                continue
            for step in (["cp", home / "in", "s3://clis/aws"], ["cp", "s3://clis/aws", home / "out"]):
                done = tools.run([aws, "--endpoint-url", self.endpoint, "s3", *step], 150, env=env)
                self.assertEqual(done.returncode, 0, done.stdout[-2000:])
            self.assertEqual((home / "out").read_bytes(), data)

    def test_half_handshakes_hold_up_nobody(self):
        waiting = []
        for number in range(300):
            half = socket.create_connection(self.tls_address, timeout=60)
            self.addCleanup(half.close)
            if number % 3:
                half.sendall(b"\x16\x03\x01\x02\x00\x01\x00"[:1 + number % 7])
            waiting.append(half)
        client = self.client()
        self.expect(client.make_bucket("halves"), 200)
        for number in range(10):
            self.expect(client.put("halves", f"k{number}", b"x" * 10_000), 200)


class Certificates(TlsCase):
    def test_they_change_under_load_and_a_bad_pair_is_refused_once(self):
        first = self.shown()
        failures, ending, done = [], threading.Event(), [0]
        self.expect(self.client().make_bucket("load"), 200)
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE

        def work(keep):
            ready = self.gateway.ready
            client = s3.Client(self.tls_address, ready["access_key"], ready["secret_key"], ready["region"], tls=anyone)
            while not ending.is_set():
                try:
                    data = base.pattern(20_000, done[0] % 50)
                    good = client.put("load", f"k{keep}", data).status == 200 and client.get("load", f"k{keep}").body == data
                    if not good:
                        failures.append("a wrong answer")
                    done[0] += 1
                    if not keep:
                        client.close()
                except OSError as error:
                    failures.append(repr(error))
                    return
            client.close()

        workers = [threading.Thread(target=work, args=(keep,)) for keep in (True, False)]
        for worker in workers:
            worker.start()
        try:
            make_certificate(self.certificates, "localhost", "rsa")
            self.until(lambda: self.shown() != first, "the new certificate, by itself")
            second = self.shown()
            good_key = (self.certificates / "key.pem").read_bytes()
            (self.certificates / "key.pem").write_text("not a key")
            self.until(lambda: "tls.certificates_refused" in self.gateway.stderr(), "the refusal in the log")
            self.gateway.process.send_signal(signal.SIGHUP)
            self.until(lambda: self.gateway.stderr().count("tls.certificates_refused") == 2, "SIGHUP reads again what did not change")
            self.assertEqual(self.shown(), second)
            self.assertIn("key.pem", self.gateway.stderr())
            (self.certificates / "key.pem").write_bytes(good_key)
            make_certificate(self.certificates)
            self.gateway.process.send_signal(signal.SIGHUP)
            self.until(lambda: self.shown() not in (first, second), "the third certificate")
            before = done[0]
            self.until(lambda: done[0] > before + 3, "work after the last change")
        finally:
            ending.set()
            for worker in workers:
                worker.join(60)
        self.assertEqual(failures, [])

    def test_a_start_names_what_is_wrong_with_the_files(self):
        cloud = self.new_gateway()
        cloud.start()
        cloud.stop()
        directory = cloud.home / "certificates"
        directory.mkdir()
        make_certificate(directory)
        enable_tls(cloud, directory)
        for path, mode, expected in (("key.pem", 0o644, "chmod 600"), ("cert.pem", None, "cannot read")):
            if mode is not None:
                (directory / path).chmod(mode)
            else:
                (directory / path).unlink()
            code, text = cloud.refuse_start()
            self.assertEqual(code, 1, text)
            self.assertIn(expected, text)
            self.assertIn("archipel.toml:", text)
            (directory / path).exists() and (directory / path).chmod(0o600)
