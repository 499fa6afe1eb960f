"""The style of a report's HTML page: light and dark, on a screen, a telephone and paper."""

from __future__ import annotations

from nattools.report.svgcanvas import SVG_STYLE

_LIGHT = (
    "--ink: #1b1f24; --paper: #ffffff; --card: #f6f8fa; --line: #d0d7de; --edge: #818b98; --quiet: #59636e; "
    "--mark: #57708f; --good: #1a7f37; --bad: #b42318; --unsure: #8a5a00;"
)
_DARK = (
    "--ink: #e6edf3; --paper: #0d1117; --card: #161b22; --line: #30363d; --edge: #6e7681; --quiet: #9198a1; "
    "--mark: #8fa9c8; --good: #4ac26b; --bad: #ff8182; --unsure: #d9a23a;"
)
STYLE = f"""
:root {{ {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
body {{ font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 1.5rem auto; max-width: 60rem; padding: 0 1rem; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.1rem; font-weight: 600; color: var(--quiet); margin: 0; }}
h2, summary {{ font-size: 1.05rem; font-weight: 600; margin: 1.6rem 0 .4rem; }}
summary {{ cursor: pointer; }} :focus-visible {{ outline: 2px solid var(--mark); outline-offset: 2px; }}
.verdict {{ font-size: 1.35rem; font-weight: 600; line-height: 1.35; margin: .3rem 0 .8rem;
  border-left: .35rem solid var(--edge); padding-left: .7rem; }}
.verdict.good {{ border-color: var(--good); }} .verdict.bad {{ border-color: var(--bad); }}
.verdict.unsure {{ border-color: var(--unsure); }}
dl {{ display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .15rem 1rem;
  margin: .6rem 0; }}
dt {{ font-weight: 600; grid-column: 1; }} dd {{ margin: 0; grid-column: 2; }}
.facts {{ background: var(--card); border: 1px solid var(--line); border-radius: .4rem;
  padding: .6rem .8rem; }}
table {{ border-collapse: collapse; width: 100%; margin: .6rem 0; }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; }}
tbody th {{ font-weight: 600; }} .rows th {{ width: 9rem; }} th, td:first-child {{ overflow-wrap: normal; }}
.good {{ color: var(--good); }} .bad {{ color: var(--bad); }} .unsure {{ color: var(--unsure); }}
.quiet {{ color: var(--quiet); }} .strong {{ font-weight: 600; }} .verdict {{ color: var(--ink); }}
figure {{ margin: .8rem 0; }} figure.scrolls {{ overflow-x: auto; }} ul {{ margin: 0; padding-left: 1.2rem; }}
p {{ margin: .4rem 0; }} .narrow {{ display: none; }}
@media (max-width: 40rem) {{
  body {{ margin: 1rem auto; }} .wide {{ display: none; }} .narrow {{ display: block; }}
  figure.scrolls svg {{ min-width: 42rem; }}
  dl {{ grid-template-columns: 1fr; gap: 0; }} dt, dd {{ grid-column: 1; }} dd {{ margin-bottom: .4rem; }}
  table, tbody, tr, th, td {{ display: block; }} thead {{ position: absolute; clip-path: inset(50%); }}
  tr {{ border-bottom: 1px solid var(--line); padding: .4rem 0; }}
  th, .rows th, td, td:first-child {{ width: auto; border: 0; padding: 0; overflow-wrap: anywhere; }}
  td[data-t]::before {{ content: attr(data-t) ": "; color: var(--quiet); font-weight: 400; }}
}}
@media print {{
  :root {{ {_LIGHT} }} body {{ font-size: 10pt; max-width: none; margin: 0; }}
  figure, tr, dl {{ break-inside: avoid; }} h2, summary {{ break-after: avoid; }}
  details::details-content {{ content-visibility: visible; }}
}}
{SVG_STYLE}
""".strip()
