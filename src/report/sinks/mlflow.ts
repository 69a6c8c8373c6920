/** MLflow's file store: an experiment for each suite, a run for each evaluation. */
import { pathToFileURL } from "node:url";
import { hash } from "../../base/hash.ts";
import { visible } from "../../base/visible.ts";
import { pythonNumber } from "../eval.ts";
import { defineSink, type Evaluation, type Files, measuresOf, namesFor, type Naming, noteOf, recordFile, settingsOf } from "./sink.ts";

/** Letters, digits, `_`, `.`, `-`, spaces, and `/` between parts. The parts are names of files, which most file systems limit to 255 bytes. */
const NAMES: Naming = { bad: /[^\p{L}\p{N}_.\- ]/gu, instead: "_", most: 200 };
/** Characters of a parameter and of a tag, at most. */
const [PARAM, TAG] = [6_000, 5_000];
/** Codes of MLflow: a run that ended well, and one of a program on this machine. */
const [FINISHED, LOCAL] = [3, 4];

export const mlflow = defineSink({
  name: "mlflow",
  title: "MLflow",
  doc: "MLflow's file store, for mlflow ui --backend-store-uri FOLDER",
  to: "FOLDER",
  write: (evaluation, folder) => {
    const { id, ended } = evaluation;
    const name = `lethe ${visible(evaluation.record.suite)}`;
    const experiment = idOf(name);
    const about = {
      artifact_location: uriOf(folder, experiment),
      creation_time: ended,
      experiment_id: experiment,
      last_update_time: ended,
      lifecycle_stage: "active",
      name,
    };
    return {
      shared: { [`${experiment}/meta.yaml`]: yaml(about) },
      own: { path: `${experiment}/${id}`, files: runFiles(evaluation, experiment, uriOf(folder, `${experiment}/${id}/artifacts`)) },
    };
  },
});

/** A number for an experiment that follows from its name. MLflow itself draws 18 digits. */
const idOf = (name: string): string => String(BigInt(`0x${hash("mlflow", name).slice(0, 14)}`)).padStart(18, "1");

/** A folder as a URL. MLflow reads artifacts at absolute URLs only. */
const uriOf = (folder: string, path: string): string => `${pathToFileURL(folder).href.replace(/\/$/, "")}/${path}`;

function runFiles(evaluation: Evaluation, experiment: string, artifacts: string): Files {
  const { record, asserted, id, ended, seconds, version } = evaluation;
  const measures = measuresOf(record, ".lower", ".upper");
  const names = namesFor(
    measures.map(({ name }) => name),
    NAMES,
  );
  const tags = {
    "mlflow.runName": visible(evaluation.name),
    "mlflow.user": "lethe",
    "mlflow.source.name": `lethe ${version}`,
    "mlflow.source.type": "LOCAL",
    "mlflow.note.content": noteOf(evaluation),
    ...(asserted.length > 0 && { "lethe.assertions": asserted.every(({ holds }) => holds) ? "hold" : "failed" }),
  };
  const meta = {
    artifact_uri: artifacts,
    end_time: ended,
    entry_point_name: "",
    experiment_id: experiment,
    lifecycle_stage: "active",
    run_id: id,
    run_name: visible(evaluation.name),
    run_uuid: id,
    source_name: "",
    source_type: LOCAL,
    source_version: "",
    start_time: ended - Math.round(1000 * seconds),
    status: FINISHED,
    tags: [],
    user_id: "lethe",
  };
  return {
    "meta.yaml": yaml(meta),
    "artifacts/record.json": recordFile(evaluation),
    ...below(
      "metrics",
      measures.map(({ value }, i) => [names[i]!, `${ended} ${pythonNumber(value)} 0\n`]),
    ),
    ...below(
      "params",
      Object.entries(settingsOf(evaluation)).map(([key, value]) => [key, clip(textOf(value), PARAM)]),
    ),
    ...below(
      "tags",
      Object.entries(tags).map(([key, value]) => [key, clip(value, TAG)]),
    ),
  };
}

const below = (folder: string, files: readonly (readonly [name: string, text: string])[]): Files =>
  Object.fromEntries(files.map(([name, text]) => [`${folder}/${name}`, text]));

const textOf = (value: unknown): string => visible(typeof value === "string" ? value : JSON.stringify(value));

const clip = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** A mapping as YAML. A JSON value is one in YAML too. */
const yaml = (of: Readonly<Record<string, unknown>>): string =>
  Object.entries(of)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
    .join("");
