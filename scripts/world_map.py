#!/usr/bin/env python3
"""Makes data/world-map.json, the outlines of states that the exposure report draws, from Natural Earth's public-domain shapes.

  npm install world-atlas@2.0.2 i18n-iso-countries@7.14.0          # anywhere but here
  scripts/world_map.py node_modules/world-atlas node_modules/i18n-iso-countries > data/world-map.json
  … --middles                                                      # code,latitude,longitude of every state, for data/states.csv

The shapes are those of the 1:110m map, in the Natural Earth projection, as SVG paths in whole units of a picture WIDTH wide. What has no code of
ISO 3166-1 there (disputed ground) is drawn under "other". The middle of a state is the centroid of its largest piece on the 1:50m map.
"""
import argparse
import csv
import json
import math
import pathlib
import sys

WIDTH = 2000
SMALLEST = 3.0  # square units: pieces below are left out, unless a state has nothing else
LEFT_OUT = {"AQ"}


def arcs_of(topology):
    """Decodes the arcs: quantised steps become pairs of degrees."""
    (scale_x, scale_y), (move_x, move_y) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for step_x, step_y in arc:
            x, y = x + step_x, y + step_y
            points.append((x * scale_x + move_x, y * scale_y + move_y))
        arcs.append(points)
    return arcs


def rings_of(geometry, arcs):
    """The outer rings of a geometry; lakes and enclaves are drawn over it."""
    polygons = {"Polygon": [geometry.get("arcs")], "MultiPolygon": geometry.get("arcs")}.get(geometry["type"], [])
    for polygon in polygons:
        ring = []
        for index in polygon[0]:
            points = arcs[index] if index >= 0 else arcs[~index][::-1]
            ring += points[1:] if ring else points
        yield ring


def unwrapped(ring):
    """Without the jump from 180 to -180 of a ring that crosses that line: longitudes run on beyond it."""
    out, turn = [], 0
    for longitude, latitude in ring:
        if out and abs(longitude + turn - out[-1][0]) > 180:
            turn += 360 if longitude + turn < out[-1][0] else -360
        out.append((longitude + turn, latitude))
    return out


def half_plane(ring, edge, keep):
    """What of a closed ring lies on one side of a meridian (Sutherland and Hodgman)."""
    out = []
    for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1]):
        if keep(x1):
            out.append((x1, y1))
        if keep(x1) != keep(x2):
            out.append((edge, y1 + (y2 - y1) * (edge - x1) / (x2 - x1)))
    return out


def pieces(ring):
    """The ring cut at the edges of the map, each piece within -180 to 180."""
    for turn in (-360, 0, 360):
        piece = [(x + turn, y) for x, y in unwrapped(ring)]
        piece = half_plane(half_plane(piece, -180, lambda x: x >= -180), 180, lambda x: x <= 180) if piece else []
        if len(piece) > 2:
            yield piece


def project(longitude, latitude):
    """The Natural Earth projection (Šavrič, Jenny, Patterson, 2011), in units of the sphere's radius."""
    l, p = math.radians(longitude), math.radians(latitude)
    p2 = p * p
    p4 = p2 * p2
    return (l * (0.8707 - 0.131979 * p2 + p4 * (-0.013791 + p4 * (0.003971 * p2 - 0.001529 * p4))),
            p * (1.007226 + p2 * (0.015085 + p4 * (-0.044475 + 0.028874 * p2 - 0.005916 * p4))))


def area(ring):
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1]))) / 2


def centroid(ring):
    twice = x = y = 0.0
    for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1]):
        cross = x1 * y2 - x2 * y1
        twice, x, y = twice + cross, x + (x1 + x2) * cross, y + (y1 + y2) * cross
    return (x / (3 * twice), y / (3 * twice)) if twice else ring[0]


def path_of(ring):
    """An SVG path of whole, relative steps; steps that go nowhere are left out."""
    steps, at = [], ring[0]
    for point in ring[1:]:
        step = (point[0] - at[0], point[1] - at[1])
        if step == (0, 0):
            continue
        steps.append(f"{step[0]}" + (f",{step[1]}" if step[1] >= 0 else f"{step[1]}"))
        at = point
    return f"M{ring[0][0]},{ring[0][1]}l{' '.join(steps)}z".replace(" -", "-")


def named(topology, codes):
    for geometry in topology["objects"]["countries"]["geometries"]:
        yield codes.get(str(geometry.get("id", "")).zfill(3), "other"), geometry


def outlines(topology, codes):
    scale = WIDTH / (2 * project(180, 0)[0])
    height = math.ceil(2 * project(0, 90)[1] * scale)
    arcs = arcs_of(topology)
    states = {}
    for code, geometry in named(topology, codes):
        if code in LEFT_OUT:
            continue
        rings = []
        for ring in (piece for whole in rings_of(geometry, arcs) for piece in pieces(whole)):
            flat = [project(*point) for point in ring]
            rings.append([(round(WIDTH / 2 + x * scale), round(height / 2 - y * scale)) for x, y in flat])
        rings.sort(key=area, reverse=True)
        drawn = [ring for ring in rings if area(ring) >= SMALLEST] or rings[:1]
        states[code] = states.get(code, "") + "".join(path_of(ring) for ring in drawn)
    return {"form": "archipel-map/1", "projection": "natural-earth", "width": WIDTH, "height": height, "scale": round(scale, 4),
            "source": "Natural Earth 1:110m, public domain", "states": dict(sorted(states.items()))}


def middles(topology, codes):
    best = {}
    arcs = arcs_of(topology)
    for code, geometry in named(topology, codes):
        for ring in rings_of(geometry, arcs):
            ring = unwrapped(ring)
            best[code] = max(best.get(code, (0, None)), (area(ring), centroid(ring)))
    return {code: middle for code, (_, middle) in sorted(best.items()) if code != "other"}


def numeric_codes(package):
    """ISO's numbers to letters, as the package i18n-iso-countries lists them."""
    rows = json.loads((package / "codes.json").read_text())
    return {row[2]: row[0] for row in rows if row[0] != "XK"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=pathlib.Path, help="the unpacked npm package world-atlas")
    parser.add_argument("codes", type=pathlib.Path, help="the unpacked npm package i18n-iso-countries: which number is which code")
    parser.add_argument("--middles", action="store_true", help="print the middles of states instead")
    options = parser.parse_args()
    codes = numeric_codes(options.codes)
    if options.middles:
        topology = json.loads((options.package / "countries-50m.json").read_text())
        writer = csv.writer(sys.stdout, lineterminator="\n")
        for code, (longitude, latitude) in middles(topology, codes).items():
            writer.writerow([code, f"{latitude:.2f}", f"{(longitude + 180) % 360 - 180:.2f}"])
        return
    topology = json.loads((options.package / "countries-110m.json").read_text())
    json.dump(outlines(topology, codes), sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
