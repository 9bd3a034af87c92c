import type { FlameData } from './flame-data.ts';
import { FLAME_SCRIPT } from './flame-script.ts';
import { FLAME_STYLE } from './flame-style.ts';

/**
 * A page that shows a flame graph by itself: no network, one file.
 *
 * Shape: HTML. What samples bear is data in it, never markup.
 */
export function flamePage(data: FlameData): string {
  // JSON within a script element: what could end the element is written as an escape.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeHtml(data.title)}</title>
<style>${FLAME_STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(data.title)}</h1>
<form>
<label>Span <select id="span"></select></label>
<label>Search <input id="search" type="search" placeholder="function or file" autocomplete="off"></label>
<button id="reset" type="button">Show all</button>
<output id="found"></output>
</form>
<p id="legend"></p>
</header>
<main><div id="graph" role="tree" aria-label="Flame graph"></div></main>
<footer>
<p id="detail" aria-live="polite"></p>
<p>Click or Enter: zoom. Arrows: move. Escape or 0: show all. /: search.</p>
</footer>
<script type="application/json" id="data">${json}</script>
<script>${FLAME_SCRIPT}</script>
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  const names: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replaceAll(/[&<>"]/g, (char) => names[char] ?? char);
}
