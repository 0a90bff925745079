"""The look of every page: paper by day, slate by night, system fonts, no script."""

# Okabe and Ito's colours, readable for colour-blind eyes, in an order that keeps neighbours apart.
GROUP_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --raised: #ffffff; --ink: #23211d; --soft: #6a655c; --line: #e0dcd2; --accent: #0b5c8a;
  --track: #efece4; --whisker: #23211d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #17181a; --raised: #1f2123; --ink: #e6e3dc; --soft: #a09b90; --line: #35373a; --accent: #7cc0ea;
    --track: #2a2c2f; --whisker: #f2efe8;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
}
main, header, footer { max-width: 60rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 3.5rem; }
h1, h2 {
  font-family: Charter, "Bitstream Charter", "Iowan Old Style", "Palatino Linotype", Georgia, serif;
  font-weight: 600; line-height: 1.2; text-wrap: balance; overflow-wrap: anywhere;
}
h1 { font-size: 2.3rem; margin: 0 0 .75rem; letter-spacing: -.01em; }
h2 { font-size: 1.5rem; margin: 0 0 .75rem; }
p { margin: 0 0 1rem; max-width: 44rem; overflow-wrap: anywhere; }
.lead { font-size: 1.15rem; color: var(--soft); }
nav ol, .legend { display: flex; flex-wrap: wrap; padding: 0; list-style: none; }
nav ol { gap: .25rem 1.25rem; margin: 1.25rem 0 0; }
a { color: var(--accent); text-underline-offset: .2em; text-decoration-thickness: .06em; }
a:focus-visible, .scroll:focus-visible { outline: .15rem solid var(--accent); outline-offset: .15rem; }
section { border-top: 1px solid var(--line); margin-top: 2.5rem; padding-top: 2rem; scroll-margin-top: 1rem; }
figure { margin: 1.5rem 0; }
figcaption, caption, .note { color: var(--soft); font-size: .9rem; line-height: 1.5; }
figcaption, caption { text-align: left; max-width: min(44rem, calc(100vw - 2rem)); overflow-wrap: anywhere; }
figcaption { margin-bottom: .75rem; }
.note { border-left: .2rem solid var(--line); padding-left: .9rem; margin-top: 1.5rem; }
footer { padding-top: 3rem; padding-bottom: 3rem; color: var(--soft); font-size: .85rem; }

.scroll { overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; min-width: 100%; font-variant-numeric: tabular-nums; font-size: .95rem; }
caption { padding-bottom: .6rem; }
th, td { padding: .4rem .9rem .4rem 0; text-align: left; vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
thead th { border-bottom: 1px solid var(--ink); font-weight: 600; font-size: .88rem; vertical-align: bottom; }
tbody td { border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; }
td.number { white-space: nowrap; }

details { margin: 1.5rem 0; }
details > .scroll { margin: .75rem 0; }
summary { color: var(--accent); font-size: .9rem; cursor: pointer; width: fit-content; }
summary:focus-visible { outline: .15rem solid var(--accent); outline-offset: .15rem; }
details td:not(.number) { min-width: 12rem; }

.card {
  background: var(--raised); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1.1rem 1.3rem; margin: 1.5rem 0; font-variant-numeric: tabular-nums;
}
.card h3 { margin: 0 0 .6rem; font-size: 1rem; }
.card dl {
  display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .3rem 1.5rem; margin: 0;
}
.card dt { color: var(--soft); }
.card dd { margin: 0; overflow-wrap: anywhere; }

.legend { gap: .2rem 1.25rem; margin: 0 0 .9rem; }
.legend li { font-size: .9rem; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem; margin-right: .45rem; }
.bars { list-style: none; padding: 0; margin: 0; font-variant-numeric: tabular-nums; font-size: .93rem; }
.bars li {
  display: grid; grid-template-columns: minmax(6rem, 11rem) 1fr 15.5rem; gap: 0 1rem; align-items: center;
  padding: .22rem 0;
}
.bars .label { overflow-wrap: anywhere; line-height: 1.3; }
.bars .track { position: relative; height: 1.15rem; background: var(--track); border-radius: .2rem; }
.bars .fill { position: absolute; inset: 0 auto 0 0; border-radius: .2rem; opacity: .82; }
.bars .whisker {
  position: absolute; top: .25rem; bottom: .25rem; min-width: 2px;
  border: solid var(--whisker); border-width: 0 .1rem;
}
.bars .whisker::after {
  content: ""; position: absolute; left: 0; right: 0; top: calc(50% - .05rem); height: .1rem;
  background: var(--whisker);
}
.bars .value { display: flex; gap: .5rem; white-space: nowrap; }
.bars .interval, .bars .group { color: var(--soft); }
.bars .n { color: var(--soft); margin-left: auto; }

.sheet {
  display: grid; gap: .9rem .7rem; padding: 0; margin: 0; list-style: none;
  grid-template-columns:
    repeat(auto-fill, minmax(max(5.2rem, calc((100% - (var(--columns) - 1) * .7rem) / var(--columns))), 1fr));
}
.sheet img {
  display: block; width: 100%; aspect-ratio: var(--shape); object-fit: contain;
  background: var(--track); border-radius: .25rem;
}
.sheet p { font-size: .78rem; line-height: 1.3; margin: .3rem 0 0; color: var(--soft); }

.plot svg { display: block; width: 100%; height: auto; }
.plot .scroll { margin: 0; }
.plot svg text { fill: currentColor; font-family: inherit !important; }

@media (max-width: 40rem) {
  main, header, footer { padding-left: 1rem; padding-right: 1rem; }
  header { padding-top: 2rem; }
  h1 { font-size: 1.75rem; }
  h2 { font-size: 1.3rem; }
  .bars li { grid-template-columns: 1fr; padding: .4rem 0; gap: .15rem; }
  .card dl { grid-template-columns: 1fr; gap: 0; }
  .card dd { margin-bottom: .5rem; }
}
@media print {
  body { background: #fff; }
  nav { display: none; }
  section, figure, .card { break-inside: avoid; }
}
"""
