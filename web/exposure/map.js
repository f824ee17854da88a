// The map: an island is a disk whose area says how much lies there, a key holder a ring, a gateway a diamond. A list beside it says the same.

const MAP_FRAMES = { world: null, europe: [-12, 35, 32, 66] };

// Natural Earth projection (Šavrič, Jenny, Patterson, 2011), as the outlines are drawn in.
function project(map, longitude, latitude) {
  const l = (longitude * Math.PI) / 180;
  const p = (latitude * Math.PI) / 180;
  const p2 = p * p;
  const p4 = p2 * p2;
  const x = l * (0.8707 - 0.131979 * p2 + p4 * (-0.013791 + p4 * (0.003971 * p2 - 0.001529 * p4)));
  const y = p * (1.007226 + p2 * (0.015085 + p4 * (-0.044475 + 0.028874 * p2 - 0.005916 * p4)));
  return [map.width / 2 + map.scale * x, map.height / 2 - map.scale * y];
}

function placeOf(party) {
  if (typeof party.latitude === "number") return [party.longitude, party.latitude];
  const edge = party.edges.find((e) => e.basis === "place") || party.edges[0];
  const state = edge && page.report.states[edge.state];
  return state ? [state.longitude, state.latitude] : null;
}

// Bytes per island, over every class.
function bytesByIsland(now) {
  const bytes = new Map(now.facts.islands.map((p) => [p.id, 0]));
  for (const h of now.holdings) for (const id of h.islands) bytes.set(id, (bytes.get(id) || 0) + h.stored_bytes / h.code[0]);
  return bytes;
}

function mapMarks(now, map) {
  const bytes = bytesByIsland(now);
  const most = Math.max(1, ...bytes.values());
  const marks = [];
  const mark = (kind, party) => {
    const at = placeOf(party);
    if (!at) return;
    const [x, y] = project(map, ...at);
    const size = kind === "island" ? (most > 1 ? 5 + 9 * Math.sqrt(bytes.get(party.id) / most) : 8) : kind === "keyholder" ? 8 : 7;
    marks.push({ kind, party, x, y, size, lost: now.lost.has(`${kind}/${party.id}`), bytes: bytes.get(party.id) });
  };
  now.facts.islands.forEach((p) => mark("island", p));
  now.facts.keyholders.forEach((p) => mark("keyholder", p));
  now.facts.gateways.forEach((p) => mark("gateway", p));
  return marks;
}

