"""Checkpoints as this machine's transformers writes them, and what it makes of those that the package saved.

    python checkpoints.py make ../golden/models WORK    random weights of every family, saved by transformers; its logits
    python checkpoints.py read WORK                     opens WORK/NAME/saved, compares with the logits written beside it

compare.ts runs both. Needs torch, transformers, safetensors and pillow.
"""

import json
import pathlib
import shutil
import sys

import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

# Golden folder whose tokenizer and config are the beginning, and what is changed: other shapes than the golden ones.
FAMILIES = {
    "Qwen2": ("qwen2-tied", {"num_hidden_layers": 2, "hidden_size": 96, "num_attention_heads": 6, "num_key_value_heads": 3}),
    "Qwen3": ("qwen3", {"num_hidden_layers": 2, "layer_types": ["full_attention"] * 2, "head_dim": 48, "intermediate_size": 96}),
    "Llama": ("llama3", {"num_hidden_layers": 2, "num_key_value_heads": 4}),
    "Mistral": ("mistral-math-shepherd", {"num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 1}),
    "InternVL, Qwen2": ("internvl-hf-qwen2", {}),
    "InternVL, Qwen3": ("internvl3_5-qwen3", {}),
    "Qwen2.5-VL": ("qwen2_5_vl", {}),
    "Qwen3-VL": ("qwen3_vl", {}),
}
WEIGHTS = (".safetensors", ".png", "golden.json", "config.json", ".index.json")
PICTURE = "image-2.png"  # of a size that needs no resizing, which versions of Pillow do in other orders
LENGTH, SEED = 100, 20261


def load(folder):
    model = transformers.AutoModelForImageTextToText if "vision_config" in config_of(folder) else transformers.AutoModelForCausalLM
    return model.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def picture_of(folder):
    """What the model reads of the golden picture, and the ids that stand for it; nothing for families that cut tiles, which
    transformers resizes in its own way."""
    config = config_of(folder)
    if "spatial_merge_size" not in config.get("vision_config", {}):
        return {}, []
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    read = processor(images=[Image.open(folder / PICTURE).convert("RGB")], return_tensors="pt")
    rows = int(read["image_grid_thw"].prod()) // config["vision_config"]["spatial_merge_size"] ** 2
    return dict(read), [config["vision_start_token_id"], *[config["image_token_id"]] * rows, config["vision_end_token_id"]]


def logits(model, ids, picture):
    given = {"input_ids": torch.tensor([ids]), **picture}
    if picture:
        given["mm_token_type_ids"] = (given["input_ids"] == model.config.image_token_id).int()
    with torch.no_grad():
        return model(**given).logits[0].float()


def make(golden, work):
    torch.manual_seed(SEED)
    for name, (base, change) in FAMILIES.items():
        folder = work / name
        config = {k: v for k, v in config_of(golden / base).items() if k not in ("dtype", "torch_dtype")} | change
        config = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(config)
        model = getattr(transformers, config.architectures[0])(config)
        with torch.no_grad():  # away from the zeros and ones that a fresh model begins with
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        model.to(torch.bfloat16).save_pretrained(folder)
        for path in (golden / base).iterdir():
            if not path.name.endswith(WEIGHTS) or path.name.endswith(("tokenizer_config.json", "preprocessor_config.json")):
                shutil.copy(path, folder / path.name)
        vocab = config.get_text_config().vocab_size
        ids = torch.randint(0, min(vocab, 600), (LENGTH,)).tolist()  # no id that stands for a picture
        if (golden / base / PICTURE).exists():
            shutil.copy(golden / base / PICTURE, folder / PICTURE)
        picture, shown = picture_of(folder)
        ids = ids[:20] + shown + ids[20:]
        save_file({"logits": logits(load(folder), ids, picture).contiguous()}, folder / "expected.bin")
        images = [str(folder / PICTURE)] if shown else []
        (folder / "expected.json").write_text(json.dumps({"ids": ids, "images": images, "transformers": transformers.__version__}))


def read(work):
    distances = {}
    for name in FAMILIES:
        folder = work / name
        if not (folder / "saved").exists():
            continue
        ids = json.loads((folder / "expected.json").read_text())["ids"]
        picture, _ = picture_of(folder)
        ours = torch.tensor(json.loads((folder / "ours.json").read_text()))
        theirs = logits(load(folder / "saved"), ids, picture).flatten()
        distances[name] = ((ours - theirs).norm() / theirs.norm()).item()
    print(json.dumps(distances))


if sys.argv[1] == "make":
    make(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
else:
    read(pathlib.Path(sys.argv[2]))
