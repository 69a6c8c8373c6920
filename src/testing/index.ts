/** `lethe/testing`: what every method, architecture, metric, target and attack must show, for tests outside this repository. */
export { type ArchCase, archConforms } from "./arch.ts";
export { type AttackCase, attackConforms } from "./attack.ts";
export { type MethodCase, methodConforms } from "./method.ts";
export { type MetricCase, metricConforms } from "./metric.ts";
export type { Runner } from "./runner.ts";
export { type TargetCase, targetConforms } from "./target.ts";
