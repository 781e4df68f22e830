/** The display verbs of tslab, so that its notebooks run here: `import * as tslab from "tslab"`. */
import { HOST } from "./host.ts";

type Bytes = Uint8Array | ArrayBuffer | string;

interface Viewer {
  display(value: unknown, o?: { id?: string }): void;
  update(id: string, value: unknown): void;
}

const viewer = (): Viewer => {
  const host = (globalThis as { [HOST]?: Viewer })[HOST];
  if (!host) throw new Error("The tslab verbs show something only in a cell of the kernel.");
  return host;
};

const shown = (type: string, content: unknown) => ({ [Symbol.for("Jupyter.display")]: () => ({ [type]: content }) });

/** tslab takes base64 text or bytes for pictures. */
const base64 = (bytes: Bytes): string =>
  typeof bytes === "string"
    ? bytes
    : Buffer.from(bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes).toString("base64");

function verbs(show: (type: string, content: unknown) => void) {
  return {
    javascript: (s: string) => show("text/javascript", s),
    html: (s: string) => show("text/html", s),
    markdown: (s: string) => show("text/markdown", s),
    latex: (s: string) => show("text/latex", s),
    text: (s: string) => show("text/plain", s),
    svg: (b: Bytes) =>
      show("image/svg+xml", typeof b === "string" ? b : Buffer.from(base64(b), "base64").toString("utf8")),
    png: (b: Bytes) => show("image/png", base64(b)),
    jpeg: (b: Bytes) => show("image/jpeg", base64(b)),
    gif: (b: Bytes) => show("image/gif", base64(b)),
    pdf: (b: Bytes) => show("application/pdf", base64(b)),
    /** Any MIME type; JSON types take objects. */
    raw: (type: string, content: unknown) => show(type, content instanceof Uint8Array ? base64(content) : content),
  };
}

const now = verbs((type, content) => viewer().display(shown(type, content)));
export const { javascript, html, markdown, latex, text, svg, png, jpeg, gif, pdf, raw } = now;
export const display = now;

let next = 0;

/** A place on the page that each verb replaces. */
export function newDisplay() {
  const id = `tslab-${process.pid}-${next++}`;
  let first = true;
  return verbs((type, content) => {
    if (first) viewer().display(shown(type, content), { id });
    else viewer().update(id, shown(type, content));
    first = false;
  });
}
