import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The faces that pictures are set in, bundled so that they look the same on every machine. */
export const FAMILY = "DejaVu Sans";
export const MONO = "DejaVu Sans Mono";

const folder = (): string =>
  join(dirname(createRequire(import.meta.url).resolve("dejavu-fonts-ttf/package.json")), "ttf");
const FILES = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf"] as const;
export const fontFiles = (): string[] => FILES.map((file) => join(folder(), file));

/** Widths and coverage of a face, read from its TrueType tables (`cmap` formats 4 and 12, `hmtx`). */
export interface Face {
  has(codePoint: number): boolean;
  /** Width of the text at 1 px size. */
  width(text: string): number;
}

const faces = new Map<string, Face>();

export function face(which: "regular" | "bold" | "mono"): Face {
  const file = FILES[which === "regular" ? 0 : which === "bold" ? 1 : 2];
  let f = faces.get(file);
  if (!f) faces.set(file, (f = readFace(readFileSync(join(folder(), file)))));
  return f;
}

function readFace(file: Buffer): Face {
  const tables = new Map<string, number>();
  for (let i = 0, at = 12; i < file.readUInt16BE(4); i++, at += 16)
    tables.set(file.toString("latin1", at, at + 4), file.readUInt32BE(at + 8));
  const unitsPerEm = file.readUInt16BE(tables.get("head")! + 18);
  const metrics = file.readUInt16BE(tables.get("hhea")! + 34);
  const hmtx = tables.get("hmtx")!;
  const glyphOf = readCmap(file, tables.get("cmap")!);
  const advance = (glyph: number): number => file.readUInt16BE(hmtx + 4 * Math.min(glyph, metrics - 1)) / unitsPerEm;
  const missing = advance(0);
  return {
    has: (c) => glyphOf(c) !== 0,
    width(text) {
      let w = 0;
      for (const ch of text) {
        const glyph = glyphOf(ch.codePointAt(0)!);
        w += glyph === 0 ? missing : advance(glyph);
      }
      return w;
    },
  };
}

function readCmap(file: Buffer, cmap: number): (codePoint: number) => number {
  let [best, format] = [0, 0];
  for (let i = 0; i < file.readUInt16BE(cmap + 2); i++) {
    const at = cmap + file.readUInt32BE(cmap + 4 + 8 * i + 4);
    const f = file.readUInt16BE(at);
    if ((f === 4 && format === 0) || f === 12) [best, format] = [at, f];
  }
  const known = new Map<number, number>();
  const find = format === 12 ? (c: number) => groupOf(file, best, c) : (c: number) => segmentOf(file, best, c);
  return (c) => {
    let g = known.get(c);
    if (g === undefined) known.set(c, (g = find(c)));
    return g;
  };
}

function groupOf(file: Buffer, at: number, c: number): number {
  let [lo, hi] = [0, file.readUInt32BE(at + 12) - 1];
  while (lo <= hi) {
    const mid = (lo + hi) >> 1;
    const group = at + 16 + 12 * mid;
    if (c < file.readUInt32BE(group)) hi = mid - 1;
    else if (c > file.readUInt32BE(group + 4)) lo = mid + 1;
    else return file.readUInt32BE(group + 8) + c - file.readUInt32BE(group);
  }
  return 0;
}

function segmentOf(file: Buffer, at: number, c: number): number {
  if (c > 0xffff) return 0;
  const twice = file.readUInt16BE(at + 6);
  const [ends, starts] = [at + 14, at + 16 + twice];
  for (let i = 0; i < twice; i += 2) {
    if (c > file.readUInt16BE(ends + i)) continue;
    const start = file.readUInt16BE(starts + i);
    if (c < start) return 0;
    const delta = file.readInt16BE(starts + twice + i);
    const offset = file.readUInt16BE(starts + 2 * twice + i);
    if (offset === 0) return (c + delta) & 0xffff;
    const glyph = file.readUInt16BE(starts + 2 * twice + i + offset + 2 * (c - start));
    return glyph === 0 ? 0 : (glyph + delta) & 0xffff;
  }
  return 0;
}

/** Characters that the face cannot draw become a hollow box, so that nothing shifts. */
export function drawable(text: string, which: "regular" | "bold" | "mono" = "regular"): string {
  const f = face(which);
  let out = "";
  for (const ch of text) out += f.has(ch.codePointAt(0)!) ? ch : "□";
  return out;
}
