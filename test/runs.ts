/** A temporary folder of runs for every process of the tests, so that none appears in the checkout. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Makes the folder before the first test; what it gives removes it after the last. */
export function setup(): () => void {
  const runs = mkdtempSync(join(tmpdir(), "lethe-runs-"));
  process.env["LETHE_RUNS"] = runs;
  return () => rmSync(runs, { recursive: true, force: true });
}
