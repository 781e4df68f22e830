/** The first lines: what this is and the keys one would not guess. */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

export function banner(color: boolean): string {
  const { version } = require("../../../../package.json") as { version: string };
  const typescript = (require("typescript/package.json") as { version: string }).version;
  const dim = (text: string): string => (color ? `\x1b[2m${text}\x1b[0m` : text);
  return `Moescope ${version}, TypeScript ${typescript}, Node ${process.versions.node}\n${dim("Tab completes, Alt-h explains, Ctrl-R searches, % lists commands, Ctrl-D ends")}\n`;
}
