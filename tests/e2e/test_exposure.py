"""`archipel exposure --facts`: the worked examples and facts made at random, against a brute force and a checker of certificates that share no
code with the engine; and facts that are wrong, named with file, line and column."""
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import base
import gateway

HERE = pathlib.Path(__file__).resolve().parent.parent / "exposure"
WORKED = sorted((HERE / "worked").glob("*.toml"))
STATES = ["AT", "CN", "DE", "FR", "GB", "JP", "RU", "SG", "US"]
BASES = ["parent", "staff", "supply", "network", "sanctions"]
RANDOM_FILES = 12


def some_party(rng, kind, name):
    lines = [f"[[{kind}]]", f'id = "{name}"', *(f'{key} = "{rng.choice(STATES)}"' for key in ("place", "operator", "parent"))]
    if kind == "island":
        lines.append(f'provider = "company {rng.randrange(4)}"')
    if kind == "gateway":
        lines.append(f"plaintext = {rng.choice(['true', 'false', 'false', 'false'])}")
    if kind == "name":
        lines.append(f'kind = "{rng.choice(["dns", "ca"])}"')
    if rng.random() < 0.4:
        reach = ", ".join(f'{{ state = "{state}", cap = "{rng.choice(["read", "cut", "both"])}", basis = "{rng.choice(BASES[1:])}", '
                          'level = "Declared", source = "a test", date = "2026-11-22" }' for state in rng.sample(STATES, 2))
        lines.append(f"reach = [{reach}]")
    return lines


def some_facts(seed):
    rng = random.Random(seed)
    islands = [f"island-{i}" for i in range(rng.randint(1, 8))]
    lines = [line for name in islands for line in some_party(rng, "island", name)]
    holders = rng.choice([0, 1, 3, 4])
    for kind, count in (("keyholder", holders), ("gateway", rng.choice([0, 0, 1, 2])), ("name", rng.choice([0, 0, 1, 2]))):
        for i in range(count):
            lines += some_party(rng, kind, f"{kind}-{i}")
    if holders:
        lines += ["[keys]", f"threshold = {rng.randint(1, holders)}"]
    for name, states in (("EU", ["AT", "DE", "FR"]), ("ALLIES", ["GB", "US", "FR"])):
        if rng.random() < 0.5:
            lines += ["[[bloc]]", f'id = "{name}"', f"states = {json.dumps(states)}", f"enabled = {rng.choice(['true', 'false'])}"]
    for i in range(3):
        n = rng.randint(1, len(islands))
        lines += [f'[policy."policy {i}"]', f"code = [{n}, {rng.randint(1, n)}]", f"islands = {json.dumps(rng.sample(islands, n))}"]
    return "\n".join(lines) + "\n"


