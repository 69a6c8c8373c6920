/** MLflow's file store: its layout, its files as MLflow writes them, and names that it accepts. */
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { registry } from "../../../src/report/sinks/registry.ts";
import { ASSERTED, EVALUATION } from "./evaluation.ts";

const { own, shared } = registry.mlflow.write(EVALUATION, "/tmp/a b/mlruns");
const experiment = own.path.split("/")[0]!;
const text = (path: string): string => own.files[path] as string;

describe("MLflow", () => {
  test("an experiment for the suite, with an id that follows from its name", () => {
    expect(Object.keys(shared)).toEqual([`${experiment}/meta.yaml`]);
    expect(experiment).toMatch(/^[1-9]\d{17}$/);
    expect(parse(shared[`${experiment}/meta.yaml`] as string)).toEqual({
      artifact_location: `file:///tmp/a%20b/mlruns/${experiment}`,
      creation_time: EVALUATION.ended,
      experiment_id: experiment,
      last_update_time: EVALUATION.ended,
      lifecycle_stage: "active",
      name: "lethe tofu",
    });
    const other = registry.mlflow.write({ ...EVALUATION, record: { ...EVALUATION.record, suite: "edit" } }, "/tmp/mlruns");
    expect(other.own.path.split("/")[0]).not.toBe(experiment);
  });

  test("a run with its times from the timings of the evaluation", () => {
    expect(own.path).toBe(`${experiment}/${EVALUATION.id}`);
    expect(parse(text("meta.yaml"))).toEqual({
      artifact_uri: `file:///tmp/a%20b/mlruns/${experiment}/${EVALUATION.id}/artifacts`,
      end_time: EVALUATION.ended,
      entry_point_name: "",
      experiment_id: experiment,
      lifecycle_stage: "active",
      run_id: EVALUATION.id,
      run_name: "e1",
      run_uuid: EVALUATION.id,
      source_name: "",
      source_type: 4,
      source_version: "",
      start_time: EVALUATION.ended - 65_250,
      status: 3,
      tags: [],
      user_id: "lethe",
    });
  });

  test("metrics as lines of time, value and step; NaN and infinities as Python writes them", () => {
    const metrics = Object.entries(own.files).filter(([path]) => path.startsWith("metrics/"));
    expect(Object.fromEntries(metrics)).toEqual({
      "metrics/rouge1/forget": "1772600767089 0.5 0\n",
      "metrics/rouge1/forget.lower": "1772600767089 0.25 0\n",
      "metrics/rouge1/forget.upper": "1772600767089 0.75 0\n",
      "metrics/exact-match/forget": "1772600767089 0.3333333333333333 0\n",
      "metrics/rouge1/retain": "1772600767089 nan 0\n",
      "metrics/model-utility": "1772600767089 1e-05 0\n",
      "metrics/rouge1/_/x y/_ü__u0007_u202e____1": "1772600767089 inf 0\n",
    });
  });

  test("parameters and tags are files; long ones are cut to what MLflow takes", () => {
    expect(text("params/model")).toBe("org/model");
    expect(text("params/edit")).toBe('["edits/e1"]');
    expect(text("params/limit")).toBe("5");
    expect(text("tags/mlflow.runName")).toBe("e1");
    expect(text("tags/mlflow.note.content")).toContain("Left out: Forget Quality, there is no comparison run.");
    expect(own.files).not.toHaveProperty("tags/lethe.assertions");
    const long = registry.mlflow.write({ ...EVALUATION, asserted: ASSERTED, asked: { data: "d".repeat(7_000) } }, "/tmp/m").own.files;
    expect(long["params/data"]).toBe(`${"d".repeat(5_999)}…`);
    expect(long["tags/lethe.assertions"]).toBe("failed");
    const kept = registry.mlflow.write({ ...EVALUATION, asserted: ASSERTED.slice(0, 1) }, "/tmp/m").own.files;
    expect(kept["tags/lethe.assertions"]).toBe("hold");
  });

  test("names of a folder of MLflow's own, of files and of people stay within the run", () => {
    for (const path of Object.keys(own.files)) {
      expect(path.split("/")).not.toContain("..");
      expect(path).toMatch(/^(meta\.yaml$|artifacts\/|metrics\/|params\/|tags\/)/);
    }
    const odd = registry.mlflow.write({ ...EVALUATION, name: 'a: "b"\n\u2028\ud800' }, "/tmp/m").own.files;
    expect((parse(odd["meta.yaml"] as string) as { run_name: string }).run_name).toBe('a: "b"\n\\u2028\\ud800');
  });

  test("the record is an artifact; numbers that JSON does not have are texts", () => {
    const record = JSON.parse(text("artifacts/record.json")) as { numbers: { value: unknown }[]; assertions: unknown[] };
    expect(record.numbers.map(({ value }) => value)).toEqual([0.5, 1 / 3, "NaN", 1e-5, "Infinity"]);
    expect(record.assertions).toEqual([]);
  });
});
