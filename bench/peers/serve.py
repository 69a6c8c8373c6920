"""A torch peer that stays alive: reads one JSON command a line, answers one JSON line with the seconds that the work took.

usage: python serve.py MODEL_DIR [--threads 2]

First it prints {"ready": true, "torch": ..., "transformers": ...}. A command is {"job": NAME, ...}; the jobs are the
functions of the table below, whose arguments are the other members of the command. An answer holds "seconds" (the work alone, no
parsing, no loading), "peak_bytes" (of this process, so far) and what the job computed, so that both sides can be seen to do
the same work. A job that fails answers {"error": ...} and the next line is read.
"""
import argparse
import json
import os
import resource
import sys

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before torch is imported
os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
import transformers  # noqa: E402

from decode import decode  # noqa: E402
from evaluate import evaluate  # noqa: E402
from forward import forward  # noqa: E402
from grace import grace_edit  # noqa: E402
from memit import alphaedit_batch, memit_batch  # noqa: E402
from moments import moments  # noqa: E402
from rome import rome_edit, rome_step  # noqa: E402
from train import train  # noqa: E402
from wise import wise_edit  # noqa: E402

JOBS = {
    "decode": decode,
    "forward": forward,
    "evaluate": evaluate,
    "train": train,
    "rome-step": rome_step,
    "rome-edit": rome_edit,
    "memit": memit_batch,
    "alphaedit": alphaedit_batch,
    "statistics": moments,
    "grace": grace_edit,
    "wise": wise_edit,
}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print goes to stderr: stdout carries answers only
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()

    def say(answer: dict) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    say({"ready": True, "torch": torch.__version__, "transformers": transformers.__version__, "threads": torch.get_num_threads()})
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            command = json.loads(line)
            answer = JOBS[command.pop("job")](model, **command)
            say(answer | {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})
        except Exception as error:  # the parent decides what a failure means
            say({"error": f"{type(error).__name__}: {error}"})


main()
