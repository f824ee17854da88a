// The page's own computation, without a browser: node tests/exposure/page_test.mjs [PAGE.html…]
//
// The modules of web/exposure are joined as they are in the page and asked for the shared vectors' answers, for those of a brute force over
// structures made at random, and for the arithmetic of bans. Of each PAGE named, written by `archipel exposure --html`, the answers and bans
// that the binary computed are compared with the page's. Standard library only; Node 18 and later.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const WEB = path.join(HERE, "..", "..", "web", "exposure");
const MODULES = fs.readFileSync(path.join(WEB, "modules.txt"), "utf8").split("\n").filter(Boolean);
const SOURCES = Object.fromEntries(MODULES.map((name) => [name, fs.readFileSync(path.join(WEB, name), "utf8")]));
const NAMES = ["expose", "lensOf", "structureOf", "minimalCoalitions", "holds", "prepare", "unionOf", "explain", "banReport", "lostTo", "answer", "noChanges", "changedFacts",
  "classesOf", "readAddress", "writeAddress", "knownChanges", "countChanges", "banTargets", "leaveEach", "WORDS", "t", "tn", "formatBytes", "formatDuration", "formatMoney",
  "formatDate", "formatNumber", "byTexts", "mapFrame", "project", "settle", "lettersOf", "matrixRows", "setLanguage"];

// Everything but main.js, which starts when it is read.
function load() {
  const body = MODULES.filter((name) => name !== "main.js").map((name) => SOURCES[name]).join("");
  return new Function(`"use strict";${body}\nfunction setLanguage(l) { language = l; }\nreturn {${NAMES.join(",")}};`)();
}
const page = load();

const sorted = (coalitions) => coalitions.map((c) => c.slice().sort()).sort(page.byTexts);
// A report's policies carry no party's provider when they come from the vectors.
const whole = (facts) => ({ islands: [], keyholders: [], keys: { threshold: 0 }, gateways: [], names: [], blocs: [], home: [], ...facts });

function same(policy, facts, expected, name) {
  const found = page.expose(whole(facts), { policy: policy.policy, code: policy.code, islands: policy.islands });
  for (const question of ["read", "cut", "degrade"]) {
    if (!expected[question]) continue;
    assert.equal(found[question].min, expected[question].min, `${name} ${policy.policy} ${question}`);
    assert.deepEqual(sorted(found[question].coalitions), expected[question].coalitions, `${name} ${policy.policy} ${question}`);
  }
}

test("the shared vectors have the same answers in the page", () => {
  const { vectors } = JSON.parse(fs.readFileSync(path.join(HERE, "vectors.json"), "utf8"));
  assert.ok(vectors.length >= 5);
  for (const vector of vectors)
    vector.policies.forEach((policy, i) => same(policy, vector.facts, vector.expected.policies[i], vector.file));
});

// A small generator, the same on every run.
function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const STATES = ["AT", "CN", "DE", "FR", "GB", "JP", "US"];

function someFacts(next) {
  const party = (id) => ({
    id, provider: `p${next(3)}`, region: "",
    edges: Array.from({ length: 1 + next(3) }, () => ({ state: STATES[next(STATES.length)], cap: ["read", "cut", "both", "both"][next(4)], basis: "place", level: "Declared", source: "a test", date: "2026-11-22" })),
  });
  const list = (kind, count) => Array.from({ length: count }, (_, i) => party(`${kind}${i}`));
  const keyholders = list("k", next(4));
  return {
    islands: list("i", 1 + next(6)), keyholders, keys: { threshold: keyholders.length ? 1 + next(keyholders.length) : 0 },
    gateways: list("g", next(3)).map((g) => ({ ...g, plaintext: next(3) === 0 })), names: list("n", next(3)).map((n) => ({ ...n, kind: ["dns", "ca"][next(2)] })),
    blocs: [{ id: "EU", states: ["AT", "DE", "FR"], enabled: next(2) === 0 }, { id: "ALLIES", states: ["FR", "GB", "US"], enabled: next(3) === 0 }], home: [],
  };
}

