// Model: the facts as declared, what the reader has switched, and the answers that follow. Pure: nothing here touches the page.
//
// Changes: {bans: ["provider:aws"], blocs: {EU: true}, moves: {"keyholder/x": "CH"}, drops: ["gateway/y"], plaintext: {y: false},
// codes: {CLASS: [n, k]}}. Kinds of party: island, keyholder, gateway, name.

const CLASSES_MAX = 40;

function noChanges() {
  return { bans: [], blocs: {}, moves: {}, drops: [], plaintext: {}, codes: {} };
}

function countChanges(changes) {
  return changes.bans.length + changes.drops.length + ["blocs", "moves", "plaintext", "codes"].reduce((sum, name) => sum + Object.keys(changes[name]).length, 0);
}

function targetOf(text) {
  const at = text.indexOf(":");
  return { kind: text.slice(0, at), id: text.slice(at + 1) };
}

// A party at home elsewhere: place, operator and parent all there. What-if, hence Assumed.
function movedTo(party, state) {
  const edge = (basis) => ({ state, cap: "both", basis, level: "Assumed", source: "", date: "" });
  return { ...party, provider: "", region: "", latitude: undefined, longitude: undefined, edges: BAN_BASES.map(edge), moved: true };
}

function changedFacts(facts, changes) {
  const change = (kind, parties) =>
    parties
      .filter((p) => !changes.drops.includes(`${kind}/${p.id}`))
      .map((p) => (changes.moves[`${kind}/${p.id}`] ? movedTo(p, changes.moves[`${kind}/${p.id}`]) : p));
  const keyholders = change("keyholder", facts.keyholders);
  return {
    ...facts,
    islands: change("island", facts.islands),
    keyholders,
    keys: { threshold: Math.min(facts.keys.threshold, keyholders.length) },
    gateways: change("gateway", facts.gateways).map((g) => (g.id in changes.plaintext ? { ...g, plaintext: changes.plaintext[g.id] } : g)),
    names: change("name", facts.names),
    blocs: facts.blocs.map((b) => (b.id in changes.blocs ? { ...b, enabled: changes.blocs[b.id] } : b)),
  };
}

function samePlacing(a, b) {
  const confirmed = (p) => (p.confirmed || p.islands).slice().sort(byText).join();
  return a.code[0] === b.code[0] && a.code[1] === b.code[1] && a.islands.join() === b.islands.join() && confirmed(a) === confirmed(b);
}

// What the columns of every table are: each policy's placing, and each other way in which something still lies.
function classesOf(report) {
  const classes = report.policies.map((p) => ({
    key: p.policy, policy: p.policy, kind: "policy", code: p.code, islands: p.islands, warnings: p.warnings || [], holdings: [],
    data_classes: (report.classes || []).filter((c) => c.policy === p.policy).map((c) => c.name),
  }));
  for (const holding of report.holdings) {
    const journal = holding.bucket === "";
    let found = classes.find((c) => (journal ? c.kind === "journal" : c.kind !== "journal" && c.policy === holding.policy) && samePlacing(c, holding));
    if (!found) {
      const earlier = classes.filter((c) => c.kind === "earlier" && c.policy === holding.policy).length;
      found = {
        key: journal ? "journal" : `${holding.policy}~${earlier + 1}`, policy: holding.policy, kind: journal ? "journal" : "earlier", code: holding.code,
        islands: holding.islands, owed: classes.some((c) => c.kind === "policy" && c.policy === holding.policy && samePlacing(c, { ...holding, confirmed: undefined })),
        small: Boolean(holding.in_commits), confirmed: holding.confirmed, warnings: [], holdings: [], data_classes: [],
      };
      classes.push(found);
    }
    found.holdings.push(holding);
    if (!holding.in_commits) found.small = false;
    if (holding.data_class && !found.data_classes.includes(holding.data_class)) found.data_classes.push(holding.data_class);
  }
  for (const item of classes) {
    item.objects = item.holdings.reduce((sum, h) => sum + h.objects, 0);
    item.bytes = item.holdings.reduce((sum, h) => sum + h.bytes, 0);
    item.stored_bytes = item.holdings.reduce((sum, h) => sum + h.stored_bytes, 0);
  }
  return classes;
}

