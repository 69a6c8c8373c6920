/** `lethe grid plan` and `lethe grid status`: what a grid will take, and how far it is. They run nothing. */
import type { GridPlan, GridStatus, StepCard } from "../../run/grid.ts";
import type { QueueStatus } from "../../run/queue/database.ts";
import { acts, declare } from "../command.ts";
import type { Door } from "../context.ts";
import { bytes, duration, plural, table } from "../format.ts";
import { choosing, FILE, type GridFlags, opened } from "../grid-options.ts";

interface Flags extends GridFlags {
  readonly steps?: boolean;
  readonly disk?: string;
  readonly force?: boolean;
  readonly queue?: string;
}

export const plan = acts<Flags>(
  choosing(
    declare(
      "plan <FILE>",
      "Tells the steps, the time, the memory and the disk of a grid before anything is run.",
      `${FILE} Times come from finished runs of the same kind. If there are none, they come from a short table of measurements and are rough. Ends with 2 if a step cannot be run.`,
      [
        ["lethe grid plan studies/methods.yaml", "what it will take"],
        ["lethe grid plan studies/methods.yaml --only method=rome --steps", "a part of it, step by step"],
      ],
    ),
  )
    .option("--steps", "list every step with its state")
    .option("--disk <size>", "the space that the runs may take, such as 20GB (what is free)")
    .option("--force", "plan even if the estimate says that memory is too small"),
  async ({ terminal, ctx }, { steps = false, disk, force = false, ...flags }, file) => {
    const { gridStatus, planGrid } = await import("../../run/grid.ts");
    const grid = await opened(file!, flags, ctx);
    const planned = await planGrid(grid, ctx, { force, ...(disk !== undefined && { disk }) });
    const listed = steps ? (await gridStatus(grid, ctx)).steps : undefined;
    return tellPlan(terminal, planned, listed);
  },
);

/** Tells a plan, and its steps if they are listed. Returns the exit code: 2 if the grid cannot be run as it is. */
export function tellPlan(terminal: Door["terminal"], planned: GridPlan, listed?: readonly StepCard[]): number {
  if (terminal.json) terminal.object("grid-plan", { ...planned, ...(listed && { steps: listed }) });
  else showPlan(terminal, planned, listed);
  return planned.refused.length > 0 || planned.least > planned.disk ? 2 : 0;
}

function showPlan(terminal: Door["terminal"], planned: GridPlan, listed: readonly StepCard[] | undefined): void {
  const { name, kinds, total, finished, failed, skipped, todo, refused } = planned;
  const others = [
    ...(failed > 0 ? [`${failed} failed before (--retry tries them again)`] : []),
    ...(refused.length > 0 ? [`${refused.length} that cannot be run`] : []),
    ...(skipped > 0 ? [`${skipped} that need one of these`] : []),
  ];
  terminal.line(`${name}: ${plural(total, "step")}; ${[`${finished} finished`, `${todo} to do`, ...others].join(", ")}\n`);
  const rows = kinds.map((kind) => [
    kind.name,
    kind.step,
    String(kind.total),
    String(kind.todo),
    timeOf(kind),
    kind.todo === 0 ? "" : sizeOf(kind),
    kind.memory > 0 ? bytes(kind.memory) : "",
    kind.by.map((source) => (source === "runs" ? "measured here" : "rough")).join(", "),
  ]);
  terminal.line(table([["NAME", "STEP", "STEPS", "TO DO", "TIME", "DISK", "MEMORY", ""], ...rows], [2, 3, 4, 5, 6]));
  terminal.line(`\ntime    ${timeOf(planned)}`);
  terminal.line(`memory  ${bytes(planned.memory)} at most; ${bytes(planned.available.bytes)} are left by ${planned.available.limit}`);
  terminal.line(`disk    ${sizeOf(planned)}; ${bytes(planned.disk)} may be taken`);
  if (planned.least > planned.disk)
    terminal.line("        It does not fit: free some space, name another folder with --runs, or run a part with --only.");
  if (refused.length > 0) terminal.line(`\n${plural(refused.length, "step")} cannot be run:`);
  for (const { step, at, reason } of refused) terminal.line(`  ${[step, at].filter(Boolean).join(", ")}: ${reason}`);
  if (listed) showSteps(terminal, listed);
}

