#!/usr/bin/env python3
"""Hits of a cache: the edge beside nginx's proxy cache, varnish and h2o's file server (which caches nothing: it has the bytes as files).

One worker each, pinned to one core, the load on another. Every server has to give the same bytes first. Rounds are interleaved (a b c a b c …), so that what else
the machine does meets all alike. Reported: requests per second of the *server's* CPU time (from /proc), the median of the rounds and its spread, and
the ratio to the edge. Peers that are not installed are left out, by name. The configurations are beside this file, in bench/edge/.

Example: bench/edge.py --seconds 5 --rounds 5 --rows h1-1K,h2-1K
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "e2e"))
from edge import Origin  # noqa: E402  (needs the path)

ROWS = {
    # name: (file, scheme, load)
    "h1-1K": ("1K", "http", "wrk -t1 -c32 -d{s}s {url}"),
    "h1-64K": ("64K", "http", "wrk -t1 -c32 -d{s}s {url}"),
    "h1-1M": ("1M", "http", "wrk -t1 -c16 -d{s}s {url}"),
    "tls-1K": ("1K", "https", "wrk -t1 -c32 -d{s}s {url}"),
    "h2-1K": ("1K", "https", "h2load -t1 -c32 -m32 -D{s} {url}"),
}
SIZES = {"1K": 1 << 10, "64K": 64 << 10, "1M": 1 << 20}
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def family(pid):
    """The process and all below it."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
            except OSError:
                pass
    out = {pid}
    while True:
        more = {p for p, parent in parents.items() if parent in out} - out
        if not more:
            return out
        out |= more


def cpu_seconds(pid):
    total = 0
    for one in family(pid):
        try:
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total / TICKS


