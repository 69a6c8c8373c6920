/** Stores finished requests on disk until the whole run is done, so that a stopped run continues where it stopped. */
import type { Context } from "../base/context.ts";
import { fail, LetheError } from "../base/fail.ts";
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

export interface Place {
  /** The folder of the journal. Without one nothing is stored. */
  readonly path: string | undefined;
  /** The journal of a shorter sequence, which this one continues. */
  readonly continued: string | undefined;
  /** A hash of everything that edits depend on besides their requests. */
  readonly about: string;
}

/** A journal for requests in their order. */
export class Journal implements Keeper {
  private readonly place: Place;
  private readonly requests: readonly EditRequest[];
  private readonly ctx: Context;
  private log: StepLog | undefined;

  constructor(place: Place, requests: readonly EditRequest[], ctx: Context) {
    [this.place, this.requests, this.ctx] = [place, requests, ctx];
  }

  /**
   * The finished steps for the first of these requests. It ends at the first request that was changed or removed since. Refuses to continue
   * a sequence of other requests, or one that was made with other settings.
   */
  kept(): readonly Step[] {
    const { path, continued } = this.place;
    if (path === undefined) return [];
    let steps = this.stepsAt(path);
    if (steps.length === 0 && continued !== undefined) {
      StepLog.copy(continued, path);
      steps = this.stepsAt(path);
      const wanted = StepLog.lengthOf(continued);
      if (steps.length < wanted || wanted === 0)
        fail(
          "forget",
          `--continue with ${wanted} finished requests, which are not the first ones here or were made with other settings`,
          "a sequence of the same method, settings and model whose requests come first",
          "Give --data that begins with them, or leave out --continue.",
        );
    }
    const { length } = steps;
    if (length > 0)
      this.ctx.log({ kind: "note", who: "forget", text: `going on after ${length} finished request${length > 1 ? "s" : ""}` });
    return steps;
  }

  private stepsAt(path: string): readonly Step[] {
    const isOurs = (label: unknown, i: number): boolean => {
      const request = this.requests[i];
      return request !== undefined && canonical(label) === canonical(recordOf(request));
    };
    const { log, steps } = StepLog.open(path, this.place.about, isOurs);
    this.log = log;
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
      const kept = i > 0 && this.place.path ? `The ${i} before it are kept for the same command.` : "";
      const which = `request ${this.requests[i]!.id} (${i + 1} of ${this.requests.length}): ${got}`;
      throw new LetheError(who, which, wanted, [hint, kept].filter(Boolean).join(" "), trouble);
    }
  }
}
