/** The page's looks, light and dark as its reader has it. */
export const FLAME_STYLE = `
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }
body { margin: 0; background: light-dark(#fff, #16181d); color: light-dark(#1d2129, #e4e7ee); }
header, footer, main { padding: 0 1rem; }
h1 { font-size: 1.1rem; margin: 0.8rem 0 0.4rem; overflow-wrap: anywhere; }
form { display: flex; flex-wrap: wrap; gap: 0.4rem 1rem; align-items: center; }
select, input, button { font: inherit; max-width: 22rem; }
p { margin: 0.4rem 0; }
#legend { display: flex; flex-wrap: wrap; gap: 0.2rem 0.9rem; font-size: 0.85rem; }
#legend i { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.3em; border-radius: 2px; }
#graph { position: relative; overflow: hidden; }
#graph > div {
  position: absolute; height: 19px; box-sizing: border-box; overflow: hidden; white-space: nowrap;
  text-overflow: ellipsis; font: 12px/18px ui-monospace, monospace; cursor: pointer; color: #111;
  border: solid light-dark(#fff, #16181d); border-width: 0 1px 1px 0; border-radius: 2px;
}
#graph > div.named { padding: 0 3px; }
#graph > div:focus { outline: 2px solid light-dark(#000, #fff); outline-offset: -2px; }
#graph.searching > div:not(.hit) { opacity: 0.3; }
#graph > div.above { opacity: 0.6; }
#detail { min-height: 1.4em; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
footer { position: sticky; bottom: 0; background: light-dark(#fff, #16181d); border-top: 1px solid #8886; }
`;
