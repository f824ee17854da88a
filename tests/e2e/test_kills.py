"""kill -9 at random moments under mixed load, an island wiped now and then, and every acknowledged object compared at the end: none lost,
none wrong. ARCHIPEL_KILLS says how often (default 4; `./dev soak` asks for 50)."""
import os
import random
import re
import shutil
import threading

import base
import gateway
import load
import tools

KILLS = int(os.environ.get("ARCHIPEL_KILLS", "4"))
SEED = os.environ.get("ARCHIPEL_KILLS_SEED", "kills")
REPAIR_SECONDS_MAX = 240


class Kills(base.Case):
    seconds_max = 400 + 80 * KILLS
    once_is_enough = in_memory = True

    def repaired(self, cloud):
        """True once a whole pass has found nothing missing; False if that does not come about, or cannot be seen."""
        tick = threading.Event()
        for _ in range(REPAIR_SECONDS_MAX * 2):
            told = dict(re.findall(r"(?m)^(archipel_scrub_passes_total|archipel_repair_debt_missing_shards) (\S+)", cloud.metrics()))
            if len(told) < 2:
                return False
            if float(told["archipel_scrub_passes_total"]) > 0 and float(told["archipel_repair_debt_missing_shards"]) == 0:
                return True
            tick.wait(0.5)
        return False

    def test_kills_and_wipes_under_load_lose_nothing(self):
        chance = random.Random(SEED)
        cloud = self.new_gateway()
        cloud.start()
        self.assertEqual(cloud.client().make_bucket("kills").status, 200)
        writers = load.Load(cloud, "kills", seed=SEED, read_share=0.3)
        acknowledged, wiped, owing = 0, [], None
        for number in range(KILLS):
            with writers:
                writers.wait_for(chance.randrange(1, 120))
                # Between two acknowledgements too: somewhere within the next few operations.
                threading.Event().wait(chance.random() * 0.05)
                cloud.kill()
            acknowledged += writers.acknowledged()
            if number % 5 == 1:
                shutil.rmtree(cloud.dir / "index")
            if number % 4 == 2:
                # While an island owes what was wiped, only that one may go again: otherwise losses would add up to more than n-k.
                island = owing or chance.choice(gateway.ISLANDS)
                shutil.rmtree(cloud.island(island))
                wiped.append(island)
                owing = island
            cloud.start()
            if owing and self.repaired(cloud):
                owing = None
            if number % 10 == 9:
                writers.verify(self, cloud.client())
            writers.again()
        compared = writers.verify(self, cloud.client())
        self.assertGreater(compared, 20)
        # What a commit was acknowledged without, or what a start completed to w, is repair debt: the loss of n-k is survived without it.
        scrub = tools.run([gateway.binary, "scrub", "--dir", cloud.dir])
        self.assertEqual(scrub.returncode, 0, scrub.stdout)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        # What is left is worth three islands and the keyring.
        gone = chance.sample(gateway.ISLANDS, 3)
        for island in gone:
            shutil.rmtree(cloud.island(island))
        shutil.rmtree(cloud.dir / "index")
        cloud.start()
        again = writers.verify(self, cloud.client())
        self.assertEqual(again, compared)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        print(f"kills: {KILLS} kills, {len(wiped)} wipes ({', '.join(wiped) or 'none'}), {acknowledged} acknowledged, {compared} objects "
              "compared, 0 lost, 0 wrong; again after the loss of index and three islands", flush=True)
