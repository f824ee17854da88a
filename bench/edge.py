#!/usr/bin/env python3
"""Hits of a cache: the edge beside nginx's proxy cache, varnish, Traffic Server and h2o's file server (which caches nothing: it has the bytes as files).

One worker each, pinned to one core, the load on another. Every server has to give the same bytes first. Rounds are interleaved (a b c a b c …), so that what else
the machine does meets all alike. Reported: requests per second of the *server's* CPU time (from /proc), the median of the rounds and its spread, and
the ratio to the edge. Peers that are not installed are left out, by name. The configurations are beside this file, in bench/edge/.

The row disk-64K is another comparison: objects of 64 KiB found by the disk tier, checksums verified, none of them in the page cache before, beside fio
reading the same file at random in pieces of 64 KiB, through the page cache and past it (O_DIRECT), as many at a time; MB/s, in turns. Its directory (TMPDIR, or
--disk-dir) has to lie on the device in question.

Example: bench/edge.py --seconds 5 --rounds 5 --rows h1-1K,h2-1K
"""
import argparse
import json
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
DISK_ROW = "disk-64K"
DISK_READERS = 32
DISK_FILE_MIB = 1024  # the tier's files are as large
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
        config = HERE / "edge" / {"archipel": "archipel.toml", "nginx": "nginx.conf", "h2o": "h2o.conf", "varnish": "varnish.vcl", "trafficserver": "trafficserver"}[name]
        for template in config.iterdir() if config.is_dir() else [config]:
            text = re.sub(r"\{(\w+)\}", lambda m: str(place[m.group(1)]) if m.group(1) in place else m.group(0), template.read_text())
            file = self.dir / template.name
            file.write_text(text)
        command = {
            "archipel": [str(place["binary"]), "edge", "--config", str(file)],
            "nginx": ["nginx", "-p", str(self.dir), "-c", str(file)],
            "h2o": ["h2o", "-m", "worker", "-c", str(file)],
            "varnish": ["varnishd", "-F", "-n", str(self.dir / "n"), "-a", f"127.0.0.1:{place['port']}", "-f", str(file), "-s", "malloc,256m", "-p", "thread_pools=1"],
            "trafficserver": ["traffic_server", f"--run-root={self.dir / 'runroot.yaml'}"],
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


def fio(file, mib, direct):
    each = mib // DISK_READERS
    command = ["fio", "--name=r", f"--filename={file}", "--readonly", "--rw=randread", "--bs=64k", "--ioengine=psync", "--thread", f"--numjobs={DISK_READERS}",
               f"--size={each}M", f"--offset_increment={each}M", f"--direct={direct}", "--invalidate=1", "--group_reporting", "--output-format=json"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    return json.loads(out[out.index("{"):])["jobs"][0]["read"]["bw_bytes"] / 1e6


def disk_row(program, directory, mib, rounds):
    place = pathlib.Path(tempfile.mkdtemp(prefix="archipel-bench-disk-", dir=directory))
    try:
        subprocess.run([program, "fill", str(place), str(mib)], check=True, capture_output=True, timeout=600)
        rates = {"the disk tier": [], "fio": [], "fio, O_DIRECT": []}
        for _ in range(rounds):
            out = subprocess.run([program, "read", str(place), str(mib), str(DISK_READERS), "cold"], capture_output=True, text=True, check=True, timeout=600).stdout
            got = json.loads(out)
            if got["missed"] or got["corrupt"]:
                raise SystemExit(f"bench: the disk tier missed {got['missed']} and found {got['corrupt']} corrupt")
            rates["the disk tier"].append(got["MBps"])
            for direct, name in enumerate(("fio", "fio, O_DIRECT")):
                rates[name].append(fio(place / "data.00000", min(mib, DISK_FILE_MIB), direct))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    lines = [f"| {DISK_ROW}, {DISK_READERS} at a time | MB/s | spread | the disk tier to it |", "|---|---|---|---|"]
    for name, rate in rates.items():
        ratio = "" if name == "the disk tier" else f"{statistics.median(rates['the disk tier']) / statistics.median(rate):.2f} x"
        lines.append(f"| {name} | {statistics.median(rate):,.0f} | {min(rate):,.0f} to {max(rate):,.0f} | {ratio} |")
    print("\n".join(lines), flush=True)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4, help="of load, each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default=",".join([*ROWS, DISK_ROW]), help="comma-separated: " + ", ".join([*ROWS, DISK_ROW]))
    parser.add_argument("--servers", default="archipel,nginx,h2o,varnish,trafficserver")
    parser.add_argument("--archipel", default=str(HERE.parent / "build" / "release" / "archipel"))
    parser.add_argument("--disk-dir", help="where the row of the disk tier has its files (default: where temporary files go)")
    parser.add_argument("--disk-mib", type=int, default=DISK_FILE_MIB, help="of objects in the disk tier")
    parser.add_argument("--markdown", help="write the table to this file, too")
    options = parser.parse_args()
    programs = {"archipel": options.archipel, "nginx": "nginx", "h2o": "h2o", "varnish": "varnishd", "trafficserver": "traffic_server"}
    wanted = options.servers.split(",")
    missing = [n for n in wanted if shutil.which(programs[n]) is None]
    if "archipel" in missing:
        raise SystemExit(f"bench: there is no {options.archipel}")
    rows = [row for row in options.rows.split(",") if row != DISK_ROW]
    disk_lines = []
    if DISK_ROW in options.rows.split(","):
        program = str(pathlib.Path(options.archipel).parent / "bench" / "bench_edge_disk")
        left_out = [p for p in (program, "fio") if shutil.which(p) is None]
        if left_out:
            print(f"left out: {DISK_ROW}, for want of {left_out[0]}")
        else:
            disk_lines = disk_row(program, options.disk_dir, options.disk_mib, options.rounds) + [""]
    if not rows:
        if options.markdown:
            pathlib.Path(options.markdown).write_text("\n".join(disk_lines))
        return
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
            pathlib.Path(options.markdown).write_text("\n".join(disk_lines + lines) + "\n")
    finally:
        for server in servers:
            server.stop()
        origin.close()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
