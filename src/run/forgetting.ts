/** Reads a spec of forgetting into requests, settings and values. Every file that it names is read here. */
import { fail } from "../base/fail.ts";
import { readText } from "../data/records.ts";
import type { ForgetRequest } from "../data/request.ts";
import type { Merge, MergedSubject } from "../targets/merge.ts";
import type { AnyMethod } from "../methods/method.ts";
import { type Given, methodOf, methodsOf, type Settings } from "./choice.ts";
import { everyNeed } from "./needed.ts";
import { given, type Values } from "./fields.ts";
import { type AskedOfModel, readHparams } from "./hparams.ts";
import { readRequests, withSubjects } from "./requests.ts";
import { type forgetSpec, SETTING_FIELDS } from "./specs/forget.ts";
import type { Lent } from "./step.ts";

export type ForgetValues = Values<typeof forgetSpec.fields>;

/** The content of a spec, with its files read. */
export interface Forgetting {
  readonly requests: readonly ForgetRequest[];
  readonly settings: Settings;
  readonly given: Given;
  /** The statements of a hyperparameter file about the model. */
  readonly ofModel: readonly AskedOfModel[];
}

/** Reads requests, rows and settings from the named files. Missing subjects are guessed. */
export async function readForgetting(values: ForgetValues, { ctx }: Pick<Lent, "ctx">): Promise<Forgetting> {
  const { plain, text, tokens, templates } = values;
  const read: Record<string, unknown> = {};
  for (const need of everyNeed()) read[need.name] = await need.read?.(values, ctx);
  const { params, compat, ofModel } = fromHparams(values, { ctx });
  const merge = mergeOf(values);
  const statistics = given({ text, tokens });
  const data = values.data as string | undefined;
  const requests = withSubjects(await readRequests("forget", { ...values, data }, ctx), ctx);
  return {
    requests,
    settings: {
      ...settingsIn(values),
      ...(merge && { merge }),
      ...(plain && { format: "plain" as const }),
      ...(templates !== undefined && { templates: readTemplates(templates) }),
      ...(Object.keys(statistics).length > 0 && { statistics }),
      params,
      compat,
    },
    given: given(read) as Given,
    ofModel,
  };
}

/** Options that are settings by the same name. */
const settingsIn = (values: ForgetValues): Settings =>
  given(Object.fromEntries(Object.entries(values).filter(([key]) => Object.hasOwn(SETTING_FIELDS, key))));

/** Parameters and quirks of a hyperparameter file; explicitly set values override them. A warning names the keys that are not used. */
function fromHparams(
  { hparams, set, compat, method, plain }: ForgetValues,
  { ctx }: Pick<Lent, "ctx">,
): Required<Pick<Settings, "params" | "compat">> & Pick<Forgetting, "ofModel"> {
  if (hparams === undefined) return { params: set, compat, ofModel: [] };
  const one = methodOf(method, ctx);
  const file = readHparams(hparams, one, { methods: Object.values(methodsOf(ctx)), isPlain: plain });
  if (file.unread.length > 0)
    ctx.log({ kind: "warning", who: "hparams", text: `${hparams}: nothing here reads ${file.unread.join(", ")}` });
  // an explicitly set value also replaces the file's value under the other name
  const params = Object.entries(file.params).filter(([name]) => !isSaid(one, name, set));
  return { params: { ...Object.fromEntries(params), ...set }, compat: [...file.compat, ...compat], ofModel: file.ofModel };
}

/** Whether the values contain the other name of a parameter. */
function isSaid({ params }: AnyMethod, name: string, values: Readonly<Record<string, unknown>>): boolean {
  const table = params as Readonly<Record<string, { readonly instead?: string }>>;
  const other = table[name]?.instead ?? Object.keys(table).find((key) => table[key]!.instead === name);
  return other !== undefined && Object.hasOwn(values, other);
}

/** How questions are merged. Options of merging are refused without --merge. */
function mergeOf({ merge: size, separator, mergeSubject }: ForgetValues): Merge | undefined {
  if (size !== undefined)
    return { size, ...given({ separator: separator?.replaceAll("\\n", "\n"), subject: mergeSubject as MergedSubject | undefined }) };
  const flag = separator !== undefined ? "--separator" : mergeSubject !== undefined ? "--merge-subject" : undefined;
  return flag === undefined
    ? undefined
    : fail("forget", `${flag} without --merge`, "how many questions are put into one", "Give --merge N.");
}

/** Characters of a template, at most: it stands before every question of an edit. */
const LONGEST_TEMPLATE = 100_000;

function readTemplates(path: string): string[] {
  const lines = readText(path)
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "");
  const long = lines.findIndex((line) => line.length > LONGEST_TEMPLATE);
  if (long >= 0)
    fail(`${path} line ${long + 1}`, `a template of ${lines[long]!.length} characters`, `at most ${LONGEST_TEMPLATE}`, "Write one a line.");
  const bad = lines.findIndex((line) => line.split("{}").length !== 2);
  if (bad >= 0)
    fail(
      `${path} line ${bad + 1}`,
      `template "${lines[bad]}"`,
      'text with "{}" once, where the prompt stands',
      'For example "I read this. {}".',
    );
  if (lines.length === 0) fail(path, "no templates", "one a line", 'The plain prompt is "{}".');
  return lines;
}
