/** The heartbeat of a worker. It beats in a thread of its own, since a long step of a model holds up the worker's own thread. */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { defaultContext, pause } from "../../base/context.ts";
import { isRecord } from "../../base/store.ts";
import { type Identity, openQueue, type Queue, type Taken } from "./database.ts";

/** What the thread gets. */
interface Beating {
  readonly heartOf: Identity;
  readonly queue: string;
  readonly lostAfter: number;
}

/** A beating heart. */
export interface Heart {
  /** Says what the worker works at from now on. */
  tell(job: Taken | undefined): void;
  stop(): Promise<void>;
}

/** Beats six times in the time after which a worker counts as lost. A beat that does not reach the server is left out. */
export function startHeart(queue: string, self: Identity, lostAfter: number): Heart {
  const thread = new Worker(new URL(import.meta.url), { workerData: { heartOf: self, queue, lostAfter } satisfies Beating });
  thread.on("error", () => {}); // then the worker counts as lost, and its step goes to another
  return {
    tell: (job) => thread.postMessage(job ?? null),
    stop: async () => void (await thread.terminate()),
  };
}

async function beatOn({ heartOf, queue: url, lostAfter }: Beating): Promise<void> {
  const ctx = defaultContext();
  let job: Taken | undefined;
  let queue: Queue | undefined;
  const beat = async (): Promise<void> => {
    try {
      queue ??= await openQueue(url, ctx, lostAfter);
      await queue.beat(heartOf, job);
    } catch {
      // the next beat may reach the server
    }
  };
  parentPort!.on("message", (told: Taken | null) => {
    job = told ?? undefined;
  });
  for (;;) {
    await beat();
    await pause(ctx, (1000 * lostAfter) / 6);
  }
}

const isBeating = (data: unknown): data is Beating => isRecord(data) && "heartOf" in data;

if (!isMainThread && isBeating(workerData)) await beatOn(workerData);
