import { createRequire } from "node:module";
import { notInstalled } from "../errors.ts";
import type { MimeBundle } from "../host.ts";
import { FAMILY, fontFiles } from "./font.ts";
import { withDensity } from "./pixels.ts";

type Resvg = typeof import("@resvg/resvg-js").Resvg;
const PACKAGE = "@resvg/resvg-js";
let resvg: Resvg | undefined;

/** Undefined where it is not part of the installation: the pack for servers does without. */
function rasteriser(): Resvg | undefined {
  if (resvg) return resvg;
  const require = createRequire(import.meta.url);
  try {
    require.resolve(PACKAGE);
  } catch {
    return undefined;
  }
  return (resvg = (require(PACKAGE) as { Resvg: Resvg }).Resvg);
}

/**
 * Draws an SVG document at twice its size, with the bundled fonts only. At once, not as a promise: what a cell displays must keep its
 * place among what it prints. The rasteriser is loaded when first needed.
 */
export function toPNG(svg: string): Uint8Array {
  const Resvg = rasteriser();
  if (!Resvg) throw notInstalled(PACKAGE, "PNG", "toSVG() draws the same");
  const image = new Resvg(svg, {
    fitTo: { mode: "zoom", value: 2 },
    font: { fontFiles: fontFiles(), loadSystemFonts: false, defaultFontFamily: FAMILY },
  }).render();
  return withDensity(image.asPng(), 2);
}

const toBase64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");

/** A picture as an output holds it: PNG, which every reader of notebooks shows; the SVG itself where there is no rasteriser. */
export const picture = (svg: string): MimeBundle =>
  rasteriser() ? { "image/png": toBase64(toPNG(svg)) } : { "image/svg+xml": svg };
