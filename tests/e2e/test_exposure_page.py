"""The exposure page: its own computation under node, and what a reader sees in Chromium, at two widths, light and dark, in both languages."""
import json
import pathlib
import shutil
import subprocess
import tempfile

import base
import gateway
from browser import Browser

HERE = pathlib.Path(__file__).resolve().parent.parent / "exposure"
WORKED = HERE / "worked"
WIDTHS = {1280: 900, 390: 844}
BANS = ("alibaba", "ovh-gravelines", "DE", "EU", "FVEY")
DOWN, ENTER, RIGHT, TAB = "\ue015", "\ue007", "\ue014", "\ue004"

# What an auditor of a tenant would ask about: gateways, names, three policies of which one is careless, and what is kept under each.
MORE = """
[[gateway]]
id = "office"
place = "US"
operator = "US"
parent = "US"
plaintext = true

[[gateway]]
id = "edge"
place = "FR"
operator = "FR"
parent = "FR"
plaintext = false

[[name]]
id = "storage.example"
kind = "dns"
place = "US"
operator = "US"
parent = "US"

[owner]
home = ["US"]

[facts]
data = "prices"

[policy.public]
code = [4, 2]
islands = ["aws-ireland", "ovh-gravelines", "hetzner-helsinki", "sakura-tokyo"]

[policy.careless]
code = [2, 1]
islands = ["alibaba-frankfurt", "hetzner-helsinki"]

[[holding]]
bucket = "tenant"
policy = "split"
class = "personal"
objects = 1_000_000
bytes = 300_000_000_000_000

[[holding]]
bucket = "pictures"
policy = "public"
class = "public"
objects = 20_000
bytes = 4_200_000_000_000
unconfirmed = ["sakura-tokyo"]

[[holding]]
bucket = "drafts"
policy = "careless"
objects = 1_204
bytes = 950_000_000
"""
PRICES = "provider,egress_gb,storage_gb_month,put_1000,get_1000,note,source,date,level\n" + "".join(
    f"{who},{egress},0.02,,,,a price list made for this test,2026-11-22,Declared\n"
    for who, egress in (("alibaba", 0.09), ("aws", 0.09), ("ovh", 0), ("hetzner", 0.01)))


def exposure(*arguments):
    run = subprocess.run([str(gateway.binary), "exposure", *map(str, arguments)], capture_output=True, text=True, timeout=180)
    assert run.returncode == 0, run.stderr
    return run.stdout


def write_facts(home):
    (home / "prices").mkdir()
    (home / "prices" / "prices.csv").write_text(PRICES)
    facts = home / "facts.toml"
    facts.write_text((WORKED / "2-split.toml").read_text() + MORE)
    return facts


class PageUnderNode(base.Case):
    def test_the_page_computes_what_the_binary_did(self):
        node = shutil.which("node")
        if node is None:
            self.skipTest("node is not installed (Debian package nodejs): the page's computation is not tried without a browser")
        home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-e2e-"))
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        pages = []
        for facts in (*sorted(WORKED.glob("*.toml")), write_facts(home)):
            pages.append(home / f"{facts.stem}.html")
            island = facts.read_text().split('id = "', 1)[1].split('"', 1)[0]
            exposure("--facts", facts, "--ban", ",".join((*BANS[2:], island)), "--adversary", "CN,US,EU", "--html", pages[-1])
        run = subprocess.run([node, str(HERE / "page_test.mjs"), *map(str, pages)], capture_output=True, text=True, timeout=180)
        self.assertEqual(run.returncode, 0, run.stdout[-4000:] + run.stderr[-2000:])
        self.assertIn(f"computes what the binary did: {pages[-1].name}", run.stdout)


# Text whose contrast with what is painted behind it is below what WCAG 2 asks for (AA), worst first.
CONTRAST = """
const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
const light = (c) => { const l = c.slice(0, 3).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
const behind = (e) => { const all = []; for (; e; e = e.parentElement) all.unshift(parse(getComputedStyle(e).backgroundColor)); return all.reduce((under, c) => over(c, under), [255, 255, 255, 1]); };
const out = [];
for (const e of document.querySelectorAll("body *")) {
  if (e.closest("svg, script, noscript, option") || !e.getClientRects().length || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
  const style = getComputedStyle(e);
  if (style.visibility === "hidden" || e.classList.contains("hidden")) continue;
  const ground = behind(e), ink = over(parse(style.color), ground);
  const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
  if (ratio < (size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5)) out.push([ratio.toFixed(2), e.tagName, e.className, e.textContent.trim().slice(0, 40)]);
}
return out.sort((x, y) => x[0] - y[0]).slice(0, 8);
"""

