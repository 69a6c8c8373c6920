/** A signal that has come before work that cannot be divided is heard, and not lost. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { TSX } from "../cli/lethe.ts";

/** Ends with 7 if the listener heard the signal. */
const script = (call: string): string => `
  import { ${call} } from ${JSON.stringify(new URL("../../src/base/bounded.ts", import.meta.url).href)};
  let isHeard = false;
  process.on("SIGTERM", () => void (isHeard = true));
  setTimeout(async () => {
    process.kill(process.pid, "SIGTERM");
    await ${call}("test", () => 1);
    setTimeout(() => process.exit(isHeard ? 7 : 8), 50);
  }, 20);
`;
const ended = (call: string): number | null =>
  spawnSync(process.execPath, ["--import", TSX, "--input-type=module", "-e", script(call)], { encoding: "utf8" }).status;

test("work that waits for the signals", () => expect(ended("breakable")).toBe(7));
test("work that cannot wait loses them", () => expect(ended("breakableNow")).toBe(8));
