// Engine: who can read, who can cut. The same functions as src/exposure/engine.h, over the facts that the page carries. Pure.
//
// A *unit* is what coalitions are made of: a state, an enabled bloc that stands for its states, or a provider. READ and CUT are monotone, so the
// inclusion-minimal coalitions say everything. Positions a unit reaches are kept as bits in a few 32-bit words, one segment of words each
// for shards, keys, gateways and the names of each kind.

const COALITIONS_MAX = 100000; // of one answer: with more there is no list, never a cut one
const FRONTIER_MAX = 200000; // sets of one size that may grow, of one answer

const READS = { read: true, cut: false, both: true };
const CUTS = { read: false, cut: true, both: true };

function byText(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

// As Python sorts lists of strings.
function byTexts(a, b) {
  for (let i = 0; i < a.length && i < b.length; ++i) if (a[i] !== b[i]) return byText(a[i], b[i]);
  return a.length - b.length;
}

function partiesOf(facts) {
  return [...facts.islands, ...facts.keyholders, ...facts.gateways, ...facts.names];
}

// The units that one state counts as: the enabled blocs it belongs to, or itself.
function unitsOfState(facts, state) {
  const blocs = facts.blocs.filter((b) => b.enabled && b.states.includes(state)).map((b) => b.id);
  return blocs.length ? blocs : [state];
}

// kind: "states" or "providers". Only units that reach somebody.
function lensOf(facts, kind) {
  const names = new Set();
  for (const party of partiesOf(facts)) {
    if (kind === "providers") {
      if (party.provider) names.add(party.provider);
    } else {
      for (const edge of party.edges) for (const unit of unitsOfState(facts, edge.state)) names.add(unit);
    }
  }
  const units = [...names].sort(byText);
  return { kind, units, index: new Map(units.map((u, i) => [u, i])), facts };
}

// The unit positions that reach a party: {read: Set, cut: Set}.
function reachOf(lens, party) {
  const read = new Set();
  const cut = new Set();
  if (lens.kind === "providers") {
    if (lens.index.has(party.provider)) {
      read.add(lens.index.get(party.provider));
      cut.add(lens.index.get(party.provider));
    }
    return { read, cut };
  }
  for (const edge of party.edges)
    for (const unit of unitsOfState(lens.facts, edge.state)) {
      if (READS[edge.cap]) read.add(lens.index.get(unit));
      if (CUTS[edge.cap]) cut.add(lens.index.get(unit));
    }
  return { read, cut };
}

// One placement as the units see it. `lost`: Set of parties that are gone ("island/ID", "keyholder/ID", "gateway/ID", "name/ID"): what lies
// there may still be read there, and counts as cut already.
function structureOf(facts, placing, lens, lost = new Set()) {
  const islands = new Map(facts.islands.map((p) => [p.id, p]));
  const [n, k] = placing.code;
  const seen = (kind, party) => ({ id: party.id, ...reachOf(lens, party), lost: lost.has(`${kind}/${party.id}`) });
  const shards = placing.islands.map((id) => {
    const party = islands.get(id);
    if (!party) throw new Error(`island ${id} of policy ${placing.policy} is not among the facts`);
    const shard = seen("island", party);
    if (placing.confirmed && !placing.confirmed.includes(id)) shard.lost = true;
    return shard;
  });
  const kinds = new Map();
  for (const name of facts.names) {
    if (!kinds.has(name.kind)) kinds.set(name.kind, []);
    kinds.get(name.kind).push(seen("name", name));
  }
  return {
    n, k, shards, units: lens.units.length,
    threshold: facts.keyholders.length ? facts.keys.threshold : 0,
    keys: facts.keyholders.map((p) => seen("keyholder", p)),
    gateways: facts.gateways.map((p) => ({ ...seen("gateway", p), plaintext: p.plaintext })),
    names: [...kinds.values()],
  };
}

// What has to be counted for a question: segments of positions, each with what it needs to be full.
// READ: all "and" segments, or any "or" segment. CUT and DEGRADE: any segment.
function segmentsOf(structure, question) {
  const segment = (part, parties, need, cap, all = false) => ({ part, parties, need, cap, all });
  if (question === "read") {
    const parts = [segment("shards", structure.shards, structure.k, "read", true)];
    if (structure.keys.length) parts.push(segment("keys", structure.keys, structure.threshold, "read", true));
    const open = structure.gateways.filter((g) => g.plaintext);
    if (open.length) parts.push(segment("plaintext", open, 1, "read"));
    return parts;
  }
  const left = (parties) => parties.filter((p) => !p.lost);
  const gone = (parties) => parties.length - left(parties).length;
  const cut = (part, parties, need) => segment(part, left(parties), need - gone(parties), "cut");
  const parts = [cut("shards", structure.shards, question === "degrade" ? 1 : structure.n - structure.k + 1)];
  if (structure.keys.length) parts.push(cut("keys", structure.keys, structure.keys.length - structure.threshold + 1));
  if (structure.gateways.length) parts.push(cut("gateways", structure.gateways, structure.gateways.length));
  for (const kind of structure.names) parts.push(cut("names", kind, kind.length));
  return parts;
}

function popcount(x) {
  x -= (x >>> 1) & 0x55555555;
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return (((x + (x >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}

// A question made ready: `words` per unit, and a test of their union.
function prepare(structure, question) {
  const segments = segmentsOf(structure, question);
  let length = 0;
  for (const part of segments) {
    part.from = length;
    length += Math.max(1, Math.ceil(part.parties.length / 32));
    part.to = length;
  }
  const words = Array.from({ length: structure.units }, () => new Array(length).fill(0));
  for (const part of segments)
    part.parties.forEach((party, i) => {
      for (const unit of party[part.cap]) words[unit][part.from + (i >> 5)] |= 1 << (i & 31);
    });
  const full = (part, union) => {
    let count = 0;
    for (let w = part.from; w < part.to; ++w) count += popcount(union[w]);
    return count >= part.need;
  };
  const together = segments.filter((p) => p.all);
  const alone = segments.filter((p) => !p.all);
  const test = (union) =>
    alone.some((p) => full(p, union)) || (together.length > 0 && together.every((p) => full(p, union)));
  return { segments, words, length, test };
}

function unionOf(prepared, units) {
  const union = new Array(prepared.length).fill(0);
  for (const unit of units) prepared.words[unit].forEach((w, i) => (union[i] |= w));
  return union;
}

function holds(structure, question, units) {
  const prepared = prepare(structure, question);
  return prepared.test(unionOf(prepared, units));
}

// What was found so far, the smallest first, when it became too much.
class TooMany extends Error {
  constructor(found) {
    super("too many coalitions to list");
    this.min = found.length ? found[0].length : undefined;
  }
}

// Every inclusion-minimal coalition, as sorted lists of unit positions, the smallest first. [[]]: it holds without anybody; []: nobody can.
// Throws TooMany.
function minimalCoalitions(structure, question) {
  const prepared = prepare(structure, question);
  const { words, length, test } = prepared;
  if (test(new Array(length).fill(0))) return [[]];
  // Units that reach the same are looked at once.
  const alike = new Map();
  words.forEach((w, unit) => {
    if (w.every((x) => x === 0)) return;
    const key = w.join();
    if (!alike.has(key)) alike.set(key, { words: w, units: [] });
    alike.get(key).units.push(unit);
  });
  const found = [];
  let groups = [];
  for (const group of alike.values()) (test(group.words) ? found.push([group]) : groups.push(group));
  let frontier = groups.map((g, i) => ({ members: [i], union: g.words }));
  while (frontier.length) {
    const next = [];
    for (const set of frontier)
      for (let i = set.members[set.members.length - 1] + 1; i < groups.length; ++i) {
        const union = set.union.map((w, at) => w | groups[i].words[at]);
        if (union.every((w, at) => w === set.union[at])) continue; // adds nothing: not minimal, nor is what grows from it
        const members = [...set.members, i];
        if (!test(union)) {
          next.push({ members, union });
          if (next.length > FRONTIER_MAX) throw new TooMany(found);
        } else if (members.every((m) => !test(without(groups, members, m, length)))) {
          found.push(members.map((m) => groups[m]));
        }
      }
    frontier = next;
  }
  return expand(found);
}

function without(groups, members, left_out, length) {
  const union = new Array(length).fill(0);
  for (const m of members) if (m !== left_out) groups[m].words.forEach((w, at) => (union[at] |= w));
  return union;
}

// Each group stands for any one of its units.
function expand(found) {
  const out = [];
  for (const groups of found) {
    if (groups.reduce((product, g) => product * g.units.length, out.length + 1) > 10 * COALITIONS_MAX) throw new TooMany(found);
    let lists = [[]];
    for (const group of groups) lists = lists.flatMap((list) => group.units.map((unit) => [...list, unit]));
    for (const list of lists) out.push(list.sort((a, b) => a - b));
    if (out.length > COALITIONS_MAX) throw new TooMany(found);
  }
  return out.sort((a, b) => a.length - b.length || compareNumbers(a, b));
}

function compareNumbers(a, b) {
  for (let i = 0; i < a.length; ++i) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}

// READ, CUT and DEGRADE of one placing: {read: {min, coalitions}, …}; the coalitions by size, then by name. min null: nobody can. With too many to
// list `too_many` is set, and min undefined if not even the smallest was found.
function expose(facts, placing, kind = "states", lost = new Set()) {
  const lens = lensOf(facts, kind);
  const structure = structureOf(facts, placing, lens, lost);
  const out = { lens, structure };
  for (const question of ["read", "cut", "degrade"]) {
    try {
      const coalitions = minimalCoalitions(structure, question).map((list) => list.map((u) => lens.units[u]));
      out[question] = { min: coalitions.length ? coalitions[0].length : null, coalitions };
    } catch (error) {
      if (!(error instanceof TooMany)) throw error;
      out[question] = { min: error.min, coalitions: [], too_many: true };
    }
  }
  return out;
}

// What one coalition reaches, counted against what it needs, by part: shards, keys, plaintext, gateways, names. `alone`: by member, the ids
// that nobody else of the coalition reaches.
function explain(structure, question, units) {
  return prepare(structure, question).segments.map((part) => {
    const reached = part.parties.filter((p) => units.some((u) => p[part.cap].has(u)));
    const only = (u) => reached.filter((p) => p[part.cap].has(u) && units.every((v) => v === u || !p[part.cap].has(v)));
    return {
      part: part.part, reached: reached.map((p) => p.id), need: part.need, of: part.parties.length, together: part.all,
      full: reached.length >= part.need, alone: new Map(units.map((u) => [u, only(u).map((p) => p.id)])),
    };
  });
}

// The unit positions of a state, a bloc (enabled or not) or a unit.
function unitsOf(facts, lens, id) {
  if (lens.index.has(id)) return [lens.index.get(id)];
  const bloc = facts.blocs.find((b) => b.id === id);
  const states = bloc ? bloc.states : [id];
  const units = new Set(states.flatMap((s) => unitsOfState(facts, s)).filter((u) => lens.index.has(u)));
  return [...units].map((u) => lens.index.get(u)).sort((a, b) => a - b);
}
