import { FAMILY, fontFiles } from "./font.ts";
import { withDensity } from "./pixels.ts";

/** Draws an SVG document at twice its size, with the bundled fonts only. */
export async function toPNG(svg: string): Promise<Uint8Array> {
  const { Resvg } = await import("@resvg/resvg-js");
  const image = new Resvg(svg, {
    fitTo: { mode: "zoom", value: 2 },
    font: { fontFiles: fontFiles(), loadSystemFonts: false, defaultFontFamily: FAMILY },
  }).render();
  return withDensity(image.asPng(), 2);
}
