/** Shows the content of data before it is used, and writes it in our own format. */
import { existsSync } from "node:fs";
import type { Context } from "../base/context.ts";
import { LetheError } from "../base/fail.ts";
import { holding, refuseTaken, writeAtomicWith } from "../base/store.ts";
import type { ForgetRequest } from "../data/request.ts";
import { registry } from "../data/sets/registry.ts";
import type { DataSet } from "../data/sets/set.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { resolveModel } from "../hub/hub.ts";
import { subjectSpan } from "../text/spans.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { type DataOptions, requestsIn } from "../data/place.ts";

export { type ContractOptions, type Generated, generateContracts, shapes } from "../data/contracts/write.ts";

export type SetAbout = Pick<DataSet, "name" | "doc" | "source" | "licence" | "splits">;

/** Every published dataset that can be read. */
export const listSets = (): SetAbout[] =>
  Object.values(registry as Readonly<Record<string, DataSet>>).map(({ name, doc, source, licence, splits }) => ({
    name,
    doc,
    source,
    licence,
    ...(splits && { splits }),
  }));

/** The position of a subject in the tokens of its question. */
export interface Placed {
  readonly id: string;
  /** The text of its last token; null if the subject is not found. */
  readonly last: string | null;
  readonly why?: string;
}

export interface DataCard {
  readonly data: string;
  readonly requests: readonly ForgetRequest[];
  /** Ids of the requests whose subject was guessed from the question's spelling, and of those without a subject. */
  readonly guessed: readonly string[];
  readonly without: readonly string[];
  /** The number of requests that have each field. */
  readonly with: Readonly<Record<"answer" | "paraphrases" | "neighbours" | "wrong" | "restated", number>>;
  readonly groups: number;
  readonly relations: number;
  /** Each subject, if a model's tokenizer was given. */
  readonly placed?: readonly Placed[];
}

/** Reads data and describes it; with a model, also the last token of each subject. No weight is read. */
export async function showData(data: string, ctx: Context, options: DataOptions & { readonly model?: string } = {}): Promise<DataCard> {
  const { model, ...reading } = options;
  const { requests, guessed } = await requestsIn(data, ctx, reading);
  const having = (test: (request: ForgetRequest) => boolean): number => requests.filter(test).length;
  const different = (field: "group" | "relation"): number => new Set(requests.flatMap((request) => request[field] ?? [])).size;
  const without = requests.filter(({ subject }) => subject === "").map(({ id }) => id);
  return {
    data,
    requests,
    guessed: guessed.filter((id) => !without.includes(id)),
    without,
    with: {
      answer: having(({ answer }) => answer !== ""),
      paraphrases: having(({ paraphrases }) => paraphrases.length > 0),
      neighbours: having(({ neighbours }) => neighbours.length > 0),
      wrong: having(({ wrong }) => wrong.length > 0),
      restated: having(({ restated }) => restated !== undefined),
    },
    groups: different("group"),
    relations: different("relation"),
    ...(model !== undefined && { placed: await placesIn(model, requests, ctx) }),
  };
}

async function placesIn(model: string, requests: readonly ForgetRequest[], ctx: Context): Promise<Placed[]> {
  const checkpoint = openCheckpoint(await resolveModel(model, ctx));
  try {
    const tokenizer = createTokenizer(checkpoint.tokenizerJson, checkpoint.tokenizerConfig, checkpoint.generation);
    return requests
      .filter(({ subject }) => subject !== "")
      .map(({ id, prompt, subject }): Placed => {
        const encoding = tokenizer.encode(prompt, { special: false });
        try {
          const [from, to] = encoding.offsets[subjectSpan(encoding, prompt, subject).last]!;
          return { id, last: prompt.slice(from, to) };
        } catch (error) {
          if (!(error instanceof LetheError)) throw error;
          return { id, last: null, why: error.got };
        }
      });
  } finally {
    checkpoint.close();
  }
}

/** Writes the data as JSONL in our own format, including subjects, so that a person can correct it. Refuses an existing file. */
export async function convertData(
  data: string,
  out: string,
  ctx: Context,
  { force = false, ...options }: DataOptions & { readonly force?: boolean } = {},
): Promise<{ readonly path: string; readonly rows: number; readonly guessed: readonly string[] }> {
  return holding(out, "data", async (output) => {
    if (existsSync(out) && !force) refuseTaken(out, "data");
    const { requests, guessed } = await requestsIn(data, ctx, options);
    const encoder = new TextEncoder();
    output.put((making) =>
      writeAtomicWith(making, (write) => {
        for (const request of requests) write(encoder.encode(`${JSON.stringify(request)}\n`));
      }),
    );
    return { path: out, rows: requests.length, guessed };
  });
}
