"""kill -9 at any moment, then loss of the index and of islands: nothing acknowledged is lost, nothing half-written is shown."""
import shutil

import base
import gateway
import load


class Crash(base.Case):
    seconds_max = 600
    once_is_enough = in_memory = True

    def begin(self, seed):
        cloud = self.new_gateway()
        cloud.start()
        self.assertEqual(cloud.client().make_bucket("crash").status, 200)
        return cloud, load.Load(cloud, "crash", seed=seed)

    def test_kill_under_load_then_index_and_three_islands_deleted(self):
        for gone in (("alibaba-frankfurt", "aws-ireland", "ovh-gravelines"), ("aws-ireland", "sakura-tokyo", "exoscale-zurich")):
            with self.subTest(gone=gone):
                cloud, writers = self.begin(seed=gone[0])
                with writers:
                    writers.wait_for(250)
                    cloud.kill()
                shutil.rmtree(cloud.dir / "index")
                for island in gone:
                    shutil.rmtree(cloud.island(island))
                cloud.start()
                for island in gone:
                    self.assertRegex(cloud.stderr(), rf"(?m)^.*(rejoin|lost).*{island}|^.*{island}.*(rejoin|lost)", "the start must name what it lost")
                compared = writers.verify(self, cloud.client())
                self.assertGreater(compared, 50)
                # It is a whole cloud again: it takes writes, and keeps them over a clean restart.
                with writers.again() as more:
                    more.wait_for(40)
                self.assertEqual(cloud.stop(), 0, cloud.stderr())
                cloud.start()
                more.verify(self, cloud.client())
                self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_kill_again_and_again(self):
        cloud, writers = self.begin(seed="again")
        for round_number in range(6):
            with writers:
                writers.wait_for(40 + 25 * round_number)
                cloud.kill()
            if round_number == 2:
                shutil.rmtree(cloud.dir / "index")
            cloud.start()
            writers.verify(self, cloud.client())
            # Killed right after the start, before anybody wrote: two recoveries must not disagree.
            cloud.kill()
            cloud.start()
            writers.verify(self, cloud.client())
            writers.again()
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_four_islands_gone_is_a_refusal_and_no_wrong_byte(self):
        cloud, writers = self.begin(seed="four")
        with writers:
            writers.wait_for(80)
            cloud.kill()
        shutil.rmtree(cloud.dir / "index")
        gone = gateway.ISLANDS[1:5]
        for island in gone:
            cloud.island(island).rename(cloud.home / island)
        code, said = cloud.refuse_start()
        self.assertEqual(code, 1, said)
        errors = [line for line in said.strip().splitlines() if line.startswith("archipel")] or said.strip().splitlines()[-1:]
        self.assertTrue(any(all(i in line for i in gone) for line in errors), "one sentence names the islands that are missing: " + said)
        self.assertNotIn("Sanitizer", said)
        # The refusal changed nothing: with the islands back, everything is there.
        for island in gone:
            shutil.rmtree(cloud.island(island), ignore_errors=True)
            (cloud.home / island).rename(cloud.island(island))
        cloud.start()
        self.assertGreater(writers.verify(self, cloud.client()), 10)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_a_restart_without_a_crash_keeps_everything(self):
        cloud, writers = self.begin(seed="clean")
        with writers:
            writers.wait_for(60)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        keys = cloud.ready["access_key"], cloud.ready["secret_key"]
        cloud.start()
        self.assertEqual((cloud.ready["access_key"], cloud.ready["secret_key"]), keys)
        writers.verify(self, cloud.client())
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
