/** A notebook as one self-contained page: nothing is fetched, nothing runs, light and dark follow the reader's system. */
import { marked } from "marked";
import type { MimeBundle } from "../../display/mime.ts";
import type { Notebook, NotebookCell, NotebookOutput } from "../notebook.ts";
import { ansiToHtml } from "./ansi.ts";
import { highlight } from "./highlight.ts";
import { escapeHtml, sanitizeHtml } from "./sanitize.ts";
import { STYLE } from "./style.ts";

export function notebookPage(notebook: Notebook, title: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(heading(notebook) ?? title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${notebook.cells.map(cellHtml).join("\n")}
</main>
</body>
</html>
`;
}

/** The first heading of the first markdown cell that has one. */
function heading(notebook: Notebook): string | null {
  for (const { cell_type, source } of notebook.cells) {
    const found = cell_type === "markdown" && /^#+ +(.+)$/m.exec(source);
    if (found) return found[1].replace(/[*_`]/g, "");
  }
  return null;
}

function cellHtml(cell: NotebookCell): string {
  if (cell.cell_type === "markdown") return `<section class="markdown">${markdown(cell.source)}</section>`;
  if (cell.cell_type === "raw") return `<section><pre class="raw">${escapeHtml(cell.source)}</pre></section>`;
  if (!cell.source.trim() && !cell.outputs?.length) return "";
  const outputs = (cell.outputs ?? []).map(outputHtml).join("\n");
  return `<section class="code" id="cell-${escapeHtml(cell.id)}">
<div class="count">[${cell.execution_count ?? " "}]</div>
<pre class="source"><code>${highlight(cell.source)}</code></pre>
${outputs && `<div class="outputs">${outputs}</div>`}</section>`;
}

const markdown = (source: string): string => sanitizeHtml(marked.parse(source, { async: false, gfm: true }));

function outputHtml(output: NotebookOutput): string {
  switch (output.output_type) {
    case "stream":
      return `<pre class="stream ${output.name === "stderr" ? "stderr" : "stdout"}">${ansiToHtml(output.text)}</pre>`;
    case "error":
      return `<pre class="error">${ansiToHtml(output.traceback.length ? output.traceback.join("\n") : `${output.ename}: ${output.evalue}`)}</pre>`;
    default:
      return bundleHtml(output.data, output.metadata ?? {});
  }
}

/** The richest form that can be shown without running anything. */
function bundleHtml(data: MimeBundle, metadata: MimeBundle): string {
  const get = (type: string): string | null => (typeof data[type] === "string" ? (data[type] as string) : null);
  const html = get("text/html");
  // Widgets and figures whose HTML is only a script leave nothing: then the next form is better.
  const clean = html === null ? "" : sanitizeHtml(html);
  if (/<img|[^\s<>](?=[^<>]*(?:<|$))/.test(clean.replace(/<(?!img)[^>]*>/g, "")))
    return `<div class="html">${clean}</div>`;
  const svg = get("image/svg+xml");
  // As an image: scripts inside an SVG do not run there.
  if (svg) return picture("image/svg+xml", Buffer.from(svg).toString("base64"), data, metadata);
  for (const type of ["image/png", "image/jpeg", "image/gif", "image/webp"]) {
    const bytes = get(type);
    if (bytes) return picture(type, bytes.replace(/\s/g, ""), data, metadata);
  }
  const md = get("text/markdown");
  if (md) return `<div class="markdown">${markdown(md)}</div>`;
  const plain = get("text/plain");
  if (plain !== null) return `<pre class="result">${ansiToHtml(plain)}</pre>`;
  if ("application/json" in data)
    return `<pre class="result">${escapeHtml(JSON.stringify(data["application/json"], null, 2))}</pre>`;
  return `<pre class="result">${escapeHtml(`[${Object.keys(data).join(", ")}]`)}</pre>`;
}

function picture(type: string, base64: string, data: MimeBundle, metadata: MimeBundle): string {
  const size = (metadata[type] ?? metadata) as { width?: unknown; height?: unknown };
  const number = (key: "width" | "height") => (typeof size[key] === "number" ? ` ${key}="${size[key]}"` : "");
  const words =
    typeof data["text/plain"] === "string" ? (data["text/plain"] as string).split("\n")[0].slice(0, 200) : "output";
  return `<img src="data:${type};base64,${/^[A-Za-z0-9+/=]*$/.test(base64) ? base64 : ""}" alt="${escapeHtml(words)}"${number("width")}${number("height")}>`;
}