# Controls that a screen reader could not name.
NAMELESS = """
return [...document.querySelectorAll("button, input, select, summary, [role=img], [role=region]")].filter((e) => {
  const labels = e.labels ? [...e.labels].map((l) => l.textContent).join("") : "";
  return !(e.getAttribute("aria-label") || labels || (["BUTTON", "SUMMARY"].includes(e.tagName) && e.textContent)).trim();
}).map((e) => e.outerHTML.slice(0, 120));
"""


class PageInChromium(base.Case):
    @classmethod
    def setUpClass(cls):
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-e2e-"))
        cls.addClassCleanup(shutil.rmtree, cls.home, ignore_errors=True)
        cls.facts = write_facts(cls.home)
        cls.report = json.loads(exposure("--facts", cls.facts, *(word for target in BANS for word in ("--ban", target)), "--adversary", "CN", "--json"))
        cls.pages = {}
        for language in ("en", "fr"):
            cls.pages[language] = cls.home / f"{language}.html"
            exposure("--facts", cls.facts, "--html", cls.pages[language], "--lang", language, "--adversary", "CN")
        cls.pictures = gateway.binary.parent / "exposure-pictures"
        cls.pictures.mkdir(exist_ok=True)
        cls.browser = cls.enterClassContext(Browser())

    def open(self, language="en", width=1280, scheme="light", hash_text=""):
        self.browser.size(width, WIDTHS[width])
        self.browser.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.browser.open("about:blank")
        self.browser.open(self.pages[language].as_uri() + hash_text)
        self.assertEqual(self.browser.messages(), [], "the console is quiet")

    def text(self, selector):
        return self.browser.run("return document.querySelector(arguments[0])?.textContent ?? null", selector)

    def choose(self, selector, value):
        self.browser.run("const e = document.querySelector(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('change', {bubbles: true}))", selector, value)

    def ban_shown(self):
        return self.browser.run("""
          const values = (e) => e.dataset.value.split(" ").map(Number);
          const figures = Object.fromEntries([...document.querySelectorAll("#ban [data-figure]")].map((e) => [e.dataset.figure, values(e)]));
          const ways = Object.fromEntries([...document.querySelectorAll("#ban [data-way]")].map((tr) => [tr.dataset.way, [...tr.querySelectorAll("td")].map((td) => JSON.parse(td.dataset.value))]));
          return [figures, ways];""")

    def test_it_looks_right_at_both_widths_light_and_dark_in_both_languages(self):
        grounds = {}
        for width in WIDTHS:
            for scheme, language in (("light", "en"), ("dark", "fr"), ("light", "fr"), ("dark", "en")):
                with self.subTest(width=width, scheme=scheme, language=language):
                    self.open(language, width, scheme)
                    self.assertEqual(self.browser.run("return document.documentElement.lang"), language)
                    self.assertEqual(self.browser.run("return document.documentElement.scrollWidth"), width, "the page does not scroll sideways")
                    self.assertEqual(self.browser.run("return performance.getEntriesByType('resource').filter((e) => !e.name.startsWith('data:')).length"), 0)
                    self.assertEqual(self.browser.run(CONTRAST), [])
                    self.assertEqual(self.browser.run(NAMELESS), [])
                    grounds.setdefault(scheme, set()).add(self.browser.run("return getComputedStyle(document.body).backgroundColor"))
                    if (scheme == "light") == (language == "en"):
                        self.browser.picture(self.pictures / f"{width}-{scheme}-{language}.png")
                        self.browser.picture(self.pictures / f"{width}-{scheme}-{language}-whole.png", whole=True)
        self.assertTrue(all(len(colours) == 1 for colours in grounds.values()))
        self.assertNotEqual(grounds["light"], grounds["dark"])

    def test_the_first_screen_says_the_answers_of_the_binary(self):
        self.open()
        for policy in self.report["policies"]:
            for question in ("read", "cut"):
                shown = self.text(f'[aria-labelledby="class-{policy["policy"]}"] [data-question={question}] .number')
                self.assertEqual(shown, str(policy[question]["min"] or "∞"), policy["policy"])
        top = self.browser.run("return document.querySelector('[data-question=leave]').getBoundingClientRect().bottom")
        self.assertLess(top, 900, "STORE, READ, CUT and LEAVE are on the first screen")

    def test_the_switch_ban_gives_the_numbers_of_the_command(self):
        self.open()
        for ban in self.report["bans"]:
            with self.subTest(target=ban["target"]):
                self.browser.run("document.querySelectorAll('.chips button').forEach((lift) => lift.click())")
                self.choose("#ban-select", f"{ban['kind']}:{ban['target']}")
                figures, ways = self.ban_shown()
                self.assertEqual(figures["unavailable"], [ban["unavailable_objects"], ban["unavailable_bytes"]])
                self.assertEqual(figures["degraded"], [ban["degraded_objects"], ban["degraded_bytes"]])
                for way in ("copy_out", "rebuild_around"):
                    shown_bytes, *seconds, cost = ways[f"ban.{way}"]
                    self.assertEqual(shown_bytes, ban[way]["bytes"])
                    for shown, told in zip(seconds, ban[way]["seconds"], strict=True):
                        self.assertAlmostEqual(shown, told, delta=1e-6 * max(1, told))
                    self.assertEqual(cost is None, ban[way]["cost"] is None)
                    if cost is not None:
                        self.assertAlmostEqual(cost, ban[way]["cost"], places=2)
                if ban["target"] == "alibaba":
                    self.browser.picture(self.pictures / "1280-ban.png")
                    self.assertIn("100\u00a0TB", self.text("#ban [data-way='ban.copy_out']"))
        self.browser.run("document.querySelector('.chips button').click()")
        self.assertTrue(self.browser.run("return document.getElementById('ban').hidden"), "lifted, nothing is left of it")
        self.assertEqual(self.browser.messages(), [])

    def test_a_page_asked_for_with_a_ban_opens_with_it_and_its_advice(self):
        page = self.home / "banned.html"
        exposure("--facts", self.facts, "--ban", "EU", "--html", page)
        self.browser.size(390, 844)
        self.browser.open(page.as_uri())
        figures, _ = self.ban_shown()
        told = next(b for b in self.report["bans"] if b["target"] == "EU")
        self.assertEqual(figures["unavailable"], [told["unavailable_objects"], told["unavailable_bytes"]])
        self.assertIn(told["advice"][0], self.text("#ban-body"))
        self.assertEqual(self.browser.run("return document.documentElement.scrollWidth"), 390)
        self.browser.picture(self.pictures / "390-ban.png", whole=True)
        self.browser.run("document.getElementById('reset') ? document.getElementById('reset').click() : 0")
        self.assertTrue(self.browser.run("return document.getElementById('ban').hidden"))

    def test_the_other_switches_change_the_answers_and_the_address_keeps_them(self):
        self.open()
        number = '[aria-labelledby="class-split"] [data-question={}] .number'
        self.assertEqual((self.text(number.format("read")), self.text(number.format("cut"))), ("1", "1"), "the office sees plaintext; one name")
        self.browser.run("document.getElementById('plaintext-office').click()")
        self.assertEqual(self.text(number.format("read")), "3")
        self.browser.run("document.getElementById('bloc-EU').click()")
        self.assertEqual(self.text(number.format("read")), "2")
        self.choose("[id='party-keyholder/notary-geneva']", "FR")
        address = self.browser.run("return location.hash")
        answers = self.text("#answers-body")
        self.open(hash_text=address)
        self.assertEqual(self.text("#answers-body"), answers, "a link shows the same page again")
        self.browser.run("document.getElementById('lang-fr').click()")
        self.assertEqual(self.text("h1"), "Qui peut lire, qui peut couper")
        self.browser.run("document.getElementById('theme-dark').click()")
        self.assertEqual(self.browser.run("return document.documentElement.dataset.theme"), "dark")
        self.assertEqual(self.browser.messages(), [])

    def test_it_is_walked_with_the_keyboard(self):
        self.open()
        self.browser.keys(TAB)
        self.assertEqual(self.browser.run("return document.activeElement.className"), "skip")
        self.assertGreater(self.browser.run("return document.activeElement.getBoundingClientRect().top"), -1, "it is seen while it has the focus")
        self.browser.keys(ENTER)
        self.assertEqual(self.browser.run("return document.activeElement.id"), "answers")
        self.browser.run("document.querySelector('#matrix button[tabindex=\"0\"]').focus()")
        self.browser.keys(DOWN + RIGHT + ENTER)
        cell = self.browser.run("return document.activeElement.dataset.key")
        self.assertEqual(self.browser.run("return document.querySelector('#matrix .chosen').dataset.key"), cell, "the focus stays where it was")
        self.assertEqual(self.browser.run("return document.activeElement.getAttribute('aria-pressed')"), "true")
        self.assertIn("Shards: reaches", self.text("#explanation"))
        outline = self.browser.run("return getComputedStyle(document.activeElement).outlineStyle")
        self.assertNotEqual(outline, "none", "the focus is seen")
        self.browser.picture(self.pictures / "1280-explained.png")

    def test_it_can_be_printed(self):
        self.open()
        self.browser.devtools("Emulation.setEmulatedMedia", media="print")
        self.assertFalse(self.browser.run("return [...document.querySelectorAll('aside, .tools')].some((e) => e.getClientRects().length)"), "no controls on paper")
        self.browser.devtools("Emulation.setEmulatedMedia", media="")
        printed = self.browser.devtools("Page.printToPDF", printBackground=True)
        self.assertGreater(len(printed["data"]), 20_000)
