"""What the end-to-end tests share: a bound in time for each, a gateway per class or per test, clean-up whatever happens."""
import contextlib
import hashlib
import random
import signal
import threading
import time
import unittest

import gateway

SECONDS_MAX = 400        # per test unless it says otherwise: what ends one that hangs, on a machine that is slow and has much else to do
UNTIL_SECONDS_MAX = 150  # for what a process does by itself in a second or two, when it gets the time


class TimeUp(Exception):
    pass


class NotInTime(AssertionError):
    """What was waited for did not come."""


def pattern(size, seed=0):
    """`size` reproducible bytes that do not compress and differ by seed."""
    return random.Random(f"{seed}/{size}").randbytes(size)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Case(unittest.TestCase):
    maxDiff = 2000
    seconds_max = SECONDS_MAX
    # Where a failure could be one lost or wrong byte in a hundred runs, passing the next time says nothing: run.py --retry then runs again only what ran
    # out of time.
    once_is_enough = False
    # What is acknowledged may owe an island its part when that took longer than a second: no matter for users, but for tests that then take as many
    # islands away as the code allows. Their clouds lie in memory, where there is enough.
    in_memory = False

    def run(self, result=None):
        def up(_signal, _frame):
            raise TimeUp(f"not finished after {self.seconds_max} s")

        previous = signal.signal(signal.SIGALRM, up)
        signal.alarm(self.seconds_max)
        try:
            return super().run(result)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)

    def until(self, condition, what, seconds=UNTIL_SECONDS_MAX):
        """Until condition() is true, which it becomes by itself; looks twenty times a second."""
        end, tick = time.monotonic() + seconds, threading.Event()
        while not condition():
            if time.monotonic() > end:
                raise NotInTime(f"did not come in {seconds} s: {what}")
            tick.wait(0.05)

    def receive_until(self, connection, complete, size=65536):
        """What comes on a socket until complete(all of it); a test's failure if it ends before."""
        got = b""
        while not complete(got):
            more = connection.recv(size)
            if not more:
                self.fail(f"the connection ended after {len(got)} bytes: {got[:500]}")
            got += more
        return got

    def new_gateway(self):
        made = gateway.Gateway(self.in_memory)
        self.addCleanup(made.destroy)
        return made

    def wait_for_all_islands(self, cloud):
        """Until each has what the others have: what was acknowledged may still be on its way to two of six."""
        before = None

        def same():
            nonlocal before
            now = cloud.held()
            settled, before = now == before and len(set(now.values())) == 1, now
            return settled
        self.until(same, "as many files on every island")

    def expect(self, response, status, code=None):
        """Asserts a status and, for errors, the S3 error code (a text, or several)."""
        self.assertEqual(response.status, status, response)
        if code is not None:
            self.assertIn(response.code, (code,) if isinstance(code, str) else code, response)
        return response


class Shared(Case):
    """One gateway for all tests of the class. After the class, the gateway must stop cleanly (sanitizers speak up then)."""

    @classmethod
    def setUpClass(cls):
        with contextlib.ExitStack() as stack:
            cls.gateway = gateway.Gateway()
            stack.callback(cls.gateway.destroy)
            cls.gateway.start()
            stack.pop_all()

    @classmethod
    def tearDownClass(cls):
        try:
            code = cls.gateway.stop()
            if code != 0:
                raise AssertionError(f"the gateway ended with exit code {code}: {cls.gateway.stderr()[-4000:]}")
        finally:
            cls.gateway.destroy()

    def setUp(self):
        self.client = self.gateway.client()
        self.addCleanup(self.client.close)
        self.bucket = "b-" + hashlib.sha1(self.id().encode()).hexdigest()[:20]
        self.expect(self.client.make_bucket(self.bucket), 200)
