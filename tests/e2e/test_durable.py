"""P4: a 200 leaves only when at least w islands have synced the data and the directory entry. System calls are the witness."""
import os
import pathlib
import time
import unittest

import base
import gateway
import tools
import trace


def doctored(islands, drop=(), early=False, directory_first=False):
    """A made-up trace: a blob on each of six islands, then a 200; with islands whose syncs are missing, or a 200 that comes too early."""
    lines, now = [], 1000.0
    for number, island in enumerate(gateway.ISLANDS):
        pid, d = 100 + number, f"{islands}/{island}/ab"
        steps = [f'openat(AT_FDCWD<{islands}>, "{d}/tmp", O_WRONLY|O_CREAT|O_EXCL, 0600) = 9<{d}/tmp> <0.000010>',
                 f'write(9<{d}/tmp>, "\\1\\2"..., 5000) = 5000 <0.000010>',
                 f"fdatasync(9<{d}/tmp>) = 0 <0.000010>",
                 f'renameat2(8<{d}>, "tmp", 8<{d}>, "0123456789", RENAME_NOREPLACE) = 0 <0.000010>',
                 f"fsync(8<{d}>) = 0 <0.000010>"]
        if directory_first:
            steps[2], steps[4] = steps[4], steps[2]
        if island in drop:
            del steps[4 if number % 2 else 2]
        for step in steps:
            now += 0.001
            lines.append(f"{pid} {now:.6f} {step}")
    at = 1000.0005 if early else now + 0.001
    lines.append(f'99 {at:.6f} sendmsg(12<TCP:[127.0.0.1:9000->127.0.0.1:5]>, {{msg_iov=[{{iov_base="HTTP/1.1 200 OK\\r\\n"..., '
                 'iov_len=100}], msg_iovlen=1}, 0) = 100 <0.000010>')
    return "\n".join(lines)


class TraceReader(base.Case):
    """The judge itself is judged first: it must be able to say no."""

    islands = "/nowhere/islands"

    def judge(self, text):
        durable, answers = trace.analyse(text, self.islands)
        self.assertEqual([a.status for a in answers], [200])
        return len(trace.confirmed_before(durable, answers[0].at, 0, 5000))

    def test_accepts_what_is_durable(self):
        self.assertEqual(self.judge(doctored(self.islands)), 6)

    def test_counts_an_island_out_when_a_sync_is_missing(self):
        self.assertEqual(self.judge(doctored(self.islands, drop=gateway.ISLANDS[:3])), 3)

    def test_counts_nothing_for_an_answer_that_came_too_early(self):
        self.assertEqual(self.judge(doctored(self.islands, early=True)), 0)

    def test_counts_nothing_when_the_directory_was_synced_before_the_data(self):
        self.assertEqual(self.judge(doctored(self.islands, directory_first=True)), 0)

    def test_joins_calls_that_strace_cut_in_two(self):
        text = doctored(self.islands).replace("fdatasync(9<", "XX", 1)
        lines = text.splitlines()
        at = next(n for n, line in enumerate(lines) if "XX" in line)
        pid, when = lines[at].split()[:2]
        path = lines[at].split("XX")[1].split(">")[0]
        lines[at:at + 1] = [f"{pid} {when} fdatasync(9<{path}> <unfinished ...>", f"{pid} {float(when) + 0.0005:.6f} <... fdatasync resumed>) = 0 <0.000500>"]
        self.assertEqual(self.judge("\n".join(lines)), 6)


class Durable(base.Case):
    once_is_enough = True

    def traced_gateway(self):
        strace = tools.program("strace")
        cloud = self.new_gateway()
        self.log = cloud.home / "strace.log"
        probe = tools.run([strace, "-f", "-o", cloud.home / "probe", "/bin/true"])
        if probe.returncode != 0:
            raise unittest.SkipTest("strace may not trace here: " + probe.stdout.strip()[-200:])
        wrapper = (strace, "-f", "-ttt", "-T", "-yy", "-s", "64", "-e", "trace=" + trace.CALLS, "-o", str(self.log))
        # The leak checker cannot work under a tracer.
        options = os.environ.get("ASAN_OPTIONS", "")
        cloud.start(wrapper=wrapper, env={"ASAN_OPTIONS": (options + ":" if options else "") + "detect_leaks=0"})
        return cloud

    def test_no_200_leaves_before_w_islands_are_durable(self):
        cloud = self.traced_gateway()
        client = cloud.client()
        self.addCleanup(client.close)
        self.expect(client.make_bucket("durable"), 200)
        sent = {}
        # The least that must lie on an island in a single blob: a commit holds the record whole, an extent's shard a third of the body.
        for name, size, least in (("tiny", 1, 1), ("small", 4096, 100), ("border", 131072, 131072 // 3), ("large", 3 << 20, 1 << 20), ("delete", 0, 1)):
            began = time.time()
            if name == "delete":
                self.expect(client.delete("durable", "small"), 204)
            else:
                self.expect(client.put("durable", name, base.pattern(size)), 200)
            sent[name] = (began, time.time(), least)
        # Ended by SIGTERM, so that strace writes all it saw: after a kill the last answer may be missing from its log.
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        text = self.log.read_text(errors="replace")
        durable, answers = trace.analyse(text, cloud.dir / "islands")
        for name, (began, ended, least) in sent.items():
            with self.subTest(name):
                own = [a for a in answers if began <= a.at <= ended]
                self.assertEqual(len(own), 1, f"one answer in the window, found {own}")
                islands = trace.confirmed_before(durable, own[0].at, began, least)
                self.assertGreaterEqual(len(islands), gateway.W, f"{name}: the answer left when only {sorted(islands)} were durable")
                commits = {}
                for entry in durable:
                    if began <= entry.at <= own[0].at:
                        commits.setdefault(entry.island, []).append(entry.bytes)
                if name == "large":
                    # The data, and then the commit that makes them visible: two blobs on at least w islands.
                    self.assertGreaterEqual(sum(1 for b in commits.values() if len(b) >= 2), gateway.W, commits)

        # The control, on the real trace: without the syncs of three islands the verdict must change.
        gone = gateway.ISLANDS[:3]
        cut = "\n".join(line for line in text.splitlines() if not ("sync(" in line and any(f"/islands/{i}" in line for i in gone)))
        durable, answers = trace.analyse(cut, cloud.dir / "islands")
        began, ended, least = sent["large"]
        own = [a for a in answers if began <= a.at <= ended]
        self.assertLess(len(trace.confirmed_before(durable, own[0].at, began, least)), gateway.W)