function timeOf({ todo, seconds, untimed }: Pick<GridPlan, "todo" | "seconds" | "untimed">): string {
  if (todo === 0) return "-";
  if (untimed === todo) return "unknown";
  return `${duration(1000 * seconds)}${untimed > 0 ? ` and ${untimed} unknown` : ""}`;
}

function sizeOf({ todo, bytes: known, unsized }: Pick<GridPlan, "todo" | "bytes" | "unsized">): string {
  if (todo === 0) return "-";
  if (unsized === todo) return "unknown";
  return `${bytes(known)}${unsized > 0 ? ` and ${unsized} unknown` : ""}`;
}

export const status = acts<Flags>(
  choosing(
    declare(
      "status <FILE>",
      "Tells how far a grid is, and why steps failed.",
      `${FILE} It reads records and the index of the runs, and no model.`,
      [
        ["lethe grid status studies/methods.yaml", "what is done, and what failed"],
        ["lethe grid status studies/methods.yaml --steps", "every step"],
      ],
    ),
  )
    .option("--steps", "list every step with its state")
    .option("--queue <url>", "tell the workers of this queue too, and the steps that were given up"),
  async ({ terminal, ctx }, { steps = false, queue, ...flags }, file) => {
    const { gridStatus } = await import("../../run/grid.ts");
    const found = await gridStatus(await opened(file!, flags, ctx), ctx);
    const queued = queue === undefined ? undefined : await (await import("../../run/queue/database.ts")).queueStatus(queue, ctx);
    if (terminal.json)
      return terminal.object("grid-status", { ...found, counts: countsOf(found), ...(!steps && { steps: undefined }), ...queued });
    showStatus(terminal, found, steps);
    if (queued) showQueue(terminal, queued);
  },
);

function showQueue(terminal: Door["terminal"], { workers, deadLetters }: QueueStatus): void {
  for (const { id, isAlive, label } of workers) terminal.line(`worker ${id}: ${isAlive ? (label ?? "waits for a step") : "lost"}`);
  for (const { label, reason } of deadLetters) terminal.line(`given up: ${label}: ${reason}`);
}

const STATES = ["finished", "failed", "skipped", "refused", "begun", "open"] as const;

const countsOf = ({ steps }: GridStatus): Record<StepCard["state"], number> =>
  Object.fromEntries(STATES.map((state) => [state, steps.filter((one) => one.state === state).length])) as Record<
    StepCard["state"],
    number
  >;

export function showStatus(terminal: Door["terminal"], found: GridStatus, isLong: boolean): void {
  const { name, steps, seconds, peak } = found;
  const counts = countsOf(found);
  const others = STATES.slice(1).flatMap((state) => (counts[state] > 0 ? [`${counts[state]} ${state}`] : []));
  terminal.line(`${name}: ${[`${counts.finished} of ${plural(steps.length, "step")} finished`, ...others].join(", ")}`);
  if (counts.finished > 0) terminal.line(`time so far ${duration(1000 * seconds)}, peak memory of a step ${bytes(peak)}`);
  for (const { step, at, reason } of steps.filter(({ state }) => state === "failed" || state === "refused"))
    terminal.line(`  ${[step, at].filter(Boolean).join(", ")}: ${reason}`);
  if (counts.failed > 0) terminal.line("Failed steps are tried again with --retry.");
  if (isLong) showSteps(terminal, steps);
}

function showSteps(terminal: Door["terminal"], steps: readonly StepCard[]): void {
  const rows = steps.map(({ step, at, state, seconds, reason }, i) => [
    String(i + 1),
    step,
    at,
    state,
    seconds === undefined ? "" : duration(1000 * seconds),
    state === "failed" || state === "refused" ? reason! : "",
  ]);
  terminal.line(`\n${table([["", "STEP", "AT", "STATE", "TIME", ""], ...rows], [0, 4])}`);
}
