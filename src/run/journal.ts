/** Stores finished requests on disk until the whole run is done, so that a stopped run continues where it stopped. */
import type { Context } from "../base/context.ts";
import { LetheError } from "../base/fail.ts";
import { canonical } from "../base/hash.ts";
import type { EditRequest } from "../data/request.ts";
import type { MadeFor } from "../edit/edit.ts";
import type { Keeper, Step } from "../edit/sequence.ts";
import { StepLog } from "../edit/step-log.ts";

/** The fields of a request that are stored in an edit. */
export const recordOf = ({ id, prompt, subject, answer, target, note, merged }: EditRequest): MadeFor => ({
  id,
  prompt,
  subject,
  answer,
  target,
  ...(note !== undefined && { note }),
  ...(merged && { merged }),
});

/** A journal for requests in their order. `run` contains everything else that edits depend on. Without a path nothing is stored. */
export class Journal implements Keeper {
  private readonly path: string | undefined;
  private readonly run: string;
  private readonly requests: readonly EditRequest[];
  private readonly ctx: Context;
  private log: StepLog | undefined;

  constructor(path: string | undefined, run: string, requests: readonly EditRequest[], ctx: Context) {
    [this.path, this.run, this.requests, this.ctx] = [path, run, requests, ctx];
  }

  /** The finished steps for the first of these requests. It ends at the first request that was changed or removed since. */
  kept(): readonly Step[] {
    if (this.path === undefined) return [];
    const isOurs = (label: unknown, i: number): boolean => {
      const request = this.requests[i];
      return request !== undefined && canonical(label) === canonical(recordOf(request));
    };
    const { log, steps } = StepLog.open(this.path, this.run, isOurs);
    this.log = log;
    const { length } = steps;
    if (length > 0)
      this.ctx.log({ kind: "note", who: "forget", text: `going on after ${length} finished request${length > 1 ? "s" : ""}` });
    return steps;
  }

  /** Keeps one step more; steps are kept behind those that {@link kept} gave. */
  keep(step: Step): void {
    this.log?.append(step, recordOf(this.requests[this.log.length]!));
  }

  /** Runs the work for request `i`. An error names the request, and says that the earlier ones are stored. */
  async at<T>(i: number, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof LetheError) || error.trouble === "aborted" || this.requests.length === 1) throw error;
      const { who, got, wanted, hint, trouble } = error;
      const kept = i > 0 && this.path ? `The ${i} before it are kept for the same command.` : "";
      const which = `request ${this.requests[i]!.id} (${i + 1} of ${this.requests.length}): ${got}`;
      throw new LetheError(who, which, wanted, [hint, kept].filter(Boolean).join(" "), trouble);
    }
  }
}
