"""Snapshots in the running gateway: written beside load, killed half-way, and all there is after a loss of index and head."""
import http.client
import shutil
import socket
import threading

import base
import load


class Socket(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("gateway", timeout=120)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def snapshot(cloud):
    """Writes one now; returns (status, body)."""
    connection = Socket(cloud.dir / "admin.sock")
    try:
        connection.request("POST", "/snapshot")
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


class Snapshot(base.Case):
    seconds_max = 600
    once_is_enough = in_memory = True

    def forget(self, cloud):
        shutil.rmtree(cloud.dir / "index")
        (cloud.dir / "head").unlink()

    def test_a_start_without_index_and_head_loads_it_and_loses_nothing(self):
        cloud = self.new_gateway()
        cloud.start()
        self.assertEqual(cloud.client().make_bucket("snap").status, 200)
        writers = load.Load(cloud, "snap", seed="snapshot")
        with writers:
            for _ in range(3):
                writers.wait_for(40)
                status, body = snapshot(cloud)
                self.assertEqual((status, body.strip()), (200, '{"event":"done"}'))
            writers.wait_for(10)
            cloud.kill()
        self.forget(cloud)
        for island in ("aws-ireland", "sakura-tokyo"):
            shutil.rmtree(cloud.island(island))
        cloud.start()
        self.assertRegex(cloud.stderr(), r"event=journal\.open .*snapshot=3")
        self.assertGreater(writers.verify(self, cloud.client()), 20)
        with writers.again() as more:
            more.wait_for(20)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_kills_while_one_is_written(self):
        cloud = self.new_gateway()
        cloud.start()
        self.assertEqual(cloud.client().make_bucket("snap").status, 200)
        writers = load.Load(cloud, "snap", seed="killed")
        for number in range(4):
            with writers:
                writers.wait_for(30)
                asking = threading.Thread(target=self.ask, args=(cloud,))
                asking.start()
                threading.Event().wait(0.004 * number)
                cloud.kill()
                asking.join()
            self.forget(cloud)
            cloud.start()
            writers.verify(self, cloud.client())
            writers.again()
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    @staticmethod
    def ask(cloud):
        try:
            snapshot(cloud)
        except (OSError, http.client.HTTPException):
            pass  # the gateway died under it
