"""What a hit costs in system calls: one to receive it and one to send its answer, beside what one wait tells of many connections."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

import test_edge
import tools
from edge import EdgeCase

REQUEST = b"GET /page HTTP/1.1\r\nHost: www.example.org\r\n\r\n"
REQUESTS = 1000
PER_HIT_MAX = 2.1
PER_SECOND_MAX = 20  # timers, and lines handed to who writes the log: not the hits' fault where a second holds few of them
WAITS = ("epoll_wait", "epoll_pwait", "epoll_pwait2")


class SystemCalls(EdgeCase):
    def attach(self, pid, log):
        """An strace of the process that has begun; skips where tracing is not allowed."""
        process = subprocess.Popen([tools.program("strace"), "-f", "-p", str(pid), "-o", str(log)], stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        line = process.stderr.readline()
        if "attached" not in line:
            raise unittest.SkipTest("strace may not attach here: " + line.strip())
        threading.Thread(target=process.stderr.read, daemon=True).start()
        return process

    def test_a_hit_on_a_kept_connection_costs_two(self):
        origin = self.new_origin(lambda r: (200, [("cache-control", "max-age=600")], b"x" * 1024))
        edge = self.new_edge(test_edge.site(origin))
        self.assertEqual(edge.get("/page", {"Host": "www.example.org"}).status, 200)
        with socket.create_connection(edge.address, timeout=60) as connection:
            stream = connection.makefile("rb")

            def hit():
                connection.sendall(REQUEST)
                head = b"".join(iter(stream.readline, b"\r\n"))
                self.assertIn(b" 200 ", head)
                self.assertEqual(len(stream.read(1024)), 1024)

            hit()
            log = edge.home / "strace.log"
            tracer = self.attach(edge.process.pid, log)
            hit()  # the tracer stops each thread once when it attaches
            began = time.monotonic()
            for _ in range(REQUESTS):
                hit()
            seconds = time.monotonic() - began
            tracer.send_signal(signal.SIGINT)
            tracer.wait(120)
        calls = re.findall(r"^(\d+) +(\w+)\(", pathlib.Path(log).read_text(errors="replace"), re.MULTILINE)
        self.assertGreaterEqual(len(calls), 2 * REQUESTS, "the trace is not whole")
        serving = {thread for thread, name in calls if name in ("sendto", "sendmsg", "writev")}
        called = [name for thread, name in calls if thread in serving and name not in WAITS]
        counts = {n: called.count(n) for n in set(called)}
        print(f"system calls per hit: {len(called) / REQUESTS:.3f} without waits {counts} in {seconds:.1f} s (bytes of trace: {os.stat(log).st_size})")
        self.assertLessEqual(len(called), PER_HIT_MAX * REQUESTS + PER_SECOND_MAX * seconds, counts)
        self.assertEqual(len(origin.seen()), 1)