// The definitions, word by word, over sets of states and blocs.
function slowHolds(facts, placing, question, coalition, lost) {
  const counts = (state) => {
    const blocs = facts.blocs.filter((b) => b.enabled && b.states.includes(state));
    return blocs.length ? blocs.some((b) => coalition.includes(b.id)) : coalition.includes(state);
  };
  const reaches = (party, cap) => party.edges.some((e) => (e.cap === "both" || e.cap === cap) && counts(e.state));
  const shards = placing.islands.map((id) => facts.islands.find((p) => p.id === id));
  const [n, k] = placing.code;
  if (question === "read") {
    const keys = facts.keyholders.length === 0 || facts.keyholders.filter((p) => reaches(p, "read")).length >= facts.keys.threshold;
    return (shards.filter((p) => reaches(p, "read")).length >= k && keys) || facts.gateways.some((g) => g.plaintext && reaches(g, "read"));
  }
  const off = (kind) => (p) => lost.has(`${kind}/${p.id}`) || reaches(p, "cut");
  const left = n - shards.filter(off("island")).length;
  const all = (list, kind) => list.length > 0 && list.every(off(kind));
  const cut = left < k || (facts.keyholders.length > 0 && facts.keyholders.filter((p) => !off("keyholder")(p)).length < facts.keys.threshold) ||
    all(facts.gateways, "gateway") || ["dns", "ca"].some((kind) => all(facts.names.filter((p) => p.kind === kind), "name"));
  return question === "cut" ? cut : cut || left < n;
}

test("minimal coalitions agree with a brute force by the definitions", () => {
  const next = random(20261122);
  for (let round = 0; round < 250; ++round) {
    const facts = someFacts(next);
    const n = 1 + next(facts.islands.length);
    const placing = { policy: "p", code: [n, 1 + next(n)], islands: facts.islands.slice(0, n).map((p) => p.id) };
    const lost = new Set(next(3) === 0 ? [`island/i${next(n)}`, "keyholder/k0", "gateway/g0"] : []);
    const found = page.expose(facts, placing, "states", lost);
    const units = found.lens.units;
    for (const question of ["read", "cut", "degrade"]) {
      const minimal = [];
      const sets = Array.from({ length: 2 ** units.length }, (_, mask) => units.filter((_, i) => mask & (1 << i))).sort((a, b) => a.length - b.length);
      for (const set of sets) if (!minimal.some((m) => m.every((u) => set.includes(u))) && slowHolds(facts, placing, question, set, lost)) minimal.push(set);
      assert.deepEqual(sorted(found[question].coalitions), minimal.sort(page.byTexts), JSON.stringify({ facts, placing, question, lost: [...lost] }));
      assert.equal(found[question].min, minimal.length ? Math.min(...minimal.map((m) => m.length)) : null);
    }
  }
});

test("many units are answered while they can be, and said to be too many when not", () => {
  const code = (i) => String.fromCharCode(65 + (i % 26)) + String.fromCharCode(65 + Math.floor(i / 26));
  const islands = Array.from({ length: 16 }, (_, i) => ({ id: `i${i}`, provider: "", edges: [0, 1].map((j) => ({ state: code(2 * i + j), cap: "both" })) }));
  const found = page.expose(whole({ islands }), { policy: "p", code: [16, 4], islands: islands.map((p) => p.id) });
  assert.equal(found.read.coalitions.length, 1820 * 16); // C(16,4) choices of islands, two states for each
  assert.deepEqual([found.cut.min, found.cut.coalitions.length, found.cut.too_many], [13, 0, true]);
  assert.equal(found.degrade.coalitions.length, 32);
});

const example = () => JSON.parse(fs.readFileSync(path.join(HERE, "vectors.json"), "utf8")).vectors.find((v) => v.file.startsWith("2-split"));

// 300 TB on five islands of which any three give them back: a shard is 100 TB.
function exampleReport() {
  const { facts, policies } = example();
  const parties = (list) => list.map((p) => ({ provider: p.id, region: "", ...p, edges: p.edges.map((e) => ({ basis: "place", level: "Declared", source: "a test", date: "2026-11-22", ...e })) }));
  const [policy] = policies;
  const full = whole({ ...facts, islands: parties(facts.islands), keyholders: parties(facts.keyholders), blocs: [{ id: "EU", en: "EU", fr: "UE", states: ["DE", "FI", "FR", "IE", "LU"], enabled: false }], home: ["US"] });
  return {
    format: "archipel-exposure/1", date: "2026-11-22", facts: full, policies: [policy], classes: [{ name: "personal", policy: policy.policy }],
    holdings: [{ bucket: "b", data_class: "personal", policy: policy.policy, code: policy.code, islands: policy.islands, confirmed: policy.islands, objects: 1000, bytes: 300e12, stored_bytes: 500e12 }],
    prices: Object.fromEntries(full.islands.map((p) => [p.provider, { egress_gb: 0.09 }])), states: { SG: {}, CA: {}, CH: {}, CN: {}, DE: {}, US: {}, JP: {} }, bits_per_second: [1e9, 1e10], assumed: [], sensitivity: [],
  };
}