// The part of the map that is shown: [left, top, width, height] in the map's units, `ratio` times as wide as high.
function mapFrame(map, marks, name, ratio) {
  if (name === "world" || (name === "islands" && !marks.length)) return [0, 20, map.width, map.height - 130];
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  const take = (x, y) => {
    [left, right] = [Math.min(left, x), Math.max(right, x)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
  };
  if (name === "europe") {
    const [west, south, east, north] = MAP_FRAMES.europe;
    for (const [x, y] of [[west, south], [west, north], [east, south], [east, north]]) take(...project(map, x, y));
  } else {
    for (const m of marks) take(m.x, m.y);
    [left, right, top, bottom] = [left - 90, right + 150, top - 50, bottom + 50];
  }
  let [width, height] = [right - left, bottom - top];
  if (width < ratio * height) [left, width] = [left - (ratio * height - width) / 2, ratio * height];
  else [top, height] = [top - (width / ratio - height) / 2, width / ratio];
  // Neither the sky over the Arctic nor the ice below is of interest.
  const [north, south] = [20, map.height - 110];
  if (height <= south - north) top = Math.min(Math.max(top, north), south - height);
  return [left, top, width, height];
}

// Marks at the same spot stand side by side; labels take the first place where nothing else is. All in pixels of the picture.
function settle(marks, frame, wide) {
  const scale = wide / frame[2];
  const high = frame[3] * scale;
  const spots = marks.map((m) => ({ ...m, px: (m.x - frame[0]) * scale, py: (m.y - frame[1]) * scale })).filter((m) => m.px >= 0 && m.px <= wide && m.py >= 0 && m.py <= high);
  for (const [i, spot] of spots.entries())
    for (let round = 0; round < 8; ++round) {
      const other = spots.slice(0, i).find((s) => Math.hypot(s.px - spot.px, s.py - spot.py) < (s.size + spot.size) * 0.75);
      if (!other) break;
      spot.px = other.px + other.size + spot.size;
    }
  const boxes = spots.map((s) => [s.px - s.size, s.py - s.size, s.px + s.size, s.py + s.size]);
  const hits = (box, self) => boxes.some((b, i) => i !== self && box[0] < b[2] && box[2] > b[0] && box[1] < b[3] && box[3] > b[1]) || box[0] < 2 || box[2] > wide - 2 || box[1] < 2 || box[3] > high - 2;
  for (const [i, spot] of spots.entries()) {
    const width = spot.party.id.length * 6.6 + 6;
    for (const distance of [4, 16, 30, 48, 70, 95]) {
      const reach = spot.size + distance;
      const tries = [[1, 0], [-1, 0], [0.8, -0.8], [0.8, 0.8], [-0.8, -0.8], [-0.8, 0.8], [0, -1], [0, 1]].map(([dx, dy]) => {
        const x = dx > 0 ? spot.px + reach * dx : dx < 0 ? spot.px + reach * dx - width : spot.px - width / 2;
        return [x, spot.py + reach * dy - 7, x + width, spot.py + reach * dy + 7];
      });
      const free = tries.find((box) => !hits(box, i));
      if (!free) continue;
      boxes.push(free);
      spot.label = free;
      break;
    }
  }
  return { spots, high, scale };
}

function shapeOf(spot) {
  const { px, py, size, kind } = spot;
  if (kind === "island") return svg("circle", { cx: px, cy: py, r: size, class: "island" });
  if (kind === "keyholder") return svg("circle", { cx: px, cy: py, r: size, class: "keyholder" });
  return svg("path", { d: `M${px} ${py - size}L${px + size} ${py}L${px} ${py + size}L${px - size} ${py}Z`, class: `gateway ${spot.party.plaintext ? "plaintext" : ""}` });
}

function markWords(spot) {
  const kind = spot.kind === "gateway" ? t(spot.party.plaintext ? "flow.gateway.plaintext" : "flow.gateway") : t(`kind.${spot.kind}`);
  const states = [...new Set(spot.party.edges.map((e) => e.state))].join(" ");
  const held = spot.kind === "island" && spot.bytes > 0 ? `, ${formatBytes(spot.bytes)}` : "";
  return `${spot.party.id} (${kind}${held}): ${states}${spot.lost ? ` – ${t("banned")}` : ""}`;
}

function drawMark(spot) {
  const out = [];
  if (spot.label) {
    const [x0, y0, x1, y1] = spot.label;
    const near = [Math.max(x0, Math.min(spot.px, x1)), Math.max(y0, Math.min(spot.py, y1))];
    if (Math.hypot(near[0] - spot.px, near[1] - spot.py) > spot.size + 8) out.push(svg("path", { d: `M${spot.px} ${spot.py}L${near[0]} ${near[1]}`, class: "leader" }));
    out.push(svg("text", { x: x0 + 3, y: y1 - 3 }, spot.party.id));
  }
  const cross = spot.size * 0.8;
  return svg("g", { class: `mark ${spot.lost ? "lost" : ""}` }, svg("title", {}, markWords(spot)), out, shapeOf(spot),
    spot.lost ? svg("path", { class: "cross", d: `M${spot.px - cross} ${spot.py - cross}L${spot.px + cross} ${spot.py + cross}M${spot.px + cross} ${spot.py - cross}L${spot.px - cross} ${spot.py + cross}` }) : null);
}

function renderMap(now) {
  const map = page.map;
  const marks = mapMarks(now, map);
  const wide = Math.max(300, Math.min(1180, by("map-body").clientWidth || 900));
  const narrow = wide < 600;
  const frame = mapFrame(map, marks, page.frame, narrow ? 1.15 : 2.2);
  if (narrow) marks.forEach((m) => (m.size *= 0.75));
  const { spots, high, scale } = settle(marks, frame, wide);
  const reached = new Set(now.facts.islands.flatMap((p) => p.edges.map((e) => e.state)));
  const ground = new Set(now.facts.islands.flatMap((p) => p.edges.filter((e) => e.basis === "place").map((e) => e.state)));
  const land = Object.entries(map.states).map(([code, d]) => svg("path", { d, class: ground.has(code) ? "land ground" : reached.has(code) ? "land reached" : "land" }));
  const transform = `scale(${scale.toFixed(5)}) translate(${(-frame[0]).toFixed(1)} ${(-frame[1]).toFixed(1)})`;
  const picture = svg("svg", { viewBox: `0 0 ${wide} ${high.toFixed(0)}`, class: "map", role: "img", "aria-label": t("map.words", { list: marks.map(markWords).join("; ") }) },
    svg("g", { transform, "stroke-width": (0.6 / scale).toFixed(2) }, land), spots.map(drawMark));
  const frames = ["islands", "europe", "world"].map((f) => el("button", { type: "button", id: `frame-${f}`, "aria-pressed": page.frame === f ? "true" : "false", onclick: () => { page.frame = f; renderMap(page.now); } }, t(`map.${f}`)));
  replace(by("map-body"), el("p", { class: "choices", role: "group", "aria-label": t("map.frame") }, frames), picture,
    el("p", { class: "legend" },
      el("span", {}, sample("island"), " ", t("map.island")), el("span", {}, sample("keyholder"), " ", t("map.keyholder")), el("span", {}, sample("gateway"), " ", t("map.gateway")),
      el("span", {}, svg("svg", { viewBox: "0 0 18 12", class: "swatch", "aria-hidden": "true" }, svg("rect", { width: 18, height: 12, class: "land ground" })), " ", t("map.ground")),
      el("span", {}, svg("svg", { viewBox: "0 0 18 12", class: "swatch", "aria-hidden": "true" }, svg("rect", { width: 18, height: 12, class: "land reached" })), " ", t("map.reached"))),
    el("details", {}, el("summary", {}, t("map.list")), el("ul", {}, marks.map((m) => el("li", {}, markWords(m))))));
}

function sample(kind) {
  return svg("svg", { viewBox: "0 0 16 16", class: "swatch", "aria-hidden": "true" }, shapeOf({ px: 8, py: 8, size: 6, kind, party: { plaintext: true } }));
}
