/** An offline run of Weights & Biases, which `wandb sync` uploads: its transaction log, and its files. */
import { pythonJson } from "../../../base/json.ts";
import { visible } from "../../../base/visible.ts";
import { defineSink, type Evaluation, type Files, measuresOf, namesFor, type Naming, noteOf, recordFile, settingsOf } from "../sink.ts";
import { encoded, type Message, transactionLog } from "./transaction-log.ts";

/** Its pages sort and filter only by names of letters without accents, digits and `_`. A slash divides them into sections. */
const NAMES: Naming = { bad: /[^A-Za-z0-9_]/g, instead: "_", most: 200 };
/** Characters of an id that tell runs of a project apart. */
const ID = 16;
/** The project, unless `wandb sync --project` names another. */
const PROJECT = "lethe";

export const wandb = defineSink({
  name: "wandb",
  title: "Weights & Biases",
  doc: "an offline run of Weights & Biases, for wandb sync FOLDER/offline-run-*",
  to: "FOLDER",
  write: (evaluation) => {
    const id = evaluation.id.slice(0, ID);
    const [day, time] = new Date(startOf(evaluation)).toISOString().replaceAll(/[-:]/g, "").split(/[T.]/);
    const files = filesOf(evaluation);
    const log = transactionLog(recordsOf(evaluation, id, Object.keys(files)).map(encoded));
    const below = Object.fromEntries(Object.entries(files).map(([name, content]) => [`files/${name}`, content]));
    return { own: { path: `offline-run-${day}_${time}-${id}`, files: { [`run-${id}.wandb`]: log, ...below } } };
  },
});

const startOf = ({ ended, seconds }: Evaluation): number => ended - Math.round(1000 * seconds);

/** The numbers by the names that W&B takes. */
function measuredIn({ record }: Evaluation): Record<string, number> {
  const measures = measuresOf(record, "_lower", "_upper");
  const names = namesFor(
    measures.map(({ name }) => name),
    NAMES,
  );
  return Object.fromEntries(measures.map(({ value }, i) => [names[i]!, value]));
}

/** W&B's own values of a row: its number, when it was written, and the seconds since the start. */
const rowOf = (evaluation: Evaluation): Record<string, number> => ({
  ...measuredIn(evaluation),
  _step: 0,
  _timestamp: evaluation.ended / 1000,
  _runtime: evaluation.seconds,
});

/** The records of the log, with the field numbers of wandb_internal.proto. */
function recordsOf(evaluation: Evaluation, id: string, files: readonly string[]): Message[] {
  const { record, name, asserted, seconds, version } = evaluation;
  const start = startOf(evaluation);
  const row = items(rowOf(evaluation));
  const verdict = asserted.every(({ holds }) => holds) ? "assertions hold" : "assertions failed";
  const records: Message[] = [
    { 21: { 1: { 1: `lethe ${version}` } } }, // header: version_info: producer
    {
      17: {
        1: id,
        3: PROJECT,
        4: { 1: items(settingsOf(evaluation)) }, // config: update
        7: "eval", // job_type
        8: visible(name), // display_name
        9: noteOf(evaluation), // notes
        10: ["lethe", visible(record.suite), ...(asserted.length > 0 ? [verdict] : [])], // tags
        17: { 1: Math.floor(start / 1000), 2: 1_000_000 * (start % 1000) }, // start_time: seconds, nanos
      },
    },
    { 2: { 1: row, 2: { 1: 0 } } }, // history: item, step: num
    { 3: { 1: row } }, // summary: update
    { 6: { 1: files.map((path) => ({ 1: path, 2: 1 })) } }, // files: path, policy: at the end
    { 18: { 1: 0, 2: Math.round(seconds) } }, // exit: exit_code, runtime
  ];
  return records.map((one, i) => ({ 1: i + 1, ...one }));
}

/** Values as items: the key, and the value as JSON. */
const items = (values: Readonly<Record<string, unknown>>): Message[] =>
  Object.entries(values).map(([key, value]) => ({ 1: key, 16: pythonJson(value) }));

/** The files of a run that its pages show. */
function filesOf(evaluation: Evaluation): Files {
  const config = Object.entries(settingsOf(evaluation)).map(([key, value]) => `${key}:\n    value: ${visible(pythonJson(value))}\n`);
  const { version } = evaluation;
  const about = { startedAt: new Date(startOf(evaluation)).toISOString(), program: "lethe eval", lethe: version };
  return {
    "config.yaml": config.join(""),
    "record.json": recordFile(evaluation),
    "wandb-metadata.json": `${JSON.stringify(about, undefined, 2)}\n`,
    "wandb-summary.json": pythonJson(rowOf(evaluation)),
  };
}
