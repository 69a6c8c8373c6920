/** Runs a board over a queue: steps go to workers as soon as their needs are in the store, and results are taken in as they arrive. */
import { checkAbort, type Context, pause } from "../../base/context.ts";
import { canonical, hash } from "../../base/hash.ts";
import { discard } from "../../base/store.ts";
import { buildOf } from "../build.ts";
import { given } from "../fields.ts";
import { type Board, isTodo, type Known, reasonOf } from "../grid/board.ts";
import { MemoryOf } from "../grid/plan.ts";
import { labelOf, Progress } from "../grid/progress.ts";
import type { Unit } from "../grid/unfold.ts";
import { isFromBefore, remade, reopen, same, skip, type WorkOptions } from "../grid/work.ts";
import type { Ready } from "../run.ts";
import { type JobState, LOST_AFTER, openQueue, type Queue } from "./database.ts";
import { madeStoreId } from "./store.ts";
import { queueOf, shownTags, suffices, type Tags } from "./tags.ts";

export interface CoordinateOptions extends WorkOptions {
  /** The address of the database. */
  readonly queue: string;
  /** What every step of the grid needs of a worker besides memory and threads. */
  readonly needs?: Tags;
  /** Seconds without a heartbeat after which a worker counts as lost. */
  readonly lostAfter?: number;
}

/** Milliseconds between two looks at the queue. */
const PAUSE = 300;

/** A step that is in the queue. */
interface Sent {
  readonly unit: Unit;
  readonly ready: Ready;
  readonly job: string;
  /** How many workers were lost with it when it was looked at last. */
  losses?: number;
}

/** Runs what is not finished by the workers of a queue. The context's folder of runs is the store. */
export async function coordinate(board: Board, grid: string, ctx: Context, options: CoordinateOptions): Promise<void> {
  const { queue: url, retry = false, lostAfter = LOST_AFTER } = options;
  const began = Date.parse(ctx.date());
  const queue = await openQueue(url, ctx, lostAfter);
  try {
    await queue.claimBuild(buildOf(ctx));
    await queue.claimStore(madeStoreId(ctx.runs), ctx.runs);
    if (retry) reopen(board);
    const again = remade(board);
    const work = new Sending(board, grid, queue, ctx, { ...options, began });
    const progress = new Progress(board, ctx);
    progress.tell();
    for (;;) {
      checkAbort(ctx, "grid");
      skip(board);
      await work.sendAll();
      if (work.isOver) break;
      const arrived = await work.arrivals();
      for (const { unit, known } of arrived) {
        board.set(unit.key, same(known, again.get(unit.key)));
        if (known.run) progress.add(unit, known.run);
        progress.tell();
      }
      await queue.reclaim();
      await work.tellLacks();
      if (arrived.length === 0) await pause(ctx, PAUSE);
    }
  } finally {
    await queue.close();
  }
}

/** The steps that are in the queue. */
class Sending {
  private readonly board: Board;
  private readonly grid: string;
  private readonly queue: Queue;
  private readonly ctx: Context;
  private readonly options: CoordinateOptions & { readonly began: number };
  private readonly sent = new Map<string, Sent>();
  private readonly memory: MemoryOf;
  /** What the steps in the queue need, and the needs of which was said that no worker has them. */
  private readonly needs = new Map<string, Tags>();
  private readonly told = new Set<string>();

  constructor(board: Board, grid: string, queue: Queue, ctx: Context, options: CoordinateOptions & { readonly began: number }) {
    [this.board, this.grid, this.queue, this.ctx, this.options] = [board, grid, queue, ctx, options];
    this.memory = new MemoryOf(ctx);
  }

  /** Whether nothing is left to do or to wait for. */
  get isOver(): boolean {
    return this.sent.size === 0;
  }

  /** Sends every step whose needs are done. */
  async sendAll(): Promise<void> {
    const { board } = this;
    for (const unit of board.units) {
      if (!isTodo(board.of(unit.key)) || this.sent.has(unit.key) || !unit.needs.every((key) => board.of(key).run?.isWhole)) continue;
      checkAbort(this.ctx, "grid");
      const known = await this.send(unit);
      if (known) board.set(unit.key, known);
    }
  }

