/** The page's looks. Colours are variables, so that the dark set is only another set of them. */
export const STYLE = `
:root {
  --page: #ffffff; --ink: #1f2430; --faint: #6b7280; --line: #e3e6eb; --box: #f6f7f9; --link: #0b62c4;
  --keyword: #a626a4; --string: #3d7a1e; --number: #986801; --comment: #8a919e; --type: #0b7285; --call: #2457c5; --magic: #b35900;
  --error: #c3252b; --error-box: #fdf1f0; --warn-box: #fdf8ec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171d; --ink: #d9dde5; --faint: #8b93a1; --line: #2c313b; --box: #1c2028; --link: #6db3ff;
    --keyword: #d58cff; --string: #98c379; --number: #e0b06c; --comment: #707987; --type: #62c4d3; --call: #78a9ff; --magic: #f0a35e;
    --error: #ff7b7b; --error-box: #2b1a1c; --warn-box: #29241a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
section { margin: 1rem 0; }
h1, h2, h3 { line-height: 1.25; margin: 1.6em 0 .5em; }
h1:first-child { margin-top: 0; }
a { color: var(--link); }
pre, code, .count { font: 13.5px/1.5 ui-monospace, "DejaVu Sans Mono", "Noto Sans Mono", Menlo, Consolas, monospace; }
pre { margin: 0; overflow-x: auto; tab-size: 4; }
:not(pre) > code { background: var(--box); padding: .1em .3em; border-radius: 3px; }
.markdown pre { background: var(--box); padding: .7rem .9rem; border-radius: 5px; }
blockquote { margin: 1em 0; padding: 0 1em; border-left: 3px solid var(--line); color: var(--faint); }
.code { position: relative; }
.count { position: absolute; right: 100%; top: .65rem; margin-right: .6rem; color: var(--faint); white-space: pre; }
.source { background: var(--box); border: 1px solid var(--line); border-radius: 5px; padding: .6rem .9rem; }
.outputs { padding: .5rem .9rem 0; }
.outputs > * + * { margin-top: .5rem; }
.outputs img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.stderr { background: var(--warn-box); padding: .4rem .6rem; border-radius: 4px; }
.error { background: var(--error-box); border-left: 3px solid var(--error); padding: .5rem .7rem; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th { color: var(--faint); font-weight: 600; }
.markdown th, .markdown td { text-align: left; }
.html { overflow-x: auto; }
.hl-keyword { color: var(--keyword); } .hl-string { color: var(--string); } .hl-number { color: var(--number); } .hl-comment { color: var(--comment); font-style: italic; }
.hl-type { color: var(--type); } .hl-call { color: var(--call); } .hl-magic { color: var(--magic); }
.ansi-bold { font-weight: 700; } .ansi-dim { opacity: .65; } .ansi-italic { font-style: italic; } .ansi-underline { text-decoration: underline; } .ansi-strike { text-decoration: line-through; }
.ansi-inverse { filter: invert(1); }
.ansi-fg-black { color: var(--faint); } .ansi-fg-red, .ansi-fg-bright-red { color: var(--error); } .ansi-fg-green, .ansi-fg-bright-green { color: var(--string); } .ansi-fg-yellow, .ansi-fg-bright-yellow { color: var(--number); }
.ansi-fg-blue, .ansi-fg-bright-blue { color: var(--call); } .ansi-fg-magenta, .ansi-fg-bright-magenta { color: var(--keyword); } .ansi-fg-cyan, .ansi-fg-bright-cyan { color: var(--type); }
.ansi-fg-white, .ansi-fg-bright-white { color: var(--ink); } .ansi-fg-bright-black { color: var(--comment); }
.ansi-bg-red, .ansi-bg-bright-red { background: #c3252b55; } .ansi-bg-green, .ansi-bg-bright-green { background: #3d7a1e55; } .ansi-bg-yellow, .ansi-bg-bright-yellow { background: #98680155; }
.ansi-bg-blue, .ansi-bg-bright-blue { background: #2457c555; } .ansi-bg-magenta, .ansi-bg-bright-magenta { background: #a626a455; } .ansi-bg-cyan, .ansi-bg-bright-cyan { background: #0b728555; }
.ansi-bg-black, .ansi-bg-bright-black { background: #00000033; } .ansi-bg-white, .ansi-bg-bright-white { background: #ffffff33; }
@media (max-width: 68rem) { .count { position: static; margin: 0 0 .15rem; } }
@media print { .source, .markdown pre { white-space: pre-wrap; } }
`;
