// Ban: what happens if an island, a provider, a state or a bloc is gone tomorrow, and what leaving costs. The same reckoning as
// src/exposure/ban.h; a target here is {kind, id}, and several may be gone at once. Pure.

const BAN_BASES = ["place", "operator", "parent"];

function banReaches(facts, target, kind, party) {
  if (target.kind === "island") return kind === "island" && party.id === target.id;
  if (target.kind === "provider") return party.provider === target.id;
  const bloc = target.kind === "bloc" ? facts.blocs.find((b) => b.id === target.id) : null;
  const states = bloc ? bloc.states : [target.id];
  return party.edges.some((e) => BAN_BASES.includes(e.basis) && states.includes(e.state));
}

// Every party that the targets take: Set of "island/ID", "keyholder/ID", "gateway/ID", "name/ID".
function lostTo(facts, targets) {
  const lost = new Set();
  const take = (kind, parties) => {
    for (const party of parties) if (targets.some((target) => banReaches(facts, target, kind, party))) lost.add(`${kind}/${party.id}`);
  };
  take("island", facts.islands);
  take("keyholder", facts.keyholders);
  take("gateway", facts.gateways);
  take("name", facts.names);
  return lost;
}

// `holdings`, `journal` as in the report; `prices` by provider. Times by each of `bandwidths`, in bits per second.
function banReport(facts, holdings, prices, targets, bandwidths, journal) {
  const lost = lostTo(facts, targets);
  const gone = (kind, parties) => parties.filter((p) => lost.has(`${kind}/${p.id}`)).map((p) => p.id);
  const islands = gone("island", facts.islands);
  const keyholders = gone("keyholder", facts.keyholders);
  const gateways = gone("gateway", facts.gateways);
  const out = {
    islands, keyholders, gateways, names: gone("name", facts.names),
    keys_lost: facts.keyholders.length > 0 && facts.keyholders.length - keyholders.length < facts.keys.threshold,
    gateways_lost: facts.gateways.length > 0 && gateways.length === facts.gateways.length,
    read_only: Boolean(journal) && journal.islands.filter((id) => !islands.includes(id)).length < journal.quorum,
    holdings: [], unavailable_objects: 0, unavailable_bytes: 0, degraded_objects: 0, degraded_bytes: 0,
  };
  const copy = new Map();
  const rebuild = new Map();
  const prices_of = (id) => prices[facts.islands.find((p) => p.id === id).provider];
  const egress = (id) => {
    const price = prices_of(id);
    return price && price.egress_gb !== null && price.egress_gb >= 0 ? price.egress_gb : null;
  };
  for (const holding of holdings) {
    const hit = holdingUnder(holding, new Set(islands));
    if (!hit.on_banned.length) continue;
    out.holdings.push(hit.result);
    if (hit.result.unavailable) {
      out.unavailable_objects += holding.objects;
      out.unavailable_bytes += holding.bytes;
    } else if (hit.result.degraded) {
      out.degraded_objects += holding.objects;
      out.degraded_bytes += holding.bytes;
    }
    const shard = holding.stored_bytes / holding.code[0];
    if (shard > 0) for (const id of hit.on_banned) add(copy, id, shard);
    if (hit.result.unavailable || shard === 0) continue;
    const cheapest = hit.survivors.slice().sort((a, b) => (egress(a) ?? Infinity) - (egress(b) ?? Infinity) || byText(a, b));
    for (const id of cheapest.slice(0, holding.code[1])) add(rebuild, id, shard * hit.on_banned.length);
  }
  out.copy_out = transfer(copy, egress, bandwidths, false);
  out.rebuild_around = transfer(rebuild, egress, bandwidths, true);
  return out;
}

function add(map, key, value) {
  map.set(key, (map.get(key) || 0) + value);
}

function holdingUnder(holding, banned) {
  const confirmed = holding.confirmed || holding.islands;
  const on_banned = holding.islands.filter((id) => banned.has(id) && confirmed.includes(id));
  const survivors = holding.islands.filter((id) => !banned.has(id) && confirmed.includes(id));
  const left = survivors.length;
  const k = holding.code[1];
  return {
    on_banned, survivors,
    result: { bucket: holding.bucket, policy: holding.policy, lost: on_banned.length, left, unavailable: left < k, degraded: on_banned.length > 0, tolerance: left - k },
  };
}

function transfer(by_source, egress, bandwidths, one_link) {
  let bytes = 0;
  let cost = 0;
  let slowest = 0;
  const unpriced = [];
  for (const [id, amount] of by_source) {
    bytes += amount;
    slowest = Math.max(slowest, amount);
    const price = egress(id);
    if (price === null) unpriced.push(id);
    else cost += (amount / 1e9) * price;
  }
  const link = one_link ? bytes : slowest;
  return { bytes, seconds: bandwidths.map((bps) => (link * 8) / bps), cost: unpriced.length ? null : cost, unpriced: unpriced.sort(byText) };
}
