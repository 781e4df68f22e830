/**
 * HTML of outputs and markdown, made harmless: every tag is written anew from a list of allowed names and attributes, everything else is text or gone.
 * Nothing of the input reaches the page unescaped, so what the list forgets is lost, not dangerous.
 */
const TAGS = new Set(
  `a abbr b blockquote br caption center cite code col colgroup dd del details dfn div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark
   math ol p pre q rp rt ruby s samp small span strong sub summary sup table tbody td tfoot th thead tr tt u ul var wbr`.split(
    /\s+/,
  ),
);
const VOID = new Set(["br", "col", "hr", "img", "wbr"]);
/** Their content is not text for people. */
const SILENT = new Set([
  "script",
  "style",
  "template",
  "noscript",
  "iframe",
  "object",
  "embed",
  "svg",
  "title",
  "head",
  "textarea",
  "select",
  "xmp",
]);
const ATTRIBUTES = new Set([
  "align",
  "alt",
  "class",
  "colspan",
  "dir",
  "height",
  "href",
  "lang",
  "open",
  "rowspan",
  "scope",
  "span",
  "src",
  "start",
  "style",
  "title",
  "valign",
  "width",
]);
const STYLES =
  /^(?:color|background(?:-color)?|font(?:-(?:family|size|style|weight|variant))?|text-(?:align|decoration|indent|transform)|line-height|letter-spacing|white-space|vertical-align|(?:max-|min-)?(?:width|height)|(?:margin|padding)(?:-(?:top|right|bottom|left))?|border(?:-(?:top|right|bottom|left))?(?:-(?:color|style|width|radius))?|border-(?:collapse|spacing)|box-shadow|opacity|display|flex(?:-(?:wrap|direction|grow|shrink|basis))?|gap|justify-content|align-items|overflow(?:-[xy])?)$/;

const TOKEN = /<!--[\s\S]*?(?:-->|$)|<!?\/?([a-zA-Z][^\s/>]*)((?:"[^"]*"|'[^']*'|[^'">])*)>/g;
const ATTRIBUTE = /([^\s=/"'>]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g;

export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

/** Keeps the input's entities (`&lt;`), escapes all that could open a tag. */
const text = (raw: string): string =>
  raw
    .replace(/&(?!#?\w+;)/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;");

export function sanitizeHtml(html: string): string {
  let out = "";
  const open: string[] = [];
  let silent: string | null = null;
  let end = 0;
  for (const match of html.matchAll(TOKEN)) {
    if (!silent) out += text(html.slice(end, match.index));
    end = match.index + match[0].length;
    const name = match[1]?.toLowerCase();
    if (!name) continue;
    const closing = match[0].startsWith("</");
    if (silent) {
      if (closing && name === silent) silent = null;
    } else if (SILENT.has(name)) {
      if (!closing && !match[2].endsWith("/")) silent = name;
    } else if (TAGS.has(name)) {
      if (!closing) {
        out += `<${name}${attributes(name, match[2])}>`;
        if (!VOID.has(name)) open.push(name);
      } else if (open.includes(name)) {
        // What was left open inside ends with it.
        for (let inner = open.pop(); inner; inner = inner === name ? undefined : open.pop()) out += `</${inner}>`;
      }
    }
  }
  if (!silent) out += text(html.slice(end));
  while (open.length) out += `</${open.pop()}>`;
  return out;
}

function attributes(tag: string, raw: string): string {
  let out = "";
  const seen = new Set<string>();
  for (const [, key, double, single, bare] of raw.matchAll(ATTRIBUTE)) {
    const name = key.toLowerCase();
    if (!ATTRIBUTES.has(name) || seen.has(name)) continue;
    seen.add(name);
    const value = decoded(double ?? single ?? bare ?? "");
    const safe =
      name === "style" ? styles(value) : name === "href" ? link(value) : name === "src" ? image(tag, value) : value;
    if (safe !== null) out += ` ${name}="${escapeHtml(safe)}"`;
  }
  return out;
}

/** A browser decodes entities before it looks at a scheme, so we do. */
function decoded(value: string): string {
  return value.replace(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos|colon|tab|newline));?/gi,
    (_, decimal, hex, name) => {
      if (name)
        return { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", colon: ":", tab: "\t", newline: "\n" }[
          (name as string).toLowerCase()
        ]!;
      const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "";
    },
  );
}

function link(value: string): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: browsers skip them in a scheme
  const bare = value.replace(/[\u0000-\u0020]/g, "");
  return /^(?:https?:|mailto:|#)/i.test(bare) || !/^[^/?#]*:/.test(bare) ? value : null;
}

/** The page must hold all it shows: no picture is fetched from elsewhere. */
function image(tag: string, value: string): string | null {
  return tag === "img" && /^data:image\/(?:png|jpeg|gif|webp|svg\+xml)[;,]/i.test(value) ? value : null;
}

function styles(value: string): string | null {
  const kept = value
    .split(";")
    .map((rule) => /^\s*([a-z-]+)\s*:\s*(.+?)\s*$/i.exec(rule))
    .filter(
      (rule) => rule && STYLES.test(rule[1].toLowerCase()) && !/[\\<>@]|url|expression|javascript|\/\*/i.test(rule[2]),
    )
    .map((rule) => `${rule![1].toLowerCase()}:${rule![2]}`);
  return kept.length ? kept.join(";") : null;
}
