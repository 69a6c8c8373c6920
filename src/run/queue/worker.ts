/** A worker: takes steps from a queue, runs them in its own folder of runs, and puts the results into the store. */
import { availableParallelism } from "node:os";
import { checkAbort, type Context, pause } from "../../base/context.ts";
import { fail, isAborted } from "../../base/fail.ts";
import { canonical, hash } from "../../base/hash.ts";
import { availableMemory } from "../../model/memory-estimate.ts";
import { HOST } from "../../base/unfinished.ts";
import { buildOf } from "../build.ts";
import { recordIn } from "../folder.ts";
import type { Finished } from "../record.ts";
import { reasonOf } from "../grid/board.ts";
import { cachedFor } from "../grid/work.ts";
import { inTurns, prepare, type Ready, runReady, type Within } from "../run.ts";
import { newShared } from "../shared.ts";
import { LOST_AFTER, openQueue, type Queue, type StepJob, type Taken } from "./database.ts";
import { type Heart, startHeart } from "./heart.ts";
import { bring, isStored, publishRun, storeId } from "./store.ts";
import { suffices, type Tags } from "./tags.ts";

export interface WorkerOptions {
  /** The address of the database, and the folder of results. */
  readonly queue: string;
  readonly store: string;
  /** What this worker has, besides the memory, the threads and the device that are found here. */
  readonly tags?: Tags;
  /** Seconds without a step after which it ends; undefined: never. */
  readonly idle?: number;
  /** Seconds without a heartbeat after which a worker counts as lost. */
  readonly lostAfter?: number;
}

/** How much a worker did. */
export interface Worked {
  readonly worker: string;
  readonly done: number;
  readonly failed: number;
}

/** Milliseconds between two looks at an empty queue. */
const PAUSE = 500;

/** Works until it is stopped or idle for long. A stopped worker gives its step back. */
export async function serveQueue(ctx: Context, options: WorkerOptions): Promise<Worked> {
  const { lostAfter = LOST_AFTER, idle } = options;
  const tags: Tags = { ...tagsHere(ctx), ...options.tags };
  const [build, name] = [buildOf(ctx), `${HOST}:${process.pid}`];
  const self = { name, build, tags };
  const queue = await openQueue(options.queue, ctx, lostAfter);
  const worker = new Worker(queue, name, ctx, options);
  let heart: Heart | undefined;
  try {
    await queue.checkBuild(build);
    await queue.beat(self, undefined);
    heart = startHeart(options.queue, self, lostAfter);
    ctx.log({ kind: "note", who: "worker", text: `${name} waits for steps` });
    let since = ctx.now();
    while (idle === undefined || ctx.now() - since < 1000 * idle) {
      checkAbort(ctx, "worker");
      await queue.checkBuild(build);
      await queue.checkStore("worker", storeId(options.store), options.store);
      await queue.reclaim();
      const taken = await queue.take((needs) => suffices(tags, needs));
      if (taken) {
        heart.tell(taken);
        await queue.beat(self, taken).catch(() => {}); // the next beat may reach the server
        await worker.work(taken);
        heart.tell(undefined);
        since = ctx.now();
      } else await pause(ctx, PAUSE);
    }
    return { worker: name, done: worker.done, failed: worker.failed };
  } finally {
    await heart?.stop();
    await queue.leave(name).catch(() => {});
    await queue.close();
  }
}

/** What this machine has. */
const tagsHere = (ctx: Context): Tags => ({
  memory: availableMemory({ setting: ctx.memory }).bytes,
  threads: availableParallelism(),
  device: "cpu",
});

/** The steps of one worker, one after the other. */
class Worker {
  done = 0;
  failed = 0;
  private readonly queue: Queue;
  private readonly name: string;
  private readonly ctx: Context;
  private readonly store: string;
  private readonly shared = newShared();

  constructor(queue: Queue, name: string, ctx: Context, { store }: Pick<WorkerOptions, "store">) {
    [this.queue, this.name, this.ctx, this.store] = [queue, name, ctx, store];
  }

  /** Runs a step to its end, or gives it back if the worker is stopped. */
  async work(taken: Taken): Promise<void> {
    const { queue, ctx } = this;
    let ready: Ready | undefined;
    try {
      ctx.log({ kind: "note", who: "worker", text: taken.data.label });
      ready = await this.resolved(taken.data);
      await this.once(ready, () => runReady(ready!, this.contextOf(taken.data), this.sharing(taken.data)));
      await queue.complete(taken);
      this.done++;
    } catch (error) {
      if (isAborted(error)) {
        await queue.release(taken).catch(() => {}); // otherwise its heartbeat ends, and another worker gets it
        throw error;
      }
      const reason = reasonOf(error);
      if (ready && recordIn(ready.path)?.status === "error") publishRun(ready.path, this.store);
      await queue.complete(taken, reason);
      this.failed++;
      ctx.log({ kind: "warning", who: "worker", text: `${taken.data.label} failed: ${reason}` });
    }
  }

  /** Resolves a step from the results in the store. Refuses a step that is another one here. */
  private async resolved(job: StepJob): Promise<Ready> {
    const { store } = this;
    const ctx = this.contextOf(job);
    const ready = await prepare(job.spec, ctx, {
      force: job.force,
      shared: this.shared,
      make: async (nested) => {
        const id = job.needs[hash(canonical(nested))];
        return id === undefined ? fail("worker", "a step that the job does not name", "", "", "internal") : bring(store, ctx.runs, id);
      },
    });
    if (ready.id !== job.run)
      fail(
        "worker",
        `${job.label} is run ${ready.id.slice(0, 12)} here, and ${job.run.slice(0, 12)} where the grid was started`,
        "the same inputs on every machine",
        "Put the same models and data at the same paths, or on a folder that all machines share.",
        "unavailable",
      );
    return ready;
  }

  /** The context of a step: the threads of the grid, since they decide the bytes, and its cache. */
  private contextOf({ grid, cache, threads, encoder }: StepJob): Context {
    return cachedFor(cache, grid, { ...this.ctx, threads, encoder });
  }

  private sharing(job: StepJob): { readonly force: boolean; readonly within: Within } {
    return { force: job.force, within: (ready, work) => this.once(ready, work) };
  }

  /** Runs a step that the store does not have and no other worker runs; its result is then in the store. */
  private async once(ready: Ready, work: () => Promise<Finished>): Promise<Finished> {
    const { queue, name, ctx, store } = this;
    while (!isStored(store, ready.id) && !(await queue.claim(ready.id, name))) await pause(ctx, PAUSE);
    try {
      if (isStored(store, ready.id)) await bring(store, ctx.runs, ready.id);
      const finished = await inTurns(ctx)(ready, work);
      publishRun(finished.path, store);
      return finished;
    } finally {
      await queue.unclaim(ready.id, name).catch(() => {});
    }
  }
}