test("the price of the worked example's ban", () => {
  const report = exampleReport();
  const island = report.policies[0].islands[0];
  const now = page.answer(report, { ...page.noChanges(), bans: [`island:${island}`] });
  const { ban } = now;
  assert.deepEqual([ban.unavailable_objects, ban.degraded_objects, ban.holdings[0].left], [0, 1000, 4]);
  assert.deepEqual([ban.copy_out.bytes, ban.rebuild_around.bytes], [100e12, 300e12]);
  assert.deepEqual(ban.copy_out.seconds.map((s) => Math.round(s / 360) / 10), [222.2, 22.2]); // 9.3 days, 22 hours
  assert.equal(ban.copy_out.cost, 9000);
  assert.deepEqual(ban.rebuild_around.seconds.map((s) => Math.round(s / 8640) / 10), [27.8, 2.8]);
});

test("a ban takes shards from what may still be cut, and nothing from what may be read", () => {
  const report = exampleReport();
  const before = page.answer(report, page.noChanges()).classes[0].states;
  const after = page.answer(report, { ...page.noChanges(), bans: [`island:${report.policies[0].islands[4]}`] }).classes[0].states;
  assert.deepEqual(after.read.coalitions, before.read.coalitions);
  assert.deepEqual([before.cut.min, after.cut.min], [2, 1]);
  assert.deepEqual(after.degrade.coalitions, [[]]);
});

test("what-if: blocs, key holders, gateways and codes change the answers as the facts would", () => {
  const report = exampleReport();
  const answers = (change) => {
    const { read, cut } = page.answer(report, { ...page.noChanges(), ...change }).classes[0].states;
    return [read.min, cut.min];
  };
  assert.deepEqual(answers({}), [3, 2]);
  assert.deepEqual(answers({ blocs: { EU: true } }), [2, 1]);
  const all = report.facts.keyholders.map((p) => `keyholder/${p.id}`);
  assert.deepEqual(answers({ drops: all }), [2, 2], "without key holders the key terms drop out");
  assert.deepEqual(answers({ moves: Object.fromEntries(all.map((key) => [key, "CA"])) }), [3, 1], "one state has all keys: it cuts alone, and does not read alone");
  assert.deepEqual(answers({ codes: { [report.policies[0].policy]: [5, 5] } })[1], 1);
  report.facts.gateways = [{ id: "g", provider: "", region: "", plaintext: true, edges: [{ state: "US", cap: "both", basis: "place", level: "Declared", source: "", date: "" }] }];
  assert.deepEqual(answers({}), [1, 1]);
  assert.deepEqual(answers({ plaintext: { g: false } }), [3, 1]);
  assert.deepEqual(answers({ drops: ["gateway/g"] }), [3, 2]);
});

test("classes are the policies, and whatever lies in another way", () => {
  const report = exampleReport();
  const [holding] = report.holdings;
  report.holdings = [holding, { ...holding, bucket: "old", islands: holding.islands.slice().reverse() }, { ...holding, bucket: "owing", confirmed: holding.islands.slice(0, 4) }, { ...holding, bucket: "" }];
  const classes = page.classesOf(report);
  assert.deepEqual(classes.map((c) => [c.kind, c.holdings.map((h) => h.bucket)]), [["policy", ["b"]], ["earlier", ["old"]], ["earlier", ["owing"]], ["journal", [""]]]);
  assert.equal(page.answer(report, page.noChanges()).classes[2].states.cut.min, 1, "what is not confirmed counts as lost");
});

test("the address brings the same changes back, and forgets what the report does not know", () => {
  const report = exampleReport();
  const island = report.policies[0].islands[0];
  const holder = report.facts.keyholders[0].id;
  const changes = { bans: [`island:${island}`, "state:CN"], blocs: { EU: true }, moves: { [`keyholder/${holder}`]: "CH" }, drops: [`keyholder/${report.facts.keyholders[1].id}`], plaintext: {}, codes: { [report.policies[0].policy]: [5, 2] } };
  const read = page.readAddress(page.writeAddress("fr", "dark", changes));
  assert.deepEqual([read.language, read.theme], ["fr", "dark"]);
  assert.deepEqual(page.knownChanges(report, read.changes), changes);
  assert.equal(page.countChanges(changes), 6);
  const strange = page.readAddress("#lang=de&theme=pink&ban=island:atlantis&ban=x&bloc=XX=1&move=island/none=FR&code=p=99.1&drop=island/" + island);
  assert.deepEqual([strange.language, strange.theme], [null, null]);
  assert.deepEqual(page.knownChanges(report, strange.changes), page.noChanges());
});

