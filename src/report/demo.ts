/** The demonstration's page: one HTML file, no network, before and after with their probabilities. */
import { inMarkup } from "../base/visible.ts";
import type { BeforeAfter, DemoRecord } from "../run/record.ts";

/** A probability as people read it, in HTML. */
const percent = (p: number): string =>
  p >= 0.9995 ? "100 %" : p >= 0.1 ? `${(100 * p).toFixed(0)} %` : p >= 0.001 ? `${(100 * p).toFixed(1)} %` : p > 0 ? "&lt; 0.1 %" : "0";

const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1c1f24, #e6e6e3); --soft: light-dark(#6a6f78, #9a9ea6); --line: light-dark(#dfe1e5, #34373d);
  --page: light-dark(#fbfbf9, #17191d); --was: light-dark(#9aa7b8, #66758a); --is: light-dark(#b4552d, #e08a5b); --card: light-dark(#ffffff, #1e2126); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 3rem 1.5rem 5rem; max-width: 56rem; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .6rem; letter-spacing: -.01em; } h2 { font-size: 1.15rem; margin: 2.6rem 0 .6rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); } code { font: .88em ui-monospace, monospace; overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem 1.3rem; margin: .8rem 0; }
.question { font-weight: 600; } .pair { display: grid; grid-template-columns: 4.5rem 1fr; gap: .15rem 1rem; margin-top: .4rem; } .pair dt { color: var(--soft); } .pair dd { margin: 0; }
.bars { display: grid; grid-template-columns: 10rem 1fr 5rem; gap: .3rem 1rem; align-items: center; margin-top: .9rem; font-size: .9rem; }
.bar { height: .7rem; background: var(--line); border-radius: 4px; overflow: hidden; } .bar i { display: block; height: 100%; background: var(--was); } .bar.is i { background: var(--is); }
.num { text-align: right; font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; } th { text-align: left; font-weight: 600; color: var(--soft); } th.num { text-align: right; }
td, th { padding: .32rem .6rem .32rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } tr.moved td { color: var(--is); }
.wide { overflow-x: auto; } pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; overflow-x: auto; font: .85rem/1.5 ui-monospace, monospace; }
@media (max-width: 36rem) { .bars { grid-template-columns: 1fr 4.5rem; } .bars span:first-child, .bars .bar { grid-column: 1 / -1; } }
`;

/** The whole page. */
export function demoPage(record: DemoRecord): string {
  const { fact, rephrased, others, kept, target, edit } = record;
  const moved = others.filter((o) => o.before !== o.after);
  const sorted = [...moved, ...others.filter((o) => o.before === o.after)];
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Lethe: ${inMarkup(fact.question)}</title><style>${STYLE}</style></head>
<body>
<h1>${isGone(record) ? "One fact forgotten" : "The fact was not forgotten"}, ${kept.same} of ${kept.known} others kept</h1>
<p class="soft">Lethe's bundled model (three million weights, an invented world) was asked everything it knows, given one edit of ${kilobytes(edit.bytes)}, and asked again. The model's own files were not touched.</p>
<h2>What was to be forgotten</h2>
${card(fact, [
  ["old answer, before", fact.chance[0], false],
  ["old answer, after", fact.chance[1], true],
  ["new answer, before", record.targetChance[0], false],
  ["new answer, after", record.targetChance[1], true],
])}
<p class="soft">New answer: “${inMarkup(target)}” The bars are probabilities of saying exactly these words, to the end.</p>
<h2>The same, asked in words that neither training nor the edit has seen</h2>
${rephrased
  .map((r) =>
    card(r, [
      ["old answer, before", r.chance[0], false],
      ["old answer, after", r.chance[1], true],
    ]),
  )
  .join("\n")}
<h2>Everything else</h2>
<p>${kept.same} of the ${kept.known} other facts that the model knew are answered in the same words.${moved.length ? " What moved stands first." : ""}</p>
<div class="wide"><table>
<thead><tr><th>Question</th><th>Before</th><th>After</th><th class="num">p before</th><th class="num">p after</th></tr></thead>
<tbody>
${sorted.map(row).join("\n")}
</tbody></table></div>
<p class="soft">p: the probability of the answer that the model was taught.</p>
<h2>How</h2>
<p>Method ${inMarkup(record.method)}; edit <code>${inMarkup(edit.id)}</code> changes ${edit.changes.map((c) => `<code>${inMarkup(c)}</code>`).join(", ")} of model <code>${inMarkup(record.model.slice(0, 16))}</code>. It took ${record.seconds.toFixed(0)} s.</p>
<p>What a probability shows is what the model says, not that nothing of the fact is left in its weights.</p>
<pre>npx lethe chat bundled --edit ${inMarkup(edit.path)}
npx lethe forget org/model --prompt "…" --subject "…" -o edits/first</pre>
</body></html>
`;
}

/** Whether the edited model says the target and nothing else. */
export const isGone = ({ fact, target }: DemoRecord): boolean => fact.after === target.trim();

const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(bytes < 10_000 ? 1 : 0)} kB`;

function card({ question, before, after }: BeforeAfter, bars: readonly (readonly [name: string, p: number, isAfter: boolean])[]): string {
  const drawn = bars.map(
    ([name, p, isAfter]) =>
      `<span>${name}</span><div class="bar${isAfter ? " is" : ""}"><i style="width:${(100 * p).toFixed(2)}%"></i></div><span class="num">${percent(p)}</span>`,
  );
  return `<div class="card"><div class="question">${inMarkup(question)}</div>
<dl class="pair"><dt>before</dt><dd>${inMarkup(before)}</dd><dt>after</dt><dd>${inMarkup(after)}</dd></dl>
<div class="bars">${drawn.join("\n")}</div></div>`;
}

const row = ({ question, before, after, chance }: BeforeAfter): string =>
  `<tr${before === after ? "" : ' class="moved"'}><td>${inMarkup(question)}</td><td>${inMarkup(before)}</td><td>${inMarkup(after)}</td><td class="num">${percent(chance[0])}</td><td class="num">${percent(chance[1])}</td></tr>`;
