/** Every metric by its id: generated from the listing of this folder by `npm run fix`. */
import { composite } from "./composite.ts";
import { consistency } from "./consistency.ts";
import { divergence } from "./divergence.ts";
import { efficacy } from "./efficacy.ts";
import { emptyRate } from "./empty-rate.ts";
import { exactMatch } from "./exact-match.ts";
import { exactMemorisation } from "./exact-memorisation.ts";
import { extractionStrength } from "./extraction-strength.ts";
import { fluency } from "./fluency.ts";
import { forgetQuality } from "./forget-quality.ts";
import { forgetRate } from "./forget-rate.ts";
import { generality } from "./generality.ts";
import { hitRatio } from "./hit-ratio.ts";
import { membershipGradient } from "./membership-gradient.ts";
import { membershipLoss } from "./membership-loss.ts";
import { membershipMinK } from "./membership-min-k.ts";
import { membershipMinKPlus } from "./membership-min-k-plus.ts";
import { membershipReference } from "./membership-reference.ts";
import { membershipZlib } from "./membership-zlib.ts";
import { modelUtility } from "./model-utility.ts";
import { mrr } from "./mrr.ts";
import { neighbours } from "./neighbours.ts";
import { normalisedProbability } from "./normalised-probability.ts";
import { perplexity } from "./perplexity.ts";
import { portability } from "./portability.ts";
import { privacyLeakage } from "./privacy-leakage.ts";
import { probability } from "./probability.ts";
import { refusalRate } from "./refusal-rate.ts";
import { repetition } from "./repetition.ts";
import { retentionRate } from "./retention-rate.ts";
import { rouge1 } from "./rouge1.ts";
import { rouge2 } from "./rouge2.ts";
import { rougel } from "./rougel.ts";
import { sameTopToken } from "./same-top-token.ts";
import { targetMatch } from "./target-match.ts";
import { truthRatio } from "./truth-ratio.ts";

export const registry = {
  "composite": composite,
  "consistency": consistency,
  "divergence": divergence,
  "efficacy": efficacy,
  "empty-rate": emptyRate,
  "exact-match": exactMatch,
  "exact-memorisation": exactMemorisation,
  "extraction-strength": extractionStrength,
  "fluency": fluency,
  "forget-quality": forgetQuality,
  "forget-rate": forgetRate,
  "generality": generality,
  "hit-ratio": hitRatio,
  "membership-gradient": membershipGradient,
  "membership-loss": membershipLoss,
  "membership-min-k": membershipMinK,
  "membership-min-k-plus": membershipMinKPlus,
  "membership-reference": membershipReference,
  "membership-zlib": membershipZlib,
  "model-utility": modelUtility,
  "mrr": mrr,
  "neighbours": neighbours,
  "normalised-probability": normalisedProbability,
  "perplexity": perplexity,
  "portability": portability,
  "privacy-leakage": privacyLeakage,
  "probability": probability,
  "refusal-rate": refusalRate,
  "repetition": repetition,
  "retention-rate": retentionRate,
  "rouge1": rouge1,
  "rouge2": rouge2,
  "rougel": rougel,
  "same-top-token": sameTopToken,
  "target-match": targetMatch,
  "truth-ratio": truthRatio,
} as const;

export type Name = keyof typeof registry;
