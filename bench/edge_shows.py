#!/usr/bin/env python3
"""What an edge promises about crowds, purges and crashes, at full size, against a running release.

  herd    500 clients on one cold page, and again on the same page just expired: how often the origin was asked
  purge   one tag over a million stored pages: whether it holds for the next request, and the latency of hits before, across and after the order
  kill    kill -9 under load with a warm disk tier: how long the start takes, how many of the objects on disk are hits again, whether every body is right

The origin is nginx, whose answers are made from the path, so that every body can be checked. Latencies are of one client on one kept connection, in this
process: medians of slices of a quarter of a second; the control beside them is the same with no purge in between, so that what else the machine does can be told apart. Exit code 1: an answer was wrong
or a promise about answers was broken; times are printed and judge nothing.

Example: bench/edge_shows.py purge --objects 1000000
"""
import argparse
import asyncio
import atexit
import http.client
import json
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOKEN = "0123456789abcdef0123456789abcdef"
CROWD = 500
HOT = 1000        # pages that hits are measured on; they do not have the tag
AT_ONCE = 64      # requests sent in one piece while a cache is filled
TIMES_LARGE = 4096
SLICE_SECONDS = 0.25
READY_SECONDS_MAX = 120

NGINX = """worker_processes 1;
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  server {{
    listen 127.0.0.1:{port};
    add_header cache-control max-age=86400;
    location /hot/ {{ return 200 $uri; }}
    location /large/ {{
      set $a $uri$uri$uri$uri$uri$uri$uri$uri; set $b $a$a$a$a$a$a$a$a; set $c $b$b$b$b$b$b$b$b;
      return 200 $c$c$c$c$c$c$c$c;
    }}
    location / {{ add_header cache-tag everything; add_header cache-control max-age=86400; return 200 $uri; }}
  }}
}}
"""
EDGE = """[listen]
http = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
token_file = "token"
[log]
level = "warn"
[limits]
threads = 1
[cache]
{cache}
[[site]]
hosts = ["*"]
origins = ["http://127.0.0.1:{origin}"]
"""


def wrong(what):
    print(f"WRONG: {what}")
    sys.exit(1)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Edge:
    def __init__(self, program, directory, origin, cache):
        self.program, self.file = program, directory / "edge.toml"
        (directory / "token").write_text(TOKEN)
        (directory / "token").chmod(0o600)
        self.file.write_text(EDGE.format(cache=cache, origin=origin))
        self.start()

    def start(self):
        """Returns how long it took until connections were accepted."""
        begun = time.monotonic()
        self.process = subprocess.Popen([self.program, "edge", "--config", str(self.file)], stdout=subprocess.PIPE)
        atexit.register(self.process.kill)  # however this ends; one that has ended already is left alone
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the edge did not start; its reason stands above")
        ready = json.loads(line)
        self.port, self.admin = (int(ready[key].rsplit(":", 1)[1]) for key in ("edge", "admin"))
        return time.monotonic() - begun

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=60)
        connection.request(method, path, body and json.dumps(body), {"authorization": "Bearer " + TOKEN})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def number(self, name):
        for line in self.ask("GET", "/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return int(float(line.split()[1]))
        sys.exit(f"there is no {name} in /metrics")

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()


class Line:
    """One kept connection."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path):
        """Returns (whether the cache had it, body)."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        data = bytearray()
        while True:
            data += self.more()
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                break
        head = bytes(data[:end]).lower()
        if not head.startswith(b"http/1.1 200"):
            wrong(f"{path}: {head.splitlines()[0].decode()}")
        size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(data) < end + 4 + size:
            data += self.more()
        return b"; hit" in head, bytes(data[end + 4:])

    def fill(self, paths):
        """Asks for all of them, in one piece."""
        self.socket.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode() for path in paths))
        seen, tail = 0, b""
        while seen < len(paths):
            piece = tail + self.more()
            seen += piece.count(b"HTTP/1.1 200")
            tail = piece[-11:]
        if b"\r\n\r\n" not in piece or not piece.endswith(paths[-1].encode()):  # the body of the last is its path
            while not piece.endswith(paths[-1].encode()):
                piece = piece[-200:] + self.more()

    def more(self):
        piece = self.socket.recv(1 << 20)
        if not piece:
            wrong("the edge closed a connection")
        return piece


