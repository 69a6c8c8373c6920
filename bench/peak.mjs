/** Loaded before a program: when it ends, the most memory that its process held is written, in bytes, to the file LETHE_BENCH_PEAK. */
import { writeFileSync } from "node:fs";

process.on("exit", () => writeFileSync(process.env.LETHE_BENCH_PEAK, `${process.resourceUsage().maxRSS * 1024}`));
