"""What PEFT makes of adapters that the package saved: adapters.ts runs it. Needs torch, transformers and peft.

    HF_HUB_CACHE=WORK/hub HF_HUB_OFFLINE=1 python adapters.py WORK
"""

import json
import pathlib
import sys

import peft
import torch
import transformers


def load(folder):
    """As PEFT finds base and revision in the adapter's own config."""
    config = peft.PeftConfig.from_pretrained(folder)
    if "vision_config" not in json.loads((folder / "config.json").read_text()):
        return peft.AutoPeftModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    base = transformers.AutoModelForImageTextToText.from_pretrained(
        config.base_model_name_or_path, revision=config.revision, dtype=torch.float32, attn_implementation="eager"
    )
    return peft.PeftModel.from_pretrained(base, folder)


def main(work):
    found = {}
    for folder in sorted((work / "adapters").iterdir()):
        expected = json.loads((folder / "ours.json").read_text())
        model = load(folder).eval()
        with torch.no_grad():
            theirs = model(input_ids=torch.tensor([expected["ids"]])).logits[0].float().flatten()
            with model.disable_adapter():
                bare = model(input_ids=torch.tensor([expected["ids"]])).logits[0].float().flatten()
        ours = torch.tensor(expected["logits"])
        base = peft.PeftConfig.from_pretrained(folder).base_model_name_or_path
        found[folder.name] = {
            "base": "a folder" if pathlib.Path(base).is_absolute() else base,
            "off": ((ours - theirs).norm() / theirs.norm()).item(),
            "moved": ((theirs - bare).norm() / bare.norm()).item(),
        }
    print(json.dumps({"peft": peft.__version__, "transformers": transformers.__version__, "found": found}))


main(pathlib.Path(sys.argv[1]))
