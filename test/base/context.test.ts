/** The default context: what the environment says, and that an empty variable says nothing. */
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { defaultContext } from "../../src/base/context.ts";

afterEach(() => void vi.unstubAllEnvs());

const set = (values: Readonly<Record<string, string>>): void => {
  for (const name of ["LETHE_HOME", "LETHE_RUNS", "LETHE_THREADS", "LETHE_MEMORY", "XDG_CACHE_HOME"]) vi.stubEnv(name, values[name] ?? "");
};

test("runs and cache are where the environment says", () => {
  set({ LETHE_HOME: "home" });
  expect(defaultContext()).toMatchObject({ cache: join("home", "cache"), runs: join("home", "runs") });
  set({ LETHE_HOME: "home", LETHE_RUNS: "elsewhere" });
  expect(defaultContext().runs).toBe("elsewhere");
  set({ XDG_CACHE_HOME: "caches" });
  expect(defaultContext().cache).toBe(join("caches", "lethe"));
});

test("an empty variable counts as absent", () => {
  set({});
  const { runs, threads, memory, cache } = defaultContext();
  expect({ runs, threads, memory }).toEqual({ runs: "runs", threads: 2, memory: undefined });
  expect(cache).toMatch(/.cache.lethe$/);
});
