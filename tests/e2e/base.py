"""What the end-to-end tests share: a bound in time for each, a gateway per class or per test, clean-up whatever happens."""
import contextlib
import hashlib
import random
import signal
import unittest

import gateway

SECONDS_MAX = 240  # per test unless it says otherwise


class TimeUp(Exception):
    pass


def pattern(size, seed=0):
    """`size` reproducible bytes that do not compress and differ by seed."""
    return random.Random(f"{seed}/{size}").randbytes(size)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Case(unittest.TestCase):
    maxDiff = 2000
    seconds_max = SECONDS_MAX

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

    def new_gateway(self):
        made = gateway.Gateway()
        self.addCleanup(made.destroy)
        return made

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
