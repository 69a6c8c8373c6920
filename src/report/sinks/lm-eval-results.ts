/** The results of lm-evaluation-harness: a JSON file with the numbers, and a JSONL file of samples for each task. A group is a task. */
import { createHash } from "node:crypto";
import { mean } from "../../base/array.ts";
import { pythonJson } from "../../base/json.ts";
import { type JudgedNumber, nameOf, type SampleRecord } from "../../run/record.ts";
import { defineSink, type Evaluation, type Files, namesFor, type Naming } from "./sink.ts";

/** What the harness replaces in names of models and tasks. */
const NAMES: Naming = { bad: /["<>:|\\?*[\]]+/g, instead: "__", most: 150 };
/** The harness names how answers were filtered. These are not. */
const FILTER = "none";

/** The numbers of a group, or of all rows, and the rows with an answer of the model that have a value. */
interface Task {
  readonly name: string;
  readonly numbers: readonly JudgedNumber[];
  readonly rows: readonly SampleRecord[];
}

export const lmEvalResults = defineSink({
  name: "lm-eval-results",
  title: "lm-evaluation-harness",
  doc: "results_DATE.json and samples_TASK_DATE.jsonl of lm-evaluation-harness, below a folder for the model",
  to: "FOLDER",
  write: (evaluation) => {
    const tasks = tasksOf(evaluation);
    const { model, folder } = modelOf(evaluation);
    const date = `${new Date(evaluation.ended).toISOString().slice(0, -1).replaceAll(":", "-")}000`; // microseconds, as Python writes them
    const samples = tasks.flatMap(({ name, ...task }): [string, string[]][] => {
      const lines = samplesOf({ name, ...task }, evaluation);
      return lines.length > 0 ? [[name, lines]] : [];
    });
    const files: Files = {
      [`${folder}/results_${date}.json`]: `${pythonJson(resultsOf(evaluation, tasks, model, folder))}\n`,
      ...Object.fromEntries(
        samples.map(([task, lines]) => [`${folder}/samples_${task}_${date}.jsonl`, lines.map((line) => `${line}\n`).join("")]),
      ),
    };
    return { files };
  },
});

function tasksOf({ record: { numbers, suite }, rows }: Evaluation): Task[] {
  const unlike = [...new Map(numbers.map((number) => [nameOf(number), number])).values()];
  const groups = [...new Set(unlike.map(({ group }) => group))];
  const names = namesFor(
    groups.map((group) => (group ?? suite).replaceAll("/", NAMES.instead)),
    NAMES,
  );
  return groups.map((group, i) => {
    const own = unlike.filter((number) => number.group === group);
    return {
      name: names[i]!,
      numbers: own,
      rows: rows.filter(({ id, generation }) => generation !== undefined && own.some(({ bySample }) => Object.hasOwn(bySample, id))),
    };
  });
}

/** The model as it was named, and a folder for it. */
function modelOf({ asked, record: { log } }: Evaluation): { readonly model: string; readonly folder: string } {
  const model = typeof asked["model"] === "string" ? asked["model"] : log.name;
  return { model, folder: namesFor([model.replaceAll("/", NAMES.instead)], NAMES)[0]! };
}

const HIGHER: Readonly<Record<JudgedNumber["better"], boolean | null>> = { higher: true, lower: false, reference: null };

function resultsOf(
  { record, asserted, asked, ended, seconds, version }: Evaluation,
  tasks: readonly Task[],
  model: string,
  folder: string,
): unknown {
  const { run, missing, warnings, compat, suite } = record;
  const perTask = (of: (task: Task) => unknown): Record<string, unknown> => Object.fromEntries(tasks.map((task) => [task.name, of(task)]));
  return {
    results: perTask(({ name, numbers }) => ({ alias: name, ...Object.fromEntries(numbers.flatMap(scoresOf)) })),
    group_subtasks: perTask(() => []),
    configs: perTask((task) => configOf(task, run?.maxTokens)),
    versions: perTask(() => 0),
    "n-shot": perTask(() => 0),
    higher_is_better: perTask(({ numbers }) => Object.fromEntries(numbers.map(({ metric, better }) => [metric, HIGHER[better]]))),
    "n-samples": perTask(({ numbers }) => {
      const rows = Math.max(...numbers.map((number) => number.rows));
      return { original: rows, effective: rows };
    }),
    config: {
      model: "lethe",
      model_args: Object.fromEntries(
        Object.entries(asked).map(([key, value]) => [key, typeof value === "object" ? JSON.stringify(value) : value]),
      ),
      batch_size: run ? String(run.batch) : null,
      device: "cpu",
      limit: asked["limit"] ?? null,
      gen_kwargs: null,
      model_dtype: run?.dtype ?? null,
    },
    git_hash: null,
    date: ended / 1000 - seconds,
    lethe: { version, suite, compat, missing, warnings, assertions: asserted },
    task_hashes: {},
    model_source: "lethe",
    model_name: model,
    model_name_sanitized: folder,
    system_instruction: run?.system ?? null,
    total_evaluation_time_seconds: String(seconds),
  };
}

/** A number and its standard error under the harness's keys. */
function scoresOf({ metric, value, bySample }: JudgedNumber): [string, unknown][] {
  return [
    [`${metric},${FILTER}`, value],
    [`${metric}_stderr,${FILTER}`, errorOf(value, Object.values(bySample)) ?? "N/A"],
  ];
}

/** The standard error of the mean of the rows' values; undefined if the number is not their mean. */
function errorOf(value: number, values: readonly number[]): number | undefined {
  if (values.length < 2) return undefined;
  const middle = mean(values);
  if (!(Math.abs(middle - value) <= 1e-9 * Math.max(1, Math.abs(value)))) return undefined;
  return Math.sqrt(values.reduce((sum, x) => sum + (x - middle) ** 2, 0) / (values.length - 1) / values.length);
}

/** What the harness keeps of a task. Of the metrics, those that every sample has a value of are listed. */
const configOf = ({ name, numbers, rows }: Task, maxTokens: number | undefined): unknown => ({
  task: name,
  output_type: "generate_until",
  num_fewshot: 0,
  repeats: 1,
  should_decontaminate: false,
  generation_kwargs: generationOf(maxTokens),
  metric_list: numbers
    .filter(({ bySample }) => rows.length > 0 && rows.every(({ id }) => Object.hasOwn(bySample, id)))
    .map(({ metric, better, value, bySample }) => ({
      metric,
      aggregation: errorOf(value, Object.values(bySample)) === undefined ? "lethe" : "mean",
      higher_is_better: HIGHER[better],
    })),
});

const generationOf = (maxTokens: number | undefined): Record<string, unknown> => ({
  do_sample: false,
  until: [],
  ...(maxTokens !== undefined && { max_gen_toks: maxTokens }),
});

/** The samples of a task as lines: a question, what was said, and each metric's value. */
function samplesOf({ numbers, rows }: Task, { record: { run } }: Evaluation): string[] {
  return rows.map(({ id, question = "", answer = "", aliases = [], generation, target }, i) => {
    const values = numbers
      .filter(({ bySample }) => Object.hasOwn(bySample, id))
      .map(({ metric, bySample }) => [metric, bySample[id]] as const);
    const doc = { id, question, answer, ...(aliases.length > 0 && { aliases }), ...(target !== undefined && { target }) };
    const right = aliases.length > 0 ? printed([answer, ...aliases]) : answer;
    return pythonJson({
      ...Object.fromEntries(values),
      doc_id: i,
      doc,
      target: right,
      arguments: { gen_args_0: { arg_0: question, arg_1: generationOf(run?.maxTokens) } },
      resps: [[generation]],
      filtered_resps: [generation],
      filter: FILTER,
      metrics: values.map(([metric]) => metric),
      doc_hash: sha(JSON.stringify(doc)),
      prompt_hash: sha(question),
      target_hash: sha(right),
    });
  });
}

/** Texts as Python prints a list of them. The escapes of JSON are Python's too. */
const printed = (texts: readonly string[]): string => `[${texts.map((text) => JSON.stringify(text)).join(", ")}]`;

const sha = (text: string): string => createHash("sha256").update(text).digest("hex");
