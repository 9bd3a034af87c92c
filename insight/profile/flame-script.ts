/**
 * What the page does, for browsers: plain JavaScript, which is not checked here but in test/profile/flame.test.ts.
 *
 * A node is [name, value, before, below], as flame-data.ts says; only what is wide enough to be seen is drawn.
 */
export const FLAME_SCRIPT = `
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const byId = (id) => document.getElementById(id);
const graph = byId('graph'), detail = byId('detail'), found = byId('found'), spans = byId('span'), search = byId('search');
const ROW = 19, NARROWEST = 0.3;
const ofSpan = (name) => { let h = 0; for (const c of name) h = (h * 31 + c.codePointAt(0)) % 360; return h; };
const nameOf = (node) => node.label ?? data.names[node.name] ?? '';
const fileOf = (node) => node.label === undefined ? data.files[node.name] ?? '' : '';

// Everything, as objects that know what is around them: the whole, then spans, then their calls.
const grown = ([name, value, before, below], parent, span, label) => {
  const node = { name, value, before, parent, span, label };
  node.below = below.map((one) => grown(one, node, span));
  return node;
};
const whole = { label: 'everything', span: '', below: [] };
whole.below = data.trees.map(({ span, root }) => grown(root, whole, span, span));
whole.value = whole.below.reduce((sum, { value }) => sum + value, 0);
whole.before = whole.below.reduce((sum, { before }) => sum + before, 0);
whole.below.sort((a, b) => b.value - a.value);

let zoomed = whole, wanted = '', shown = [];

const amount = (value) => {
  if (data.isDiff) return (value / 100000).toFixed(2) + ' %';
  const [names, step] = data.unit === 'nanoseconds' ? [['ns', 'µs', 'ms', 's'], 1000]
    : data.unit === 'bytes' ? [['B', 'KiB', 'MiB', 'GiB'], 1024] : [['', 'k', 'M', 'G'], 1000];
  let at = 0;
  while (value >= step && at < names.length - 1) { value /= step; at++; }
  return value.toFixed(value < 10 && at > 0 ? 2 : 0) + ' ' + names[at];
};
const said = (node) => {
  const own = node.value - node.below.reduce((sum, { value }) => sum + value, 0);
  const share = whole.value ? (node.value / whole.value * 100).toFixed(2) + ' %' : '';
  const file = fileOf(node);
  const what = nameOf(node) + (file ? ' (' + file + ')' : '') + (node.span && !node.label ? ' in ' + node.span : '');
  if (data.isDiff) return what + ': ' + amount(node.before) + ' before, ' + amount(node.value) + ' now';
  return what + ': ' + amount(node.value) + ', ' + share + '; itself ' + amount(own);
};
const colour = (node) => {
  if (node === whole) return '#b9bec9';
  if (!data.isDiff) {
    if (node.label === '(none)' || node.span === '(none)') return 'hsl(220 8% ' + (node.label ? 66 : 76) + '%)';
    return 'hsl(' + ofSpan(node.span) + ' 62% ' + (node.label ? 62 : 70 + (node.name * 7) % 12) + '%)';
  }
  const change = (node.value - node.before) / Math.max(node.value, node.before, 1);
  const strength = Math.min(1, Math.abs(change)) * Math.min(1, Math.abs(node.value - node.before) / 20000 + 0.15);
  return 'hsl(' + (change > 0 ? 4 : 214) + ' ' + Math.round(75 * strength) + '% ' + Math.round(84 - 22 * strength) + '%)';
};
const isHit = (node) => wanted !== '' && (nameOf(node) + ' ' + fileOf(node)).toLowerCase().includes(wanted);

function draw() {
  const width = graph.clientWidth || 800;
  shown = [];
  graph.replaceChildren();
  let depth = 0;
  const around = [];
  for (let at = zoomed.parent; at; at = at.parent) around.unshift(at);
  for (const node of around) put(node, 0, width, depth++, true);
  let deepest = depth;
  const place = (node, left, wide, row) => {
    if (wide < NARROWEST) return;
    put(node, left, wide, row, false);
    deepest = Math.max(deepest, row);
    // In a diff what has gone has no width now: it is as narrow as it is.
    const scale = node.value ? wide / node.value : 0;
    let at = left;
    for (const one of node.below) { place(one, at, one.value * scale, row + 1); at += one.value * scale; }
  };
  place(zoomed, 0, width, depth);
  graph.style.height = (deepest + 1) * ROW + 'px';
  graph.classList.toggle('searching', wanted !== '');
  found.textContent = wanted === '' ? '' : amount(hits(zoomed)) + ' of ' + amount(zoomed.value);
  const first = shown.find(({ node }) => node === zoomed);
  if (first) first.element.tabIndex = 0;
}
/** Of the outermost ones that are meant: what they call is in them. */
function hits(node) {
  return isHit(node) ? node.value : node.below.reduce((sum, one) => sum + hits(one), 0);
}
function put(node, left, wide, row, isAbove) {
  const element = document.createElement('div');
  element.style.cssText = 'left:' + left + 'px;width:' + wide + 'px;top:' + row * ROW + 'px;background:' + colour(node);
  element.textContent = wide > 24 ? nameOf(node) : '';
  element.title = said(node);
  element.classList.toggle('named', wide > 24);
  element.tabIndex = -1;
  element.setAttribute('role', 'treeitem');
  element.setAttribute('aria-label', said(node));
  element.setAttribute('aria-level', String(row + 1));
  if (isAbove) element.classList.add('above');
  if (isHit(node)) element.classList.add('hit');
  const item = { node, element, left, wide, row };
  element.addEventListener('click', () => zoom(node));
  element.addEventListener('focus', () => { detail.textContent = said(node); });
  element.addEventListener('mouseenter', () => { detail.textContent = said(node); });
  element.addEventListener('keydown', (event) => move(event, item));
  graph.append(element);
  shown.push(item);
}
function zoom(node) {
  zoomed = node;
  draw();
  shown.find((item) => item.node === node)?.element.focus();
}
function move(event, from) {
  const beside = (ways) => shown.filter(({ row }) => row === from.row)
    .filter(({ left }) => ways > 0 ? left > from.left : left < from.left)
    .sort((a, b) => ways * (a.left - b.left))[0];
  const to = {
    ArrowUp: () => shown.find(({ node }) => node === from.node.parent),
    ArrowDown: () => shown.find(({ node }) => node.parent === from.node),
    ArrowLeft: () => beside(-1),
    ArrowRight: () => beside(1),
  }[event.key];
  if (to) { event.preventDefault(); to()?.element.focus(); }
  else if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); zoom(from.node); }
}
function showAll() {
  spans.value = '';
  search.value = wanted = '';
  zoom(whole);
}
spans.append(new Option('all spans', ''), ...whole.below.map(({ label, value }) => new Option(label + ' (' + amount(value) + ')', label)));
spans.addEventListener('change', () => {
  zoomed = whole.below.find(({ label }) => label === spans.value) ?? whole;
  draw();
});
search.addEventListener('input', () => { wanted = search.value.trim().toLowerCase(); draw(); });
byId('reset').addEventListener('click', showAll);
document.querySelector('form').addEventListener('submit', (event) => event.preventDefault());
document.addEventListener('keydown', (event) => {
  const isTyping = event.target === search;
  if (event.key === 'Escape' || (event.key === '0' && !isTyping)) showAll();
  else if (event.key === '/' && !isTyping) { event.preventDefault(); search.focus(); }
});
const legend = data.isDiff ? [['hsl(4 75% 62%)', 'takes a larger share now'], ['hsl(214 75% 62%)', 'takes a smaller share now']]
  : whole.below.slice(0, 12).map((node) => [colour(node), nameOf(node)]);
for (const [background, text] of legend) {
  const item = document.createElement('span'), patch = document.createElement('i');
  patch.style.background = background;
  item.append(patch, text);
  byId('legend').append(item);
}
addEventListener('resize', draw);
draw();
detail.textContent = said(whole);
`;