class Exposure(base.Case):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-e2e-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    def run_with(self, *arguments):
        return subprocess.run([str(gateway.binary), "exposure", *map(str, arguments)], capture_output=True, text=True, timeout=180)

    def python(self, script, *arguments, stdin=""):
        return subprocess.run([sys.executable, str(HERE / script), *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=180)

    def answers(self, facts):
        run = self.run_with("--facts", facts, "--json")
        self.assertEqual((run.returncode, run.stderr), (0, ""), facts.read_text())
        self.assertEqual(run.stdout.count("\n"), 1)
        return json.loads(run.stdout)

    def check(self, facts):
        """The binary's answers are the brute force's, and its certificates hold."""
        slow = self.python("brute_force.py", facts)
        self.assertEqual(slow.returncode, 0, slow.stderr)
        self.assertEqual(self.answers(facts), json.loads(slow.stdout), facts.read_text())
        printed = self.run_with("--facts", facts, "--certificates")
        self.assertEqual(printed.returncode, 0, printed.stderr)
        checked = self.python("check_certificates.py", facts, stdin=printed.stdout)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr + facts.read_text())
        return printed.stdout

    def test_the_worked_examples_have_their_numbers(self):
        expected = {"1-today": (1, 3, 1, 4), "2-split": (3, 25, 2, 35), "3-gateways": (1, 2, 2, 35), "4-eu-as-one": (2, 4, 1, 3), "5-cured": (3, 13, 2, 11)}
        self.assertEqual(len(WORKED), len(expected))
        for facts in WORKED:
            with self.subTest(facts=facts.name):
                self.check(facts)
                (policy,) = self.answers(facts)["policies"]
                self.assertEqual((policy["read"]["min"], len(policy["read"]["coalitions"]), policy["cut"]["min"], len(policy["cut"]["coalitions"])),
                                 expected[facts.stem])

    def test_the_vectors_are_what_the_brute_force_says_today(self):
        run = self.python("brute_force.py", "--vectors", *WORKED)
        self.assertEqual(json.loads(run.stdout), json.loads((HERE / "vectors.json").read_text()),
                         "run tests/exposure/brute_force.py --vectors tests/exposure/worked/*.toml > tests/exposure/vectors.json")

    def test_random_facts_get_the_answers_of_a_brute_force(self):
        for seed in range(RANDOM_FILES):
            with self.subTest(seed=seed):
                facts = self.home / f"{seed}.toml"
                facts.write_text(some_facts(seed))
                self.check(facts)

    def test_the_checker_finds_a_false_certificate(self):
        facts = HERE / "worked" / "2-split.toml"
        printed = json.loads(self.check(facts))

        def broken(change):
            copy = json.loads(json.dumps(printed))
            change(copy["policies"][0]["read"])
            return self.python("check_certificates.py", facts, stdin=json.dumps(copy)).returncode

        self.assertEqual(broken(lambda read: None), 0)
        self.assertEqual(broken(lambda read: read.pop()), 1, "a coalition is missing")
        self.assertEqual(broken(lambda read: read[0]["coalition"].pop()), 1, "a member is missing")
        self.assertEqual(broken(lambda read: read[0]["coalition"].append("JP")), 1, "one too many")
        self.assertEqual(broken(lambda read: read[0]["reaches"]["islands"].append("x")), 1, "reaches nothing of that name")

    def test_wrong_facts_are_named_with_line_and_column(self):
        island = '[[island]]\nid = "a"\nprovider = "p"\nplace = "DE"\noperator = "DE"\nparent = "DE"\n'
        reach = '{ state = "US", cap = "cut", basis = "sanctions", level = "Declared", source = "s", date = "2026-11-22" }'
        cases = (
            (island.replace('place = "DE"', 'place = "ZZ"'), "4:9", '"ZZ" is not a state'),
            (island.replace('operator = "DE"\n', ""), "1:1", "has no operator"),
            (island + "reach = [" + reach.replace(', date = "2026-11-22"', "") + "]\n", "7:10", "`date`"),
            (island + f'reach = [{reach}, {reach.replace("Declared", "Proved")}]\n', "7:", "contradiction"),
            (island + island, "8:6", "given twice, first at"),
            (island + "[policy.p]\ncode = [1, 2]\nislands = [\"a\"]\n", "8:8", "impossible"),
            (island + "[policy.p]\ncode = [2, 1]\nislands = [\"a\"]\n", "9:11", "needs exactly 2 islands"),
            (island + "[policy.p]\ncode = [2, 1]\nislands = [\"a\", \"a\"]\n", "9:17", "named twice"),
            (island + "[policy.p]\ncode = [1, 1]\nislands = [\"b\"]\n", "9:12", 'no island "b"'),
            (island + "typo = 1\n", "7:1", "unknown key `typo`"),
            ("[[bloc]]\nid = \"FR\"\nstates = [\"FR\"]\n", "2:6", "is a state"),
            ("[[keyholder]]\nid = \"k\"\nplace = \"FR\"\noperator = \"FR\"\n[keys]\nthreshold = 2\n", "6:13", "from 1 to 1"),
        )
        for text, where, what in cases:
            with self.subTest(what=what):
                facts = self.home / "facts.toml"
                facts.write_text(text)
                run = self.run_with("--facts", facts, "--json")
                self.assertEqual((run.returncode, run.stdout), (1, ""))
                self.assertIn(f"{facts}:{where}", run.stderr)
                self.assertIn(what, run.stderr)
                self.assertEqual(run.stderr.count("\n"), 1)

    def test_what_is_assumed_is_shown(self):
        facts = self.home / "facts.toml"
        facts.write_text('[[island]]\nid = "a"\nprovider = "a company"\nplace = "DE"\noperator = "FR"\n\n[policy.p]\ncode = [1, 1]\nislands = ["a"]\n')
        run = self.run_with("--facts", facts)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("nobody names its parent: taken to be FR", run.stdout)
        self.assertIn("Assumed", run.stdout)

    def test_more_is_asked_of_facts_than_the_fixed_form(self):
        facts = HERE / "worked" / "2-split.toml"
        run = self.run_with("--facts", facts, "--adversary", "CN,EU,Amazon", "--json")
        self.assertEqual(run.returncode, 0, run.stderr)
        report = json.loads(run.stdout)
        self.assertEqual(report["format"], "archipel-exposure/1")
        self.assertEqual([(a["id"], a["reads"], a["cuts"]) for a in report["adversaries"]],
                         [("CN", False, False), ("EU", False, True), ("aws", False, False)])
        self.assertEqual([a["read_help"] for a in report["adversaries"]], [2, 1, None])
        unknown = self.run_with("--facts", facts, "--adversary", "nobody-ltd")
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("nobody-ltd", unknown.stderr)

    def worked_with_300_tb(self):
        """The worked example, and 300 TB in it."""
        facts = self.home / "kept.toml"
        facts.write_text((HERE / "worked" / "2-split.toml").read_text() +
                         '\n[[holding]]\nbucket = "tenant"\npolicy = "split"\nclass = "personal"\nobjects = 1_000_000\nbytes = 300_000_000_000_000\n')
        return facts

    def test_the_price_of_the_worked_examples_ban(self):
        prices = self.home / "prices"
        prices.mkdir()
        (prices / "prices.csv").write_text("provider,egress_gb,storage_gb_month,put_1000,get_1000,note,source,date,level\n" + "".join(
            f"{who},{egress},0.02,,,,a price list made for this test,2026-11-22,Declared\n"
            for who, egress in (("alibaba", 0.09), ("aws", 0.09), ("ovh", 0), ("hetzner", 0.01), ("sakura", 0.05))))
        facts = self.worked_with_300_tb()
        facts.write_text(facts.read_text() + '[facts]\ndata = "prices"\n')
        run = self.run_with("--facts", facts, "--ban", "alibaba", "--json")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        (ban,) = json.loads(run.stdout)["bans"]
        self.assertEqual((ban["target"], ban["islands"]), ("alibaba", ["alibaba-frankfurt"]))
        self.assertEqual((ban["unavailable_objects"], ban["degraded_objects"], ban["degraded_bytes"]), (0, 1_000_000, 300 * 10**12))
        (tenant,) = ban["holdings"]
        self.assertEqual((tenant["lost"], tenant["left"], tenant["tolerance"], tenant["writable"]), (1, 4, 1, True))
        copy, rebuild = ban["copy_out"], ban["rebuild_around"]
        self.assertEqual((copy["bytes"], copy["seconds"], copy["cost"]), (100 * 10**12, [800_000, 80_000], 9000))  # 9.3 days, 22 hours
        self.assertEqual((rebuild["bytes"], rebuild["seconds"]), (300 * 10**12, [2_400_000, 240_000]))  # 27.8 days, 2.8 days
        self.assertAlmostEqual(rebuild["cost"], 100_000 * (0 + 0.01 + 0.05), places=6)  # the cheapest three of four
        text = self.run_with("--facts", facts, "--ban", "alibaba", "--bandwidth", "1G", "--bandwidth", "2.5 Gb/s").stdout
        for said in ("100 TB", "9.3 days", "3.7 days", "28 days", "$9,000", "$6,000", "readable, bears one more loss", "What to change"):
            self.assertIn(said, text)

    def test_bans_may_be_several_and_are_each_by_itself(self):
        facts = self.worked_with_300_tb()
        run = self.run_with("--facts", facts, "--ban", "island:aws-ireland", "--ban", "DE,EU", "--json")
        self.assertEqual(run.returncode, 0, run.stderr)
        bans = json.loads(run.stdout)["bans"]
        self.assertEqual([(b["kind"], b["target"], len(b["islands"])) for b in bans],
                         [("island", "aws-ireland", 1), ("state", "DE", 2), ("bloc", "EU", 4)])
        self.assertEqual([b["holdings"][0]["tolerance"] for b in bans], [1, 0, -2])
        self.assertEqual([b["unavailable_bytes"] for b in bans], [0, 0, 300 * 10**12])
        self.assertTrue(all(b["advice"] for b in bans))

    def test_a_ban_that_cannot_be_asked_is_an_error(self):
        facts = self.worked_with_300_tb()
        for arguments, code, what in ((("--ban", "atlantis"), 1, '"atlantis" is no island, provider, state or bloc'),
                                      (("--ban", "state:EU"), 1, '"state:EU" is no island'),
                                      (("--ban", "aws", "--bandwidth", "0"), 2, "--bandwidth '0'"),
                                      (("--ban", "aws", "--bandwidth", "fast"), 2, "--bandwidth 'fast'"),
                                      (("--ban", "aws", "--certificates"), 2, "leave out --ban")):
            with self.subTest(arguments=arguments):
                run = self.run_with("--facts", facts, *arguments)
                self.assertEqual((run.returncode, run.stdout), (code, ""))
                self.assertIn(what, run.stderr)

    def test_without_counts_a_ban_still_says_what_a_policy_loses(self):
        text = self.run_with("--facts", HERE / "worked" / "2-split.toml", "--ban", "EU").stdout
        self.assertIn('policy "split" loses 4 of 5 shards', text)
        self.assertIn("nobody counts here", text)

    def test_data_of_ones_own_are_checked(self):
        prices = self.home / "prices.csv"
        head = "provider,egress_gb,storage_gb_month,put_1000,get_1000,note,source,date,level\n"
        prices.write_text(head + "aws,0.05,,,,agreed,our contract of 2026,2026-02-28,Declared\n")
        said = self.run_with("--check-data", self.home)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn("prices         1  2026-02-28 to 2026-02-28, 0 of them assumed, 1 from here", said.stdout)
        prices.write_text(head + "aws,0.05,,,,agreed,our contract of 2026,2026-02-30,Declared\n")
        said = self.run_with("--check-data", self.home)
        self.assertEqual((said.returncode, said.stdout), (1, ""))
        self.assertIn(f"{prices}:2: `date` must be a day", said.stderr)

    def test_the_page_is_written_whole(self):
        for language in ("en", "fr"):
            page = self.home / f"{language}.html"
            run = self.run_with("--facts", HERE / "worked" / "5-cured.toml", "--html", page, "--lang", language)
            self.assertEqual((run.returncode, run.stdout), (0, ""), run.stderr)
            self.assertIn(f'lang="{language}"', page.read_text()[:400])
        nowhere = self.run_with("--facts", HERE / "worked" / "5-cured.toml", "--html", self.home / "no" / "x.html")
        self.assertEqual(nowhere.returncode, 1)
        self.assertIn("no/x.html", nowhere.stderr)


