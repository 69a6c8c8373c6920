/** Which blocks see only the last keys, in the words of config.json. */
import { fail } from "../../base/fail.ts";
import type { Config } from "./arch.ts";
import { reader } from "./read-config.ts";

type Json = Readonly<Record<string, unknown>>;

export const FULL = "full_attention";
export const SLIDING = "sliding_attention";

/**
 * The window and the kind of each block. By `layer_types` if the file has them; else by `kindOf`. Without it, the blocks from
 * `max_window_layers` on have a window if `use_sliding_window` is set.
 */
export function windows(hf: Json, kindOf?: (layer: number) => string): Pick<Config, "window" | "kinds"> {
  const read = reader("config.json", hf);
  const layers = read.count("num_hidden_layers");
  const isUsed = kindOf !== undefined || read.flag("use_sliding_window", false);
  const window = hf["sliding_window"] == null || !isUsed ? undefined : read.size("sliding_window");
  const from = read.number("max_window_layers", layers);
  const listed = hf["layer_types"];
  const kinds = Array.isArray(listed)
    ? listed.map(String)
    : Array.from({ length: layers }, (_, layer) => (kindOf ? kindOf(layer) : layer < from ? FULL : SLIDING));
  const unknown = kinds.find((kind) => kind !== FULL && kind !== SLIDING);
  if (kinds.length !== layers || unknown !== undefined)
    fail(
      "config.json",
      unknown === undefined ? `${kinds.length} layer_types` : `a layer of type "${unknown}"`,
      unknown === undefined ? `one for each of the ${layers} layers` : `${FULL} or ${SLIDING}`,
      "Only models whose every block attends to earlier tokens are supported.",
      "unavailable",
    );
  return window === undefined || !kinds.includes(SLIDING) ? {} : { window, kinds };
}

/** The window of a model in which all blocks have it. */
export const oneWindow = (hf: Json): Pick<Config, "window"> =>
  hf["sliding_window"] == null ? {} : { window: reader("config.json", hf).size("sliding_window") };

/** What {@link windows} reads by `use_sliding_window`, in config.json's words. */
export const windowJson = (c: Config): Json => ({ use_sliding_window: c.window !== undefined, ...(c.kinds && { layer_types: c.kinds }) });

/** The kind of a block where every `period`-th one sees all keys. */
export const everyNth =
  (period: number) =>
  (layer: number): string =>
    (layer + 1) % period === 0 ? FULL : SLIDING;

/** The window of a block; undefined where it sees all keys. */
export const windowOf = ({ window, kinds }: Config, layer: number): number | undefined => (kinds?.[layer] === SLIDING ? window : undefined);
