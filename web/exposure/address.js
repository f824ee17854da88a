// What the reader has chosen, kept in the address after "#", so that a link shows the same page again: language, theme, changes.

function readAddress(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const changes = noChanges();
  const pairs = (name) => fields.getAll(name).map((v) => [v.slice(0, v.lastIndexOf("=")), v.slice(v.lastIndexOf("=") + 1)]).filter(([key]) => key);
  changes.bans = fields.getAll("ban").filter((v) => /^(island|provider|state|bloc):./.test(v));
  changes.drops = fields.getAll("drop");
  for (const [id, on] of pairs("bloc")) changes.blocs[id] = on === "1";
  for (const [party, state] of pairs("move")) if (/^[A-Z]{2}$/.test(state)) changes.moves[party] = state;
  for (const [id, on] of pairs("plaintext")) changes.plaintext[id] = on === "1";
  for (const [key, code] of pairs("code")) {
    const [n, k] = code.split(".").map(Number);
    if (Number.isInteger(n) && Number.isInteger(k) && k >= 1 && n >= k && n <= 16) changes.codes[key] = [n, k];
  }
  const one = (name, allowed) => (allowed.includes(fields.get(name)) ? fields.get(name) : null);
  return { language: one("lang", ["en", "fr"]), theme: one("theme", ["light", "dark", "auto"]), changes };
}

function writeAddress(language_now, theme, changes) {
  const fields = new URLSearchParams();
  fields.set("lang", language_now);
  if (theme !== "auto") fields.set("theme", theme);
  for (const ban of changes.bans) fields.append("ban", ban);
  for (const drop of changes.drops) fields.append("drop", drop);
  for (const [id, on] of Object.entries(changes.blocs)) fields.append("bloc", `${id}=${on ? 1 : 0}`);
  for (const [party, state] of Object.entries(changes.moves)) fields.append("move", `${party}=${state}`);
  for (const [id, on] of Object.entries(changes.plaintext)) fields.append("plaintext", `${id}=${on ? 1 : 0}`);
  for (const [key, code] of Object.entries(changes.codes)) fields.append("code", `${key}=${code.join(".")}`);
  return "#" + fields.toString();
}

// What the report was asked about first is what the page opens with, where the address says nothing.
function askedChanges(report) {
  const asked = (report.bans || []).slice(0, 1).map((b) => `${b.kind}:${b.target}`);
  return knownChanges(report, { ...noChanges(), bans: asked });
}

// Changes that this report knows nothing of are left out: a link may be older than the facts.
function knownChanges(report, changes) {
  const facts = report.facts;
  const keys = new Set([
    ...facts.islands.map((p) => `island/${p.id}`), ...facts.keyholders.map((p) => `keyholder/${p.id}`),
    ...facts.gateways.map((p) => `gateway/${p.id}`), ...facts.names.map((p) => `name/${p.id}`),
  ]);
  const targets = new Set(banTargets(facts).map((x) => `${x.kind}:${x.id}`));
  const pick = (object, known) => Object.fromEntries(Object.entries(object).filter(([key, value]) => known(key, value)));
  const classes = classesOf(report).map((c) => c.key);
  return {
    bans: changes.bans.filter((b) => targets.has(b)),
    drops: changes.drops.filter((d) => keys.has(d) && !d.startsWith("island/")),
    blocs: pick(changes.blocs, (id, on) => facts.blocs.some((b) => b.id === id && b.enabled !== on)),
    moves: pick(changes.moves, (key, state) => keys.has(key) && state in report.states),
    plaintext: pick(changes.plaintext, (id, on) => facts.gateways.some((g) => g.id === id && g.plaintext !== on)),
    codes: pick(changes.codes, (key, code) => classes.includes(key) && code[0] <= facts.islands.length),
  };
}
