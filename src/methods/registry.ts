/** Every method by its id: generated from the listing of this folder by `npm run fix`. */
import { alphaedit } from "./alphaedit/alphaedit.ts";
import { altpo } from "./altpo.ts";
import { ceu } from "./ceu.ts";
import { dpo } from "./dpo.ts";
import { ft } from "./ft.ts";
import { ga } from "./ga.ts";
import { gd } from "./gd.ts";
import { grace } from "./grace/grace.ts";
import { hush } from "./hush/hush.ts";
import { idk } from "./idk.ts";
import { ike } from "./ike/ike.ts";
import { kl } from "./kl.ts";
import { lunar } from "./lunar/lunar.ts";
import { memit } from "./memit.ts";
import { npo } from "./npo.ts";
import { pdu } from "./pdu.ts";
import { replay } from "./replay.ts";
import { rmu } from "./rmu.ts";
import { rome } from "./rome/rome.ts";
import { satimp } from "./satimp.ts";
import { simnpo } from "./simnpo.ts";
import { systemMessage } from "./system-message.ts";
import { taskVector } from "./task-vector.ts";
import { undial } from "./undial.ts";
import { wga } from "./wga.ts";
import { wise } from "./wise/wise.ts";

export const registry = {
  "alphaedit": alphaedit,
  "altpo": altpo,
  "ceu": ceu,
  "dpo": dpo,
  "ft": ft,
  "ga": ga,
  "gd": gd,
  "grace": grace,
  "hush": hush,
  "idk": idk,
  "ike": ike,
  "kl": kl,
  "lunar": lunar,
  "memit": memit,
  "npo": npo,
  "pdu": pdu,
  "replay": replay,
  "rmu": rmu,
  "rome": rome,
  "satimp": satimp,
  "simnpo": simnpo,
  "system-message": systemMessage,
  "task-vector": taskVector,
  "undial": undial,
  "wga": wga,
  "wise": wise,
} as const;

export type Name = keyof typeof registry;
