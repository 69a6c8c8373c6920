/** `lethe worker`: runs steps of grids that come over a queue. */
import { acts, declare, number, several } from "../command.ts";
import { plural } from "../format.ts";

interface Flags {
  readonly queue: string;
  readonly store: string;
  readonly tags?: readonly string[];
  readonly idle?: number;
  readonly lostAfter: number;
}

export const worker = acts<Flags>(
  declare(
    "worker",
    "Runs steps of grids that come over a queue in PostgreSQL.",
    "The steps come from lethe grid run --queue. The worker runs them in its own folder of runs and puts the results into the store. It has the tags memory (bytes), threads (cores) and device (cpu). SIGTERM gives the step at work back; what it finished of the step stays in the folder of runs.",
    [
      ["lethe worker --queue postgres://lethe@db/lethe --store /mnt/study", "on each machine"],
      ["lethe worker --queue postgres://lethe@db/lethe --store /mnt/study --tags device=gpu --tags memory=64e9", "with other tags"],
    ],
  )
    .requiredOption("--queue <url>", "the database of the queue")
    .requiredOption("--store <folder>", "the folder of results; all machines must reach it")
    .option("--tags <name=value>", "what this worker has; may be given several times", several)
    .option("--idle <seconds>", "end after so many seconds without a step", number({ min: 0 }))
    .option("--lost-after <seconds>", "seconds without a heartbeat after which a worker counts as lost", number({ min: 1 }), 60),
  async ({ terminal, ctx }, { queue, store, tags = [], idle, lostAfter }) => {
    const [{ serveQueue }, { tagsIn }] = await Promise.all([import("../../run/queue/worker.ts"), import("../../run/queue/tags.ts")]);
    const options = { queue, store, tags: tagsIn("--tags", tags), lostAfter, ...(idle !== undefined && { idle }) };
    const worked = await serveQueue(ctx, options);
    if (terminal.json) return terminal.object("worker", worked);
    terminal.line(`${worked.worker}: ${plural(worked.done, "step")} done, ${worked.failed} failed`);
  },
);
