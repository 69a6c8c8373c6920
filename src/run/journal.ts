/** Finished edits on disk until all of a run are done, so that a stopped run goes on where it was. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import type { Context } from "../base/context.ts";
import { LetheError } from "../base/fail.ts";
import { canonical } from "../base/hash.ts";
import { writeAtomic } from "../base/store.ts";
import type { EditRequest } from "../data/request.ts";
import type { Edit, MadeFor } from "../edit/edit.ts";
import { loadEdits, saveEdits } from "../edit/io.ts";

/** What of a request goes into an edit's record. */
export const recordOf = ({ id, prompt, subject, answer, target, note, merged }: EditRequest): MadeFor => ({
  id,
  prompt,
  subject,
  answer,
  target,
  ...(note !== undefined && { note }),
  ...(merged && { merged }),
});

/** A journal for requests in their order; `run` tells everything else that edits depend on. */
export class Journal {
  private readonly path: string | undefined;
  private readonly run: string;
  private readonly requests: readonly EditRequest[];

  constructor(path: string | undefined, run: string, requests: readonly EditRequest[]) {
    [this.path, this.run, this.requests] = [path, run, requests];
  }

  /** Finished edits, as far as their requests are the first of these; later ones may have been mended or taken out since. */
  finished(ctx: Context): Edit[] {
    if (!this.path || !existsSync(this.path) || !existsSync(`${this.path}.run`)) return [];
    const kept = readFileSync(`${this.path}.run`, "utf8") === this.run ? loadEdits(this.path) : [];
    const done: Edit[] = [];
    let count = 0;
    for (const edit of kept) {
      const { requests } = edit.by;
      if (canonical(requests) !== canonical(this.requests.slice(count, count + requests.length).map(recordOf))) break;
      count += requests.length;
      done.push(edit);
    }
    if (count > 0) ctx.log({ kind: "note", who: "forget", text: `going on after ${count} finished request${count > 1 ? "s" : ""}` });
    return done;
  }

  keep(edits: readonly Edit[]): void {
    if (!this.path) return;
    writeAtomic(`${this.path}.run`, this.run);
    saveEdits(this.path, edits);
  }

  /** Does what request `i` asks; an error says which of several it was, and that those before it are kept. */
  async at<T>(i: number, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof LetheError) || error.trouble === "aborted" || this.requests.length === 1) throw error;
      const { who, got, wanted, hint, trouble } = error;
      const kept = i > 0 && this.path ? `The ${i} before it are kept: mend it or take it out, and run the command again.` : "";
      const which = `request ${this.requests[i]!.id} (${i + 1} of ${this.requests.length}): ${got}`;
      throw new LetheError(who, which, wanted, [hint, kept].filter(Boolean).join(" "), trouble);
    }
  }
}

/** Forgets the journal of a finished run. */
export function closeJournal(path: string): void {
  rmSync(path, { force: true });
  rmSync(`${path}.run`, { force: true });
}
