"""An edge as the person sees it who runs it: limits of the process, reloads that must not break it, logs, metrics, its service manager."""
import http.client
import json
import os
import pathlib
import re
import resource
import signal
import socket
import threading

from edge import Edge, EdgeCase
from test_tls import make_certificate

HOST = {"Host": "www.example.org"}


def site(origin, more=""):
    return f'[[site]]\nname = "www"\nhosts = ["*"]\norigins = ["{origin.url}"]\n{more}'


class Limits(EdgeCase):
    def connect(self, edge):
        client = socket.create_connection(edge.address, timeout=20)
        self.addCleanup(client.close)
        return client

    def is_served(self, client):
        try:
            client.sendall(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def test_the_limit_of_connections_is_one_of_the_process(self):
        """However the kernel shares them out among the threads, so many are served, and no more."""
        edge = self.new_edge("[limits]\nthreads = 4\nconnections = 40\n" + site(self.new_origin()))
        clients = [self.connect(edge) for _ in range(40)]
        self.assertTrue(all([self.is_served(client) for client in clients]), "one of the first forty was sent away")
        for _ in range(5):
            self.assertFalse(self.is_served(self.connect(edge)))
        metrics = edge.admin("/metrics", token=False).body.decode()
        self.assertRegex(metrics, r"\narchipel_http_connections_refused_total 5\n", "and the admin API answers")
        clients[0].close()
        waited = threading.Event()
        for _ in range(200):
            if self.is_served(self.connect(edge)):
                break
            waited.wait(0.05)
        else:
            self.fail("a place was free")
        self.end_well(edge)


class Reloads(EdgeCase):
    def test_a_configuration_that_is_bad_in_any_way_changes_nothing_and_says_why(self):
        origin, other = self.new_origin(), self.new_origin(lambda r: (200, [], b"the other"))
        port = socket.create_server(("127.0.0.1", 0))
        number = port.getsockname()[1]
        port.close()
        edge = Edge("", threads=1)
        self.addCleanup(edge.destroy)
        make_certificate(edge.home)
        edge.base = edge.base.replace("[listen]\n", f'[listen]\nhttps = "127.0.0.1:{number}"\n')
        tls = '[[tls]]\nhosts = ["*"]\ncert = "cert.pem"\nkey = "key.pem"\n'
        good = tls + site(origin)
        edge.write(good)
        edge.start()
        keep = socket.create_connection(edge.address, timeout=20)
        self.addCleanup(keep.close)

        def served():
            self.assertEqual(edge.get("/", HOST).body, b"hello")
            keep.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            self.assertTrue(keep.recv(4096).startswith(b"HTTP/1.1 200"), "a connection was dropped")

        (edge.home / "not.pem").write_text("no certificate\n")
        (edge.home / "not.mmdb").write_text("no database\n")
        (edge.home / "open").write_text("0123456789abcdef" * 2)
        (edge.home / "open").chmod(0o644)
        bad = {
            "no TOML": ("[[site]\n", "edge.toml:"),
            "nothing": ("", "[[tls]]"),
            "an unknown key": (tls + site(other, "colour = 3\n"), "colour"),
            "a value out of its range": (tls + "[peers]\nhot_requests = 0\n" + site(other), "hot_requests"),
            "a wrong kind of value": (tls + site(other, 'connect_timeout = 5\n'), "connect_timeout"),
            "a host twice": (tls + site(other) + '[[site]]\nname = "b"\nhosts = ["*"]\norigins = ["http://127.0.0.1:1"]\n', "two sites"),
            "an origin that is none": (tls + site(other).replace("http://", "ftp://"), "ftp"),
            "a certificate that is not there": (tls.replace("cert.pem", "gone.pem") + site(other), "gone.pem"),
            "a certificate that is none": (tls.replace("cert.pem", "not.pem") + site(other), "not.pem"),
            "a key that is another's": (tls.replace("key.pem", "not.pem") + site(other), "not.pem"),
            "a database that is none": (tls + '[proxy]\ngeo_database = "not.mmdb"\n' + site(other), "not.mmdb"),
            "a token that others may read": (tls + '[peers]\ntoken_file = "open"\n' + site(other), "chmod 600"),
            "a log without its directory": (tls + '[log]\naccess = "gone/access.log"\n' + site(other), "gone/access.log"),
            "a megabyte too much": (tls + site(other) + "# " + "x" * (1 << 20), "1 MiB"),
            "bytes that are no text": (tls + site(other) + "\udcff\udcfe", "edge.toml"),
        }
        for what, (config, reason) in bad.items():
            with self.subTest(what):
                edge.file.write_bytes((edge.base + config).encode(errors="surrogateescape"))
                refused = edge.stderr().count("config.refused")
                edge.process.send_signal(signal.SIGHUP)
                edge.wait_for_log("config.refused", refused + 1)
                line = [line for line in edge.stderr().splitlines() if "config.refused" in line][-1]
                self.assertIn(reason, line)
                served()
                self.assertIn("\narchipel_config_last_reload_successful 0\n", edge.admin("/metrics", token=False).body.decode())
        edge.file.unlink()
        edge.reload("config.refused")
        os.mkdir(edge.file)
        edge.reload("config.refused")
        os.rmdir(edge.file)
        served()
        edge.write(good.replace(origin.url, other.url))
        edge.reload()
        self.assertIn("\narchipel_config_last_reload_successful 1\n", edge.admin("/metrics", token=False).body.decode())
        self.assertEqual(edge.get("/new", HOST).body, b"the other")
        self.assertNotIn("config.needs_restart", edge.stderr())
        edge.base = edge.base.replace("[limits]\n", "[limits]\nconnections = 500\n")
        edge.write(good)
        edge.reload("config.needs_restart")
        self.assertIn("limits.connections", edge.stderr())
        self.end_well(edge)

    def test_reloads_under_load_fail_no_request(self):
        origin = self.new_origin()
        edge = self.new_edge(site(origin), threads=2)
        stop, wrong, served = threading.Event(), [], [0]

        def load():
            connection = http.client.HTTPConnection(*edge.address, timeout=60)
            while not stop.is_set():
                try:
                    connection.request("GET", f"/{served[0] % 50}", headers=HOST)
                    response = connection.getresponse()
                    if response.read() != b"hello" or response.status != 200:
                        wrong.append(response.status)
                    served[0] += 1
                except (OSError, http.client.HTTPException) as error:
                    wrong.append(repr(error))
                    return

        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        for round_ in range(20):
            edge.write(site(origin, f"[site.headers]\nresponse_set = [\"x-round: {round_}\"]\n"))
            # More signals than reloads: the last file is what counts.
            for _ in range(5):
                edge.process.send_signal(signal.SIGHUP)
        waited = threading.Event()
        for i in range(400):
            if edge.get(f"/x{i}", HOST).headers["x-round"] == "19":  # what is stored has the header of its time
                break
            waited.wait(0.05)
        else:
            self.fail("the last file was not read")
        for _ in range(1200):
            if served[0] > 20 or wrong:
                break
            waited.wait(0.05)
        stop.set()
        for client in clients:
            client.join()
        self.assertEqual(wrong, [])
        self.assertGreater(served[0], 20)
        self.end_well(edge)


class Logs(EdgeCase):
    def lines(self, path):
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, path, target):
        waited = threading.Event()
        for _ in range(400):
            if any(line["target"] == target for line in self.lines(path)):
                return
            waited.wait(0.05)
        self.fail(f"{target} is not in {path.name}")

    def test_the_access_log_is_rotated_even_while_the_configuration_is_bad(self):
        edge = self.new_edge('[log]\naccess = "access.log"\n' + site(self.new_origin()))
        log = edge.home / "access.log"
        edge.get("/first", HOST)
        self.wait_for(log, "/first")
        log.rename(edge.home / "access.log.1")
        edge.reload()
        edge.get("/second", HOST)
        self.wait_for(log, "/second")
        edge.file.write_text("half an ed")
        log.rename(edge.home / "access.log.2")
        edge.reload("config.refused")
        edge.get("/third", HOST)
        self.wait_for(log, "/third")
        self.assertEqual([line["target"] for line in self.lines(edge.home / "access.log.2")], ["/second"])
        edge.stop()

    def test_a_full_disk_costs_lines_and_nothing_else(self):
        """The file may not grow any more, which is what a full disk is to who writes: first a part of a line fits, then none."""
        edge = self.new_edge('[log]\naccess = "access.log"\n' + site(self.new_origin()))
        log = edge.home / "access.log"
        for i in range(20):
            edge.get(f"/{i}", HOST)
        self.wait_for(log, "/19")
        limit = log.stat().st_size + 100
        resource.prlimit(edge.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        for i in range(20):
            self.assertEqual(edge.get(f"/full{i}", HOST).status, 200)
        edge.wait_for_log("access_log.not_written")
        resource.prlimit(edge.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        waited = threading.Event()
        for i in range(400):
            edge.get(f"/again{i}", HOST)
            if "/again" in log.read_text():
                break
            waited.wait(0.05)
        good = torn = 0
        for line in log.read_text().splitlines():
            try:
                json.loads(line)
                good += 1
            except ValueError:
                torn += 1
        self.assertLessEqual(torn, 1, "one line was cut off, and none was glued to it")
        self.assertGreaterEqual(good, 21)
        self.assertEqual(log.stat().st_mode & 0o777, 0o640)
        metrics = edge.admin("/metrics", token=False).body.decode()
        dropped = int(re.search(r'access_log_lines_total\{state="dropped"\} (\d+)', metrics)[1])
        written = int(re.search(r'access_log_lines_total\{state="written"\} (\d+)', metrics)[1])
        self.assertGreaterEqual(dropped, 1)  # the others may have waited until there was room again
        self.assertGreaterEqual(written, good)
        self.end_well(edge)


class Metrics(EdgeCase):
    """/metrics as Prometheus reads it, and as its conventions want it."""

    def families(self, text):
        self.assertTrue(text.endswith("\n"))
        types, current, samples, seen = {}, None, {}, set()
        for line in text.splitlines():
            if line.startswith("# HELP "):
                current = line.split(" ", 3)[2]
                self.assertNotIn(current, seen, "a family in two places")
                seen.add(current)
                self.assertTrue(line.split(" ", 3)[3:] and line.split(" ", 3)[3], line)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertEqual(name, current, "HELP and TYPE go together")
                types[name] = kind
            else:
                match = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (\S+)', line)
                self.assertTrue(match, f"no sample: {line}")
                float(match[3])
                base = re.sub(r"_(bucket|sum|count)$", "", match[1]) if types.get(current) == "histogram" else match[1]
                self.assertEqual(base, current, "a sample outside of its family")
                self.assertNotIn((match[1], match[2]), samples, "a sample twice")
                samples[(match[1], match[2])] = float(match[3])
        return types, samples

    def test_every_family_is_told_once_with_its_help_type_and_unit(self):
        origin = self.new_origin()
        edge = self.new_edge('[cache]\nmemory = "4M"\ndisk = "disk"\ndisk_size = "64M"\n' + site(origin))
        for i in range(5):
            edge.get(f"/{i}", HOST)
        response = edge.admin("/metrics", token=False)
        self.assertEqual(response.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        types, samples = self.families(response.body.decode())
        for name, kind in types.items():
            with self.subTest(name):
                self.assertRegex(name, r"^(archipel|process)_[a-z0-9_]+$")
                self.assertEqual(kind == "counter", name.endswith("_total"))
                self.assertNotRegex(name, r"(_ms|_us|_millis|_kb|_mb|_percent)(_|$)", "base units: seconds, bytes, ratios")
        for name in ("archipel_config_last_reload_successful", "archipel_config_last_reload_success_timestamp_seconds", "archipel_http_connections",
                     "process_start_time_seconds", "process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_cpu_seconds_total"):
            self.assertIn(name, types)
        self.assertGreater(samples[("process_resident_memory_bytes", None)], 1 << 20)
        histogram = {k: v for k, v in samples.items() if k[0] == "archipel_edge_origin_seconds_bucket"}
        counts = [v for _, v in sorted(histogram.items(), key=lambda one: float(re.search(r'le="([^"]+)"', one[0][1])[1].replace("+Inf", "inf")))]
        self.assertEqual(counts, sorted(counts), "buckets add up")
        self.end_well(edge)

    def test_health_is_for_whoever_asks(self):
        edge = self.new_edge(site(self.new_origin()))
        for path in ("/healthz", "/readyz"):
            for method in ("GET", "HEAD"):
                self.assertEqual(edge.admin(path, method, token=False).status, 200)
            self.assertEqual(edge.admin(path, "POST", token=False).status, 405)
        self.end_well(edge)


class ServiceManager(EdgeCase):
    """systemd, as an edge of Type=notify sees it."""

    def end(self, pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass

    def test_it_is_told_of_the_start_reloads_and_the_end(self):
        edge = Edge(site(self.new_origin()))
        self.addCleanup(edge.destroy)
        path = edge.home / "notify"
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(str(path))
        manager.settimeout(60)
        edge.environment = {"NOTIFY_SOCKET": str(path)}
        edge.start()
        said = lambda: dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())
        started = said()
        self.assertEqual((started["READY"], started["MAINPID"]), ("1", str(edge.process.pid)))
        edge.reload()
        reloading = said()
        self.assertEqual(reloading["RELOADING"], "1")
        self.assertTrue(reloading["MONOTONIC_USEC"].isdigit())
        self.assertEqual(said()["READY"], "1")
        edge.file.write_text("bad")
        edge.reload("config.refused")
        self.assertEqual(said()["RELOADING"], "1")
        refused = said()
        self.assertEqual(refused["READY"], "1")
        self.assertIn("refused", refused["STATUS"])
        self.assertEqual(edge.stop(), 0)
        self.assertEqual(said()["STOPPING"], "1")

    def test_a_successor_says_that_it_is_the_service_now(self):
        edge = Edge('[proxy]\ntake_over = "run"\n' + site(self.new_origin()))
        self.addCleanup(edge.destroy)
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(str(edge.home / "notify"))
        manager.settimeout(60)
        edge.environment = {"NOTIFY_SOCKET": str(edge.home / "notify")}
        edge.start()
        manager.recv(4096)
        edge.process.send_signal(signal.SIGUSR2)
        said = dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())
        pid = int(said["MAINPID"])
        self.assertNotEqual(pid, edge.process.pid)
        self.addCleanup(self.end, pid)
        self.assertEqual(edge.process.wait(60), 0)
        self.assertEqual(edge.get("/", HOST).status, 200)
        manager.setblocking(False)
        self.assertRaises(BlockingIOError, manager.recv, 4096)  # the service goes on: nobody says STOPPING
        os.kill(pid, signal.SIGTERM)
        edge.process = None
        manager.settimeout(60)
        self.assertIn("STOPPING=1", manager.recv(4096).decode())
        pathlib.Path(edge.home / "notify").unlink()
