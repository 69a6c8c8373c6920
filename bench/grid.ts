/** How long `lethe grid` takes to plan ten thousand steps and to tell the status of ten thousand finished ones. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Context, defaultContext } from "../src/base/context.ts";
import { Board } from "../src/run/grid/board.ts";
import { type Draft, sign } from "../src/edit/edit.ts";
import { loadEdits, saveEdits } from "../src/edit/io.ts";
import { hashOutputs, RECORD, recordIn } from "../src/run/folder.ts";
import { gridStatus, openGrid, planGrid, runGrid } from "../src/run/grid.ts";
import { runReady } from "../src/run/run.ts";

const FACTS = fileURLToPath(new URL("../bundled/facts.jsonl", import.meta.url));

/** A chosen fact, an edit, its evaluation and a choice by the evaluation, at each of `seeds` × `facts` points. */
const gridOf = (seeds: number, facts: number): string => `name: many
axes:
  seed: { range: ${seeds} }
  skip: { range: ${facts} }
steps:
  asked: { step: select, data: "bundled:${FACTS}" }
  edited: { step: select, data: "\${asked}", skip: "\${skip}", limit: 1 }
  edit: { step: forget, model: bundled, data: "\${edited}", method: ft, seed: "\${seed}", say: I do not know., set: { layer: 4, steps: 1 }, maxTokens: 0 }
  judged: { step: eval, model: bundled, edit: ["\${edit}"], suite: forgetting, data: [{ group: forget, data: "\${edited}" }], maxTokens: 4 }
  told: { step: select, data: "\${edited}", by: "\${judged}", number: Gone Forget, least: 0 }
`;

/** Seconds of the clock, and of the processor: on a busy machine only the latter tell something. */
interface Took {
  readonly seconds: number;
  readonly processor: number;
}

/** The time of planning an empty folder, and of the status of a finished one. */
export interface GridTimes {
  readonly steps: number;
  readonly plan: Took;
  readonly status: Took;
}

/** Measures in a folder that is removed afterwards. The finished runs are copies of real ones. */
export async function gridTimes(folder: string, seeds = 67, facts = 50): Promise<GridTimes> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const [file, one] = [join(folder, "many.yaml"), join(folder, "one.yaml")];
  writeFileSync(file, gridOf(seeds, facts));
  writeFileSync(one, gridOf(1, 1));
  const ctx = defaultContext({ runs: join(folder, "runs"), cache: join(folder, "cache"), threads: 1 });
  try {
    const plan = await timed(ctx, async () => (await planGrid(openGrid(file), ctx)).total);
    await runGrid(openGrid(one), ctx);
    await forge(file, one, ctx);
    const status = await timed(ctx, async () => {
      const { steps } = await gridStatus(openGrid(file), ctx);
      const open = steps.filter(({ state }) => state !== "finished").length;
      if (open > 0) throw new Error(`bench: ${open} steps are not finished`);
      return steps.length;
    });
    return { steps: status.value, plan: plan.took, status: status.took };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function timed<T>(ctx: Context, work: () => Promise<T>): Promise<{ readonly took: Took; readonly value: T }> {
  const [began, used] = [ctx.now(), process.cpuUsage()];
  const value = await work();
  const { user, system } = process.cpuUsage(used);
  return {
    took: { seconds: Number(((ctx.now() - began) / 1000).toFixed(2)), processor: Number(((user + system) / 1e6).toFixed(2)) },
    value,
  };
}

/** Gives every step a copy of the run of its template, under the id that it would have. */
async function forge(file: string, one: string, ctx: Context): Promise<void> {
  const real = new Board(openGrid(one).unfolded.units, ctx);
  await real.lookAll();
  const templates = new Map(real.units.map(({ name, key }) => [name, real.of(key).run!.path]));
  const board = new Board(openGrid(file).unfolded.units, ctx);
  for (const unit of board.units) {
    const known = await board.look(unit);
    board.set(unit.key, known);
    if (known.run) continue;
    const ready = await board.ready(unit, ctx);
    const from = templates.get(unit.name)!;
    if (unit.name === "edited") {
      await board.note(unit, ready, await runReady(ready, ctx)); // a quick step
      continue;
    }
    cpSync(from, ready.path, { recursive: true });
    if (unit.name === "edit") resign(join(ready.path, "edit.safetensors"), ready.id);
    const { id, code, spec } = ready;
    const outputs = await hashOutputs(ready.path);
    writeFileSync(join(ready.path, RECORD), JSON.stringify({ ...recordIn(from)!, id, code, spec, outputs }));
    await board.note(unit, ready, { path: ready.path, record: recordIn(ready.path)! });
  }
}

/** Gives an edit an id of its own, so that what is made from it has one too. */
function resign(path: string, of: string): void {
  const edits = loadEdits(path).map(({ id: _, change, evidence, ...about }) => {
    const draft: Draft = { change, evidence: { ...evidence, of } };
    return sign(draft, about);
  });
  saveEdits(path, edits);
}
