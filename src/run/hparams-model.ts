/** The statements of a hyperparameter file about a model: the names of its modules, and the layer of the loss. */
import { fail } from "../base/fail.ts";
import type { AnyMethod } from "../methods/method.ts";
import { type StoredWeight, storedWeights } from "../model/arch/arch.ts";
import type { Shape } from "../model/load.ts";
import { atLayer } from "../model/names.ts";
import type { AskedOfModel } from "./hparams.ts";

/**
 * A module's name without its layer, and without what wrappers put around it: "model.layers[27].mlp.down_proj.weight" →
 * "layers.{}.mlp.down_proj".
 */
const templateOf = (name: string): string =>
  name
    .replaceAll(/\[(\d+)\]/g, ".$1")
    .replace(/\.weight$/, "")
    .replace(/(^|\.)\d+(?=\.|$)/, "$1{}")
    .replace(/^(?:(?:base_model|language_model|model|module)\.)+/, "");

/** Refuses a file that names another matrix, another module or another layer of the loss than the method takes in this model. */
export function checkOfModel(asked: readonly AskedOfModel[], method: AnyMethod, shape: Pick<Shape, "arch" | "config">): void {
  const { arch, config } = shape;
  const last = config.layers - 1;
  const stored = storedWeights(shape);
  const named = (name: string): string | undefined => {
    const weight: StoredWeight | undefined = stored.get(atLayer(name, 0));
    return weight && templateOf(weight.name);
  };
  const matrix = named(arch.memory.weight);
  const above = (name: string | undefined, levels: number): string | undefined => name?.split(".").slice(0, -levels).join(".");
  const isOneMatrix = !Object.hasOwn(method.params, "weights"); // a method that trains any weights has parameters for them
  const roles: Readonly<Record<string, readonly (string | undefined)[]>> = {
    rewrite_module_tmp: [matrix],
    ...(isOneMatrix && { inner_params: [matrix] }),
    mlp_module_tmp: [above(matrix, 1)],
    layer_module_tmp: [above(matrix, 2)],
    ln_f_module: [named("final_norm")],
    lm_head_module: config.tied ? [named("embed"), "lm_head"] : [named("head")],
  };
  for (const { place, key, value } of asked) {
    if (key === "v_loss_layer" && Number(value) !== last)
      fail(
        "hparams",
        `${place}: ${key} is ${JSON.stringify(value)}`,
        `${last}, the last layer of this model`,
        `${method.title} takes its loss from what the model says. Correct the line, or leave it out.`,
      );
    const wanted = (Object.hasOwn(roles, key) ? roles[key]! : []).filter((name) => name !== undefined);
    const names = (Array.isArray(value) ? value : [value]).filter((name): name is string => typeof name === "string");
    const other = names.find((name) => wanted.length > 0 && !wanted.includes(templateOf(name)));
    if (other !== undefined)
      fail(
        "hparams",
        `${place}: ${key} is ${other}`,
        `${wanted.join(" or ")} of this model`,
        `${method.title} works there and nowhere else. Correct the line, leave it out, or take a file that was made for this model.`,
      );
  }
}
