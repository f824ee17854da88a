"""docs/exposure.md, word by word: its file of facts, its commands, and what it shows of their answers."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

import base
import gateway
import tools

TEXT = (tools.ROOT / "docs" / "exposure.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)


def block(language, mark=None):
    (text,) = [text for kind, name, text in BLOCK.findall(TEXT) if kind == language and (mark is None or name == mark)]
    return text


class ExposureWordByWord(base.Case):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-e2e-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    def follow(self, mark):
        """What each command printed."""
        outputs = []
        for line in block("sh", mark).splitlines():
            program, *arguments = line.split()
            self.assertEqual(program, "archipel")
            run = subprocess.run([str(gateway.binary), *arguments], cwd=self.home, capture_output=True, text=True, timeout=180)
            self.assertEqual(run.returncode, 0, f"{line}: {run.stderr}")
            outputs.append(run.stdout)
        return outputs

    def test_without_a_cloud(self):
        (self.home / "facts.toml").write_text(block("toml", "facts.toml"))
        text, fixed, adversaries, ban, _ = self.follow("facts")
        self.assertIn("300 TB", text)
        (policy,) = json.loads(fixed)["policies"]
        (shown,) = json.loads(block("json"))["policies"]
        for question in ("read", "cut"):
            self.assertEqual(policy[question]["min"], shown[question]["min"])
            for coalition in shown[question]["coalitions"]:
                self.assertIn(coalition, policy[question]["coalitions"])
        self.assertIn("EU", adversaries)
        for said in ("provider alibaba", "100 TB", "9.3 days", "28 days", "No price of egress is known for alibaba-frankfurt"):
            self.assertIn(said, ban)
        self.assertIn("archipel-exposure/1", (self.home / "exposure.html").read_text())

    def test_every_field_of_the_report_is_in_the_table(self):
        (self.home / "facts.toml").write_text(block("toml", "facts.toml"))
        run = subprocess.run([str(gateway.binary), "exposure", "--facts", "facts.toml", "--ban", "CN", "--adversary", "CN", "--json"], cwd=self.home, capture_output=True,
                             text=True, timeout=180)
        report = json.loads(run.stdout)
        table = TEXT[TEXT.index("| field | holds |"):]
        named = set(re.findall(r"`([a-z_]+)`", table))
        self.assertEqual(set(report) - named, set())
        for part in (*report["bans"], *report["adversaries"], *report["holdings"], report["bans"][0]["copy_out"]):
            self.assertEqual(set(part) - named, set())

    def test_of_a_cloud(self):
        cloud = self.new_gateway().start()
        client = cloud.client()
        self.addCleanup(client.close)
        self.expect(client.make_bucket("photos"), 200)
        self.expect(client.put("photos", "one", bytes(500_000)), 200)
        (self.home / "archipel-demo").symlink_to(cloud.dir)
        config = re.sub(r"\s*#.*", "", (cloud.dir / "archipel.toml").read_text())
        policies = next(text for kind, _, text in BLOCK.findall(TEXT) if kind == "toml" and text.startswith("[policy.eu-only]"))
        for table in policies.strip().split("\n\n"):
            self.assertIn(table, config, "the policies shown are the demo's")
        whole, bucket, _, ban, _ = self.follow("cloud")
        self.assertIn("photos", whole)
        self.assertIn("photos", bucket)
        self.assertNotIn("(journal)", bucket)
        self.assertIn("nothing can be written, to any bucket", " ".join(ban.split()))
        self.assertIn('lang="fr"', (self.home / "exposure.html").read_text()[:400])
        place = re.search(r"`archipel (bucket place photos [^`]*)`", TEXT)[1]
        run = subprocess.run([str(gateway.binary), *place.split(), "--dir", "archipel-demo"], cwd=self.home, capture_output=True, text=True, timeout=180)
        self.assertEqual(run.returncode, 0, run.stderr)
        moved = self.follow("cloud")[0]
        self.assertIn("What has to move", moved)
        self.assertIn("as stored: photos", moved)
