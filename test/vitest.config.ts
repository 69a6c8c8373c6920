/** The tests that need nothing but Node. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    testTimeout: 240_000, // the slowest takes ten seconds on a quiet machine and a minute on one that does four other things
    globalSetup: ["test/runs.ts"],
    pool: "forks",
    maxWorkers: 2,
  },
});