class ExposureOfACloud(base.Case):
    def command(self, *arguments):
        return subprocess.run([str(gateway.binary), *map(str, arguments)], capture_output=True, text=True, timeout=180)

    def exposure(self, *arguments):
        return self.command("exposure", "--dir", self.gateway.dir, *arguments)

    def report(self, *arguments):
        run = self.exposure(*arguments, "--json")
        self.assertEqual(run.returncode, 0, run.stderr)
        return json.loads(run.stdout)

    def test_a_running_cloud_is_judged_and_one_that_stands_still(self):
        self.gateway = self.new_gateway().start()
        running = self.exposure("--adversary", "US")
        self.assertEqual(running.returncode, 0, running.stderr)
        self.assertIn("default", running.stdout)
        self.assertIn("exoscale-zurich", running.stdout)
        report = self.report()
        (default,) = [p for p in report["policies"] if p["policy"] == "default"]
        self.assertEqual((default["code"], len(default["islands"]), default["cut"]["min"]), ([6, 3], 6, 1), "the gateway at home cuts alone")
        self.assertEqual(report["journal"]["quorum"], 4)
        self.assertEqual(self.exposure("--class", "secrets").returncode, 1)
        self.assertEqual(self.exposure("--bucket", "nowhere").returncode, 1)
        self.assertEqual(self.gateway.stop(), 0)
        self.assertEqual([p["policy"] for p in self.report()["policies"]], [p["policy"] for p in report["policies"]])

    def test_bans_and_moves_of_what_a_cloud_keeps(self):
        self.gateway = self.new_gateway().start()
        client = self.gateway.client()
        self.addCleanup(client.close)
        size, small = 3_000_000, 2_000
        self.expect(client.make_bucket("photos"), 200)
        for i in range(4):
            self.expect(client.put("photos", f"large-{i}", bytes(size)), 200)
            self.expect(client.put("photos", f"small-{i}", bytes(small)), 200)
        report = self.report("--ban", "aws", "--ban", "EU", "--bucket", "photos")
        self.assertEqual(sum(h["objects"] for h in report["holdings"]), 8)
        self.assertEqual(sum(h["bytes"] for h in report["holdings"]), 4 * (size + small))
        one, most = report["bans"]
        self.assertEqual((one["islands"], one["unavailable_objects"], one["degraded_objects"], one["read_only"]), (["aws-ireland"], 0, 8, False))
        # A sixth of what is stored; whoever rebuilds reads three such shards instead.
        stored = sum(h["stored_bytes"] for h in report["holdings"])
        self.assertAlmostEqual(one["copy_out"]["bytes"], stored / 6, delta=2)
        self.assertAlmostEqual(one["rebuild_around"]["bytes"], stored / 2, delta=6)
        self.assertGreater(stored, 4 * size * 2)
        self.assertEqual((most["unavailable_objects"], most["unavailable_bytes"], most["read_only"]), (8, 4 * (size + small), True))
        self.assertEqual(report["moves"], [], "all lies as it should")

        placed = self.command("bucket", "place", "photos", "--policy", "no-us-read", "--dir", self.gateway.dir)
        self.assertEqual(placed.returncode, 0, placed.stderr)
        moves = self.report()["moves"]
        self.assertTrue(moves)
        for move in moves:
            self.assertEqual((move["bucket"], move["policy"], move["from"]["code"]), ("photos", "no-us-read", [6, 3]))
            self.assertNotIn("aws-ireland", move["to"]["islands"])
            self.assertTrue(any("aws-ireland" in reason for reason in move["reasons"]), move["reasons"])
        text = self.exposure("--bucket", "photos").stdout
        self.assertIn("What has to move", text)
        self.assertIn("as stored: photos", text, "judged as it lies, not only as it should")
        self.assertIn("aws-ireland", text)
        page = self.gateway.home / "page.html"
        self.assertEqual(self.exposure("--ban", "aws", "--html", page).returncode, 0)
        self.assertIn("no-us-read", page.read_text())
        self.assertEqual(self.exposure("--ban", "atlantis").returncode, 1)

    def test_a_policy_that_nothing_can_keep_is_named_with_its_line(self):
        self.gateway = self.new_gateway().start()
        self.assertEqual(self.gateway.stop(), 0)
        config = self.gateway.dir / "archipel.toml"
        good = config.read_text()
        line = good.count("\n") + 2
        for rules, what in (('allow = ["EU"]\nresidency_of = ["parent"]\ncode = [6, 3]\n', 'residency allow = ["EU"] of parent leaves'),
                            ('allow = ["FR"]\n', 'residency allow = ["FR"] of place leaves 1 of 6 islands: ovh-gravelines'),
                            ('allow = ["EU"]\ndeny = ["EU"]\n', 'deny = ["EU"]')):
            with self.subTest(rules=rules):
                config.write_text(good + f"\n[policy.impossible]\n{rules}")
                run = self.exposure()
                self.assertEqual((run.returncode, run.stdout), (1, ""))
                self.assertIn(f"archipel.toml:{line}:", run.stderr)
                self.assertIn(what, run.stderr)
                self.assertIn("What would help" if "leaves" in what else "impossible", run.stderr)
        for text, where, what in (('[policy.bad]\nallow = ["Europe"]\n', f"{line + 1}:10", '"Europe"'),
                                  ('[policy.bad]\nadversaries = ["nobody-ltd"]\n', f"{line + 1}:16", "nobody-ltd"),
                                  ('[class.personal2]\npolicy = "lost"\n', f"{line + 1}:10", "there is no [policy.lost]"),
                                  ('[[keyholder]]\nid = "k"\nplace = "FR"\noperator = "FR"\nreach = [{ state = "CN", cap = "read", basis = "staff", '
                                   'level = "Declared", source = "x", date = "2026-13-01" }]\n', f"{line + 4}:", "date")):
            with self.subTest(text=text):
                config.write_text(good + "\n" + text)
                run = self.exposure()
                self.assertEqual((run.returncode, run.stdout), (1, ""))
                self.assertIn(f"archipel.toml:{where}", run.stderr)
                self.assertIn(what, run.stderr)