// Another code on the class's own islands first, then on others in the order of the facts.
function changedClass(item, facts, code) {
  if (!code) return item;
  const spare = facts.islands.map((p) => p.id).filter((id) => !item.islands.includes(id));
  const islands = [...item.islands, ...spare].slice(0, code[0]);
  const stretch = (code[0] / code[1]) / (item.code[0] / item.code[1]);
  const holdings = item.holdings.map((h) => ({ ...h, code, islands, confirmed: islands, stored_bytes: h.stored_bytes * stretch }));
  return { ...item, code, islands, confirmed: undefined, holdings, stored_bytes: item.stored_bytes * stretch };
}

// The classes with the most bytes, in their order: more columns than these nobody reads.
function shownClasses(classes) {
  if (classes.length <= CLASSES_MAX) return classes;
  const kept = new Set(classes.slice().sort((a, b) => b.bytes - a.bytes).slice(0, CLASSES_MAX));
  return classes.filter((c) => kept.has(c));
}

// Every answer at once. report: archipel-exposure/1.
function answer(report, changes) {
  const facts = changedFacts(report.facts, changes);
  const targets = changes.bans.map(targetOf);
  const lost = lostTo(facts, targets);
  const all = classesOf(report).map((c) => changedClass(c, facts, changes.codes[c.key]));
  const classes = shownClasses(all).map((c) => ({ ...c, states: expose(facts, c, "states", lost), providers: expose(facts, c, "providers", lost) }));
  const holdings = all.flatMap((c) => c.holdings);
  const bandwidths = report.bits_per_second || [1e9, 1e10];
  const ban = targets.length ? banReport(facts, holdings, report.prices, targets, bandwidths, report.journal) : null;
  return { report, changes, facts, classes, left_out: all.length - classes.length, holdings, targets, lost, ban, bandwidths, leave: leaveEach(facts, classes, report.prices, bandwidths, lost) };
}

// By class, what leaving each provider would take, beside what is lost already: the answer to LEAVE.
function leaveEach(facts, classes, prices, bandwidths, lost_already) {
  const targets = [...new Set(facts.islands.map((p) => p.provider || ""))].filter(Boolean).sort(byText).map((id) => ({ kind: "provider", id }));
  for (const island of facts.islands) if (!island.provider) targets.push({ kind: "island", id: island.id });
  const out = new Map();
  for (const item of classes) {
    const rows = [];
    for (const target of targets) {
      const lost = lostTo(facts, [target]);
      const confirmed = (item.confirmed || item.islands).filter((id) => !lost.has(`island/${id}`) && !lost_already.has(`island/${id}`));
      if (!item.islands.some((id) => lost.has(`island/${id}`))) continue;
      const ban = banReport(facts, item.holdings, prices, [target], bandwidths);
      rows.push({ target, left: confirmed.length, survives: confirmed.length >= item.code[1], copy_out: ban.copy_out, rebuild_around: ban.rebuild_around });
    }
    out.set(item.key, rows);
  }
  return out;
}

// What may be banned, for lists: islands, providers, states and blocs that take anything.
function banTargets(facts) {
  const some = (target) => lostTo(facts, [target]).size > 0;
  const states = [...new Set(partiesOf(facts).flatMap((p) => p.edges.map((e) => e.state)))].sort(byText);
  const list = [
    ...facts.islands.map((p) => ({ kind: "island", id: p.id })),
    ...[...new Set(partiesOf(facts).map((p) => p.provider).filter(Boolean))].sort(byText).map((id) => ({ kind: "provider", id })),
    ...states.map((id) => ({ kind: "state", id })),
    ...facts.blocs.map((b) => ({ kind: "bloc", id: b.id })),
  ];
  return list.filter(some);
}
