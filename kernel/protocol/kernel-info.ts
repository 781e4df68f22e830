/** What the kernel says of itself. */
import { readFileSync } from "node:fs";
import type { KernelMessage } from "@jupyterlab/services";
import { type Content, PROTOCOL_VERSION } from "./message.ts";

const { version, dependencies } = JSON.parse(readFileSync(findPackage(), "utf8"));

export const kernelInfo = (): Content<KernelMessage.IInfoReplyMsg> & { supported_features: string[] } => ({
  status: "ok",
  protocol_version: PROTOCOL_VERSION,
  implementation: "moescope",
  implementation_version: version,
  language_info: {
    name: "typescript",
    version: dependencies.typescript,
    mimetype: "text/typescript",
    file_extension: ".ts",
    pygments_lexer: "typescript",
    codemirror_mode: { name: "javascript", typescript: true } as never,
    nbconvert_exporter: "script",
  },
  banner: `Moescope ${version} · TypeScript on Node ${process.versions.node}`,
  help_links: [{ text: "TypeScript", url: "https://www.typescriptlang.org/docs/" }],
  supported_features: [],
});

/** package.json is above both the sources and dist/. */
function findPackage(): URL {
  for (const up of ["../../package.json", "../../../package.json"]) {
    const url = new URL(up, import.meta.url);
    try {
      if (JSON.parse(readFileSync(url, "utf8")).name === "moescope") return url;
    } catch {}
  }
  throw new Error("package.json of moescope is not where this installation should have it. Install it again.");
}