def everywhere(port, work, count=8):
    """work(line, share) in `count` threads, share from 0 to count - 1."""
    failures = []

    def one(share):
        try:
            work(Line(port), share)
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        wrong(f"a client failed: {failures[0]!r}")


def herd(program, directory, _):
    asked, open_doors = [], asyncio.Event()

    async def origin(reader, writer):
        while (await reader.readline()).strip():
            head = await reader.readuntil(b"\r\n\r\n")
            asked.append(head)
            await open_doors.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncache-control: max-age=1\r\ncontent-length: 5\r\n\r\nhello")
        writer.close()

    async def client(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\nhello")

    async def run():
        server = await asyncio.start_server(origin, "127.0.0.1", 0)
        edge = await asyncio.to_thread(Edge, program, directory, server.sockets[0].getsockname()[1], 'memory = "64M"')
        for state in ("cold", "just expired"):
            before = len(asked)
            open_doors.clear()
            crowd = [asyncio.create_task(client(edge.port)) for _ in range(CROWD)]
            while len(asked) == before:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)  # for those who would ask a second time
            open_doors.set()
            right = sum(await asyncio.gather(*crowd))
            print(f"herd: {CROWD} clients on a page that is {state}: {right} right answers, the origin was asked {len(asked) - before} times")
            if right != CROWD or len(asked) - before != 1:
                wrong("one question to the origin is what was promised")
            await asyncio.sleep(1.5)
        await asyncio.to_thread(edge.end)

    asyncio.run(run())


def percentile(slices, part):
    """The median of the slices' percentiles: a neighbour on the machine spoils slices, the edge would all of them."""
    return statistics.median(sorted(values)[min(len(values) - 1, int(len(values) * part))] for values in slices)


def latencies(line, seconds):
    """Slices of latencies in microseconds."""
    slices, end = [[]], time.monotonic() + seconds
    until = time.monotonic() + SLICE_SECONDS
    while (now := time.monotonic()) < end:
        if now >= until:
            slices.append([])
            until = now + SLICE_SECONDS
        path = f"/hot/{random.randrange(HOT)}"
        begun = time.perf_counter_ns()
        hit, body = line.get(path)
        slices[-1].append((time.perf_counter_ns() - begun) / 1000)
        if not hit or body != path.encode():
            wrong(f"{path} was stored, and is no hit")
    return slices


def purge(program, directory, given):
    with Origin(directory) as origin:
        edge = Edge(program, directory, origin, f'memory = "{given.objects * 4 // 1024 + 256}M"')
        share = given.objects // 8
        begun = time.monotonic()

        def fill(line, which):
            for i in range(which * share, (which + 1) * share, AT_ONCE):
                line.fill([f"/page/{n}" for n in range(i, min(i + AT_ONCE, (which + 1) * share))])

        everywhere(edge.port, fill)
        line = Line(edge.port)
        for i in range(HOT):
            line.get(f"/hot/{i}")
        stored = edge.number("archipel_edge_cache_memory_entries")
        print(f"purge: {stored} pages stored in {time.monotonic() - begun:.0f} s, {edge.resident_mib()} MiB resident")
        if stored < share * 8:
            wrong("not all that was asked for is stored")
        windows = {"control": latencies(line, given.seconds), "before": latencies(line, given.seconds)}
        told = []

        def order():
            time.sleep(given.seconds / 2)
            begun = time.perf_counter()
            told.append(edge.ask("POST", "/purge", {"tag": "everything"}))
            told.append(time.perf_counter() - begun)

        thread = threading.Thread(target=order)
        thread.start()
        windows["across"] = latencies(line, given.seconds)
        thread.join()
        if told[0][0] != 200:
            wrong(f"the purge was answered {told[0]}")
        for i in random.sample(range(share * 8), 200):
            if line.get(f"/page/{i}")[0]:
                wrong(f"/page/{i} was purged, and is a hit")
        windows["after"] = latencies(line, given.seconds)
        print(f"purge: answered in {told[1] * 1000:.1f} ms; of 200 purged pages asked for next none was a hit, and all others stayed hits")
        base = percentile(windows["before"], 0.99)
        for name, slices in windows.items():
            print(f"  hits {name:8} {sum(map(len, slices)):7} of them  p50 {percentile(slices, 0.5):6.1f} us  p99 {percentile(slices, 0.99):6.1f} us  "
                  f"p99 / before {percentile(slices, 0.99) / base:.2f}")
        edge.end()