test("every text is there in both languages, with the same places for values", () => {
  for (const [key, texts] of Object.entries(page.WORDS)) {
    assert.equal(texts.length, 2, key);
    const places = texts.map((text) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().join());
    if (!key.endsWith(".one")) assert.equal(places[0], places[1], key);
    for (const text of texts) assert.ok(text.trim(), key);
    assert.doesNotMatch(texts[1], / [:;!?]/, `${key}: a no-break space stands before : ; ! ? in French`);
  }
  const template = fs.readFileSync(path.join(WEB, "page.html"), "utf8");
  const used = [...template.matchAll(/data-t(?:-label)?="([^"]+)"/g)].map((m) => m[1]);
  for (const source of Object.values(SOURCES)) {
    used.push(...[...source.matchAll(/\bt\("([^"]+)"/g)].map((m) => m[1]));
    for (const [, key] of source.matchAll(/\btn\("([^"]+)"/g)) used.push(`${key}.one`, `${key}.other`);
  }
  assert.ok(used.length > 100);
  for (const key of used) assert.ok(key in page.WORDS, `no text for ${key}`);
});

test("numbers, sizes and dates are written in the language's way", () => {
  const plain = (text) => text.replace(/[\u00a0\u202f]/g, " ");
  page.setLanguage("fr");
  assert.equal(plain(page.formatBytes(3.2e12)), "3,2 To");
  assert.equal(plain(page.formatNumber(1234567)), "1 234 567");
  assert.equal(page.formatDate("2026-11-22"), "22 novembre 2026");
  assert.equal(page.tn("changed", 1), "Un point diffère des faits déclarés.");
  page.setLanguage("en");
  assert.equal(plain(page.formatBytes(3.2e12)), "3.2 TB");
  assert.equal(page.formatNumber(1234567), "1,234,567");
  assert.equal(page.formatDate("2026-11-22"), "22 November 2026");
  assert.equal(plain(page.formatDuration(800000)), "9.3 days");
  assert.equal(page.formatMoney(9000), "$9,000");
  assert.equal(page.formatMoney(null), "price not known");
});

test("nothing in the page ends its script, and nothing loads", () => {
  for (const [name, source] of Object.entries(SOURCES)) {
    assert.doesNotMatch(source, /<\/script|<!--/i, name);
    assert.doesNotMatch(source, /\b(fetch|XMLHttpRequest|WebSocket|import)\s*\(|innerHTML|insertAdjacentHTML|\beval\b/, name);
  }
});

// What `archipel exposure --html` wrote: the binary's answers against the page's own.
for (const file of process.argv.slice(2))
  test(`the page computes what the binary did: ${path.basename(file)}`, () => {
    const report = JSON.parse(/<script type="application\/json" id="report">(.*?)<\/script>/s.exec(fs.readFileSync(file, "utf8"))[1]);
    assert.equal(report.format, "archipel-exposure/1");
    for (const policy of report.policies) same(policy, report.facts, policy, file);
    const now = page.answer(report, page.noChanges());
    for (const told of report.adversaries) {
      const row = page.matrixRows(now).find((r) => r.group !== "pair" && r.id === told.id);
      const item = now.classes.find((c) => c.policy === told.policy);
      if (!row || !item) continue; // a state that counts as its bloc, or one that reaches nobody
      const letters = page.lettersOf(now, row, item, new Map());
      assert.deepEqual([letters.includes("R"), letters.includes("C"), /[CD]/.test(letters)], [told.reads, told.cuts, told.degrades], `${told.id} ${told.policy}`);
    }
    for (const ban of report.bans) {
      const target = page.banTargets(report.facts).find((x) => x.id === ban.target && x.kind === ban.kind);
      if (!target) {
        assert.deepEqual([ban.islands, ban.keyholders, ban.gateways, ban.names].flat(), [], `the page offers ${ban.target}, for it takes something`);
        continue;
      }
      const found = page.answer(report, { ...page.noChanges(), bans: [`${target.kind}:${target.id}`] }).ban;
      for (const name of ["islands", "gateways", "keyholders", "names", "keys_lost", "gateways_lost", "read_only", "unavailable_objects", "unavailable_bytes", "degraded_objects", "degraded_bytes"])
        assert.deepEqual(found[name], ban[name], `${ban.target} ${name}`);
      for (const way of ["copy_out", "rebuild_around"]) {
        assert.equal(Math.round(found[way].bytes), ban[way].bytes, `${ban.target} ${way}`);
        found[way].seconds.forEach((s, i) => assert.ok(Math.abs(s - ban[way].seconds[i]) <= 1e-6 * Math.max(1, s), `${ban.target} ${way} seconds`));
        assert.equal(found[way].cost === null, ban[way].cost === null, `${ban.target} ${way} cost`);
        if (ban[way].cost !== null) assert.ok(Math.abs(found[way].cost - ban[way].cost) <= 0.01, `${ban.target} ${way} cost`);
      }
    }
  });
