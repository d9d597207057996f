"""The page's style sheet: light and dark, one column on a phone."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --quiet: #5c6570; --line: #d9dee4;
  --soft: #f4f6f8; --bar: #1f9e74; --sub: #b45309; --del: #b91c1c; --ins: #1d4ed8; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #e6e9ec; --quiet: #9aa4af; --line: #343b43; --soft: #1d2227;
    --bar: #2bb587; --sub: #f0a44b; --del: #f37f7f; --ins: #8ab4ff; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 .6rem; font-size: 1.1rem; }
h3 { margin: 0 0 .3rem; font-size: .95rem; overflow-wrap: anywhere; }
.quiet, small, figcaption { color: var(--quiet); font-size: .85rem; font-weight: normal; }
p.quiet { margin: .3rem 0; }
.findings { margin: 1rem 0; padding: .7rem 1rem .7rem 2rem; background: var(--soft); border-radius: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.scroll table { width: 100%; }
th, td { padding: .4rem .6rem; text-align: right; vertical-align: top; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); font-size: .85rem; font-weight: 600; vertical-align: bottom; }
th:first-child { padding-left: 0; text-align: left; position: sticky; left: 0; background: var(--paper); }
td small, th small { display: block; }
pre { white-space: pre-wrap; padding: .6rem .8rem; background: var(--soft); border-radius: .4rem;
  font-size: .85rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr));
  gap: 0 2rem; align-items: start; }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; max-width: 34rem; height: auto; }
article { padding: .6rem 0; border-top: 1px solid var(--line); }
.pairs { display: flex; flex-wrap: wrap; gap: .2rem .7rem;
  font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .85rem; line-height: 1.35; }
.pair { display: inline-flex; flex-direction: column; overflow-wrap: anywhere; }
.S { color: var(--sub); } .D { color: var(--del); } .I { color: var(--ins); }
.pair.S, .pair.D, .pair.I, p .S, p .D, p .I { font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
.stages { width: 100%; max-width: 34rem; }
.stages th, .stages td { padding: .15rem .6rem; border: 0; font-weight: normal; }
.stages .bar { width: 60%; } .bar span { display: block; height: .7rem; margin-top: .4rem; min-width: 1px;
  background: var(--bar); border-radius: .2rem; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; } }
"""