def kill(program, directory, given):
    with Origin(directory) as origin:
        edge = Edge(program, directory, origin, f'memory = "32M"\ndisk = "tier"\ndisk_size = "{max(64, given.mib * 2)}M"')
        count = given.mib * 16

        def path(i):
            return f"/large/{i:08}"  # 60 KiB

        def ask_all(_, hits=None):
            def share(line, which):
                for i in range(which, count, 4):
                    hit, body = line.get(path(i))
                    if body != path(i).encode() * TIMES_LARGE:
                        wrong(f"{path(i)}: another body than the origin's")
                    if hits is not None and hit:
                        hits.append(i)
            everywhere(edge.port, share, 4)

        on_disk, rounds = 0, 0
        while on_disk < count * 0.9 and rounds < 6:
            ask_all(rounds)
            rounds, on_disk = rounds + 1, edge.number("archipel_edge_cache_disk_objects")
        stop = threading.Event()

        def load():
            try:
                line = Line(edge.port)
                while not stop.is_set():
                    line.get(path(random.randrange(count)))
            except (OSError, SystemExit):
                pass
        sys.stdout.flush()
        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        time.sleep(2)
        on_disk = edge.number("archipel_edge_cache_disk_objects")
        edge.process.kill()
        edge.process.wait()
        stop.set()
        for client in clients:
            client.join()
        took = edge.start()
        back, hits = edge.number("archipel_edge_cache_disk_objects"), []
        ask_all(0, hits)
        print(f"kill: {on_disk} objects of 60 KiB on disk when it was killed; accepting again after {took:.2f} s with {back} of them "
              f"({100 * back / on_disk:.1f} %); {len(hits)} of {count} asked for were hits, every body was right")
        if back < on_disk * 0.95:
            wrong("fewer than 95 % of the objects are there again")
        edge.end()


class Origin:
    def __init__(self, directory):
        self.directory, self.port = directory, free_port()

    def __enter__(self):
        config = self.directory / "nginx.conf"
        config.write_text(NGINX.format(dir=self.directory, port=self.port))
        self.process = subprocess.Popen(["nginx", "-c", str(config), "-p", str(self.directory)], stderr=subprocess.DEVNULL)
        end = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self.port
            except OSError:
                time.sleep(0.05)
        sys.exit("nginx did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shows = {"herd": herd, "purge": purge, "kill": kill}
    parser.add_argument("show", nargs="*", help="herd, purge, kill (default: all)")
    parser.add_argument("--objects", type=int, default=1_000_000, help="pages that have the tag")
    parser.add_argument("--seconds", type=float, default=10, help="of hits, in each window")
    parser.add_argument("--mib", type=int, default=1024, help="of objects for the disk tier")
    parser.add_argument("--archipel", default=str(ROOT / "build/release/archipel"))
    parser.add_argument("--dir", help="where the disk tier has its files (default: where temporary files go)")
    given = parser.parse_args()
    if unknown := [name for name in given.show if name not in shows]:
        parser.error(f"'{unknown[0]}' is none of herd, purge, kill")
    if not pathlib.Path(given.archipel).exists():
        sys.exit(f"there is no {given.archipel}: run ./dev build release, or say --archipel PATH")
    if shutil.which("nginx") is None and given.show != ["herd"]:
        sys.exit("nginx is the origin; install it: apt-get install nginx-light")
    for name in given.show or shows:
        directory = pathlib.Path(tempfile.mkdtemp(prefix="archipel-shows-", dir=given.dir))
        try:
            shows[name](given.archipel, directory, given)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