class Server:
    def __init__(self, name, place, core):
        self.name, self.core = name, core
        self.dir = place["dir"] = place["root"] / name
        self.dir.mkdir()
        self.dir.chmod(0o777)
        place["port"], place["tls_port"] = free_port(), free_port()
        self.tls = name != "varnish"
        self.ports = {"http": place["port"], "https": place["tls_port"]}
        config = {"archipel": "archipel.toml", "nginx": "nginx.conf", "h2o": "h2o.conf", "varnish": "varnish.vcl"}[name]
        text = re.sub(r"\{(\w+)\}", lambda m: str(place[m.group(1)]) if m.group(1) in place else m.group(0), (HERE / "edge" / config).read_text())
        file = self.dir / config
        file.write_text(text)
        command = {
            "archipel": [str(place["binary"]), "edge", "--config", str(file)],
            "nginx": ["nginx", "-p", str(self.dir), "-c", str(file)],
            "h2o": ["h2o", "-m", "worker", "-c", str(file)],
            "varnish": ["varnishd", "-F", "-n", str(self.dir / "n"), "-a", f"127.0.0.1:{place['port']}", "-f", str(file), "-s", "malloc,256m", "-p", "thread_pools=1"],
        }[name]
        with open(self.dir / "out", "wb") as out:
            self.process = subprocess.Popen(["taskset", "-c", str(core), *command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)

    def url(self, scheme, path):
        return f"{scheme}://127.0.0.1:{self.ports[scheme]}/{path}"

    def verify(self, bodies):
        import ssl
        open_to_all = ssl._create_unverified_context()
        for path, body in bodies.items():
            for scheme in ("http", "https") if self.tls else ("http",):
                for attempt in range(100):
                    try:
                        with urllib.request.urlopen(self.url(scheme, path), context=open_to_all if scheme == "https" else None, timeout=20) as answer:
                            got = answer.read()
                        break
                    except OSError as error:
                        if self.process.poll() is not None or attempt == 99:
                            raise SystemExit(f"bench: {self.name} does not answer {scheme}: {error}; {(self.dir / 'out').read_text()[-2000:]}")
                        time.sleep(0.1)
                if got != body:
                    raise SystemExit(f"bench: {self.name} gives other bytes for {path}")

    def stop(self):
        # Its own session: what it started goes with it.
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def one_round(server, row, seconds, load_core):
    path, scheme, load = ROWS[row]
    command = load.format(s=seconds, url=server.url(scheme, path)).split()
    before = cpu_seconds(server.process.pid)
    out = subprocess.run(["taskset", "-c", str(load_core), *command], capture_output=True, text=True, timeout=seconds + 60).stdout
    used = cpu_seconds(server.process.pid) - before
    if command[0] == "wrk":
        done = int(re.search(r"(\d+) requests in", out).group(1))
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        bad = int(bad.group(1)) if bad else 0
    else:
        done = int(re.search(r"(\d+) succeeded", out).group(1))
        bad = int(re.search(r"(\d+) failed", out).group(1))
    if bad:
        raise SystemExit(f"bench: {server.name}, {row}: {bad} failed requests")
    return done / max(used, 0.01), done / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4, help="of load, each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default=",".join(ROWS), help="comma-separated: " + ", ".join(ROWS))
    parser.add_argument("--servers", default="archipel,nginx,h2o,varnish")
    parser.add_argument("--archipel", default=str(HERE.parent / "build" / "release" / "archipel"))
    parser.add_argument("--markdown", help="write the table to this file, too")
    options = parser.parse_args()
    programs = {"archipel": options.archipel, "nginx": "nginx", "h2o": "h2o", "varnish": "varnishd"}
    wanted = options.servers.split(",")
    missing = [n for n in wanted if shutil.which(programs[n]) is None]
    if "archipel" in missing:
        raise SystemExit(f"bench: there is no {options.archipel}")
    rows = options.rows.split(",")
    root = pathlib.Path(tempfile.mkdtemp(prefix="archipel-bench-edge-", dir="/dev/shm"))
    root.chmod(0o755)  # workers that give up root must read it
    bodies = {name: os.urandom(size) for name, size in SIZES.items()}
    origin = Origin(lambda r: (200, [("cache-control", "max-age=86400"), ("content-type", "application/octet-stream")], bodies[r[1].strip("/")]))
    servers = []
    try:
        files = root / "files"
        files.mkdir()
        for name, body in bodies.items():
            (files / name).write_bytes(body)
        cert, key = root / "cert.pem", root / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                        "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
        key.chmod(0o600)  # read before that
        place = {"root": root, "binary": options.archipel, "origin": origin.port, "files": files, "cert": cert, "key": key}
        for name in wanted:
            if name not in missing:
                servers.append(Server(name, place, 0))
        for server in servers:
            server.verify(bodies)
        load_core = 1 if (os.cpu_count() or 1) > 1 else 0
        before = len(origin.seen())
        lines = ["| hits | server | requests per CPU-second | spread | to the edge | requests/s |", "|---|---|---|---|---|---|"]
        for row in rows:
            scores = {s.name: [] for s in servers}
            rates = {s.name: [] for s in servers}
            for _ in range(options.rounds):
                for server in servers:
                    if ROWS[row][1] == "https" and not server.tls:
                        continue
                    score, rate = one_round(server, row, options.seconds, load_core)
                    scores[server.name].append(score)
                    rates[server.name].append(rate)
            ours = statistics.median(scores["archipel"]) if scores.get("archipel") else None
            for name, got in scores.items():
                if not got:
                    continue
                median = statistics.median(got)
                ratio = f"{ours / median:.2f} x" if ours and name != "archipel" else ""
                lines.append(f"| {row} | {name} | {median:,.0f} | {min(got):,.0f} to {max(got):,.0f} | {ratio} | {statistics.median(rates[name]):,.0f} |")
                print(lines[-1], flush=True)
        if len(origin.seen()) != before:
            print(f"note: the origin was asked {len(origin.seen()) - before} times during the rounds: not all were hits")
        print("\n" + "\n".join(lines))
        for name in missing:
            print(f"left out: {name} is not installed")
        if options.markdown:
            pathlib.Path(options.markdown).write_text("\n".join(lines) + "\n")
    finally:
        for server in servers:
            server.stop()
        origin.close()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
