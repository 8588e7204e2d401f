"""How the contact sheet looks: its style sheet. `--v` is a value in 0..1 that an element shows as a bar."""

from __future__ import annotations

STYLE = """\
:root {
  --page: #f4f4f2; --card: #fff; --frame: #e4e4e1; --ink: #1d1d1b; --soft: #5c5c58; --line: #d9d9d5;
  --track: #e2e2de; --lightness: 42%;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #161616; --card: #212121; --frame: #111; --ink: #ececea; --soft: #a9a9a4; --line: #353533;
    --track: #3a3a38; --lightness: 52%;
  }
}
* { box-sizing: border-box; margin: 0; }
body { background: var(--page); color: var(--ink); font: 14px/1.4 system-ui, sans-serif; padding: 24px; }
header, main { max-width: 1680px; margin: 0 auto; }
h1 { font-size: 22px; }
h2 { font-size: 16px; margin: 24px 0 12px; }
header p, .facts, .label, dt { color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 16px; }
article {
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; overflow: hidden;
  padding-bottom: 14px; break-inside: avoid;
}
article > :not(.frame) { margin-inline: 14px; }
.frame { background: var(--frame); height: 240px; display: grid; place-items: center; }
.frame img { display: block; max-width: 100%; max-height: 240px; }
h3 { font-size: 14px; margin-top: 10px; overflow-wrap: anywhere; }
.overall { display: flex; align-items: baseline; gap: 8px; margin-top: 2px; }
.overall strong { font-size: 26px; font-variant-numeric: tabular-nums; }
.overall::after {
  content: ""; flex: 1; height: 8px; border-radius: 4px;
}
.overall::after, dl div::after {
  background: linear-gradient(hsl(max(0, 150 * var(--v) - 30) 60% var(--lightness)) 0 0) 0 / calc(100% * var(--v)) 100%
    no-repeat var(--track);
}
.facts { font-size: 13px; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: 1fr 1fr; gap: 5px 16px; margin-top: 10px; }
dl div { display: flex; justify-content: space-between; flex-wrap: wrap; font-size: 12px; line-height: 1.25; }
dd { font-variant-numeric: tabular-nums; }
dl div::after {
  content: ""; flex-basis: 100%; height: 4px; border-radius: 2px; margin-top: 1px;
}
.reasons { margin-top: 10px; padding-left: 18px; font-size: 13px; }
.flags { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 6px; padding: 0; list-style: none; font-size: 12px; }
.flags li { border: 1px solid var(--line); border-radius: 10px; padding: 0 8px; background: var(--page); }
.errors { padding-left: 18px; }
.errors li { margin-bottom: 6px; overflow-wrap: anywhere; }
@media print { body { padding: 0; print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