  /** Sends a step, unless its run is there or it cannot be resolved. */
  private async send(unit: Unit): Promise<Known | undefined> {
    const { board, queue, ctx, options } = this;
    const { cache } = unit;
    try {
      const ready = await board.ready(unit, ctx);
      const known = await board.knownAt(ready);
      if (known.run) return { state: "finished", run: await this.taken(unit, ready) };
      if (known.state === "failed" && !this.mayRetry(ready.path)) return known;
      if (known.state === "failed") discard(ready.path);
      const needs: Tags = { memory: await this.gigabytes(unit), threads: ctx.threads, ...options.needs };
      this.needs.set(queueOf(needs), needs);
      const data = {
        grid: this.grid,
        label: labelOf(unit),
        spec: unit.spec,
        run: ready.id,
        needs: Object.fromEntries([...unit.keys].map(([spec, key]) => [hash(canonical(spec)), board.of(key).run!.id])),
        threads: ctx.threads,
        force: options.force ?? false,
        ...given({ cache }),
        ...(ctx.encoder !== undefined && { encoder: ctx.encoder }),
      };
      if (options.retry) await queue.forget(ready.id);
      this.sent.set(unit.key, { unit, ready, job: await queue.send(queueOf(needs), needs, data) });
      return undefined;
    } catch (error) {
      const reason = reasonOf(error);
      ctx.log({ kind: "warning", who: "grid", text: `${labelOf(unit)} failed: ${reason}` });
      return { state: "failed", reason };
    }
  }

  /** The memory that a step needs, in whole gigabytes, so that few queues serve all steps. */
  private async gigabytes(unit: Unit): Promise<number> {
    return Math.ceil((await this.memory.check(unit, this.board, true)) / 1e9) * 1e9;
  }

  /** Whether a failure is from before this process began and is to be tried again. */
  private mayRetry(path: string): boolean {
    const { retry = false, began } = this.options;
    return retry && isFromBefore(path, began);
  }

  /** Says which needs no worker has, once each. */
  async tellLacks(): Promise<void> {
    const unsaid = [...this.needs].filter(([name]) => !this.told.has(name));
    if (unsaid.length === 0) return;
    const workers = (await this.queue.workers()).filter(({ isAlive }) => isAlive);
    for (const [name, needs] of unsaid) {
      if (workers.some(({ tags }) => suffices(tags, needs))) continue;
      this.told.add(name);
      const text = `steps wait for a worker with ${shownTags(needs)}; start one: lethe worker --tags NAME=VALUE`;
      this.ctx.log({ kind: "note", who: "queue", text });
    }
  }

  /** The steps that have ended since the last call. */
  async arrivals(): Promise<{ readonly unit: Unit; readonly known: Known }[]> {
    const all = [...this.sent.values()];
    const states = await this.queue.states(all.map(({ job }) => job));
    const found: { unit: Unit; known: Known }[] = [];
    for (const one of all) {
      const state = states.get(one.job);
      if (state) this.tellLosses(one, state);
      if (state?.state === "waiting" || state?.state === "active") continue;
      this.sent.delete(one.unit.key);
      const known = state && (await this.arrived(one, state));
      if (known) found.push({ unit: one.unit, known });
      else await this.queue.forget(one.ready.id); // it is sent again
    }
    return found;
  }

  /** Says that a worker was lost with a step, whoever found it. */
  private tellLosses(one: Sent, { state, losses }: JobState): void {
    if (one.losses !== undefined && losses > one.losses && state !== "lost") {
      const text = `${labelOf(one.unit)}: its worker was lost; the step goes to another`;
      this.ctx.log({ kind: "warning", who: "queue", text });
    }
    one.losses = losses;
  }

  /** Takes in what a worker put into the store; undefined if it is not there. */
  private async arrived({ unit, ready }: Sent, state: JobState): Promise<Known | undefined> {
    const { board, ctx } = this;
    if ("reason" in state) {
      ctx.log({ kind: "warning", who: "grid", text: `${labelOf(unit)} failed: ${state.reason}` });
      return { state: "failed", reason: state.reason };
    }
    const known = await board.knownAt(ready); // checks every hash
    if (known.run) return { state: "finished", run: await this.taken(unit, ready) };
    ctx.log({ kind: "warning", who: "grid", text: `${labelOf(unit)}: ${ready.path} is not whole; the step is run again` });
    discard(ready.path);
    return undefined;
  }

  private async taken(unit: Unit, ready: Ready) {
    return this.board.note(unit, ready, await this.board.recordAt(ready));
  }
}
