/** The tests that compare with the reference's tensors and texts. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["parity/**/*.test.ts"],
    testTimeout: 1_200_000,
    pool: "forks",
    maxWorkers: 1,
  },
});
