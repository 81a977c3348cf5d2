#!/usr/bin/env python3
"""Make BackdoorBench's attack_result.pt from this folder, which `poisonkit export --format backdoorbench` wrote.

Copy the folder to record/NAME of a BackdoorBench checkout and run, in the checkout's root:

    python record/NAME/attack_result.py --model preactresnet18 --weights trained.pt

`--weights` is a state_dict of that model, trained on these rows. Without it the weights are fresh ones, which will do
for the defences that train their own model on the poisoned rows (ABL, DBD, D-ST …) and for no other.

The clean rows are BackdoorBench's own, from data/DATASET. The result is a pickle, as BackdoorBench's all are: load none
that you did not make. (From torch 2.6 on its loader must say `torch.load(…, weights_only=False)`.)
"""

import argparse
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def state(part: dict, np) -> dict:
    """Return what `prepro_cls_DatasetBD_v2.set_state` takes. The test set keeps the triggered rows alone."""
    indicator = np.zeros(part["rows"])
    for entry in part["changed"]:
        indicator[entry["row"]] = entry["role"]  # 1 poisoned; a cover row (2) is read from its picture too
    every = np.arange(part["rows"])
    return {
        "bd_data_container": {
            "save_folder_path": str(HERE / part["folder"]),
            "data_dict": {
                entry["row"]: {
                    "path": str(HERE / entry["file"]),
                    "other_info": [entry["label"], entry["original_label"]],
                }
                for entry in part["changed"]
            },
            "save_file_format": ".png",
        },
        "getitem_all": True,
        "getitem_all_switch": False,
        "original_index_array": every if part["folder"] == "bd_train_dataset" else every[indicator == 1],
        "poison_indicator": indicator,
        "save_folder_path": str(HERE / part["folder"]),
    }


def main() -> None:
    """Read the options, collect, save."""
    parser = argparse.ArgumentParser(description="Make BackdoorBench's attack_result.pt from this folder.")
    parser.add_argument("--model", default="preactresnet18", help="one of BackdoorBench's models")
    parser.add_argument("--weights", help="its state_dict, trained on these rows; fresh weights without")
    parser.add_argument("--data", help="folder of BackdoorBench's clean data [default: data/DATASET]")
    asked = parser.parse_args()
    if "record" not in str(HERE):
        sys.exit(f"{HERE}: BackdoorBench finds its data only where the path has 'record' in it: record/NAME, say")
    sys.path.insert(0, os.getcwd())
    import numpy as np
    import torch
    from utils.aggregate_block.model_trainer_generate import generate_cls_model

    states = json.loads((HERE / "states.json").read_text(encoding="utf-8"))
    if asked.weights:
        weights = torch.load(asked.weights, map_location="cpu", weights_only=True)
    else:
        weights = generate_cls_model(asked.model, states["classes"]).state_dict()
    result = {
        "model_name": asked.model,
        "num_classes": states["classes"],
        "model": weights,
        "data_path": asked.data or f"data/{states['dataset']}",
        "img_size": states["image_shape"],
        "clean_data": states["dataset"],
        "bd_train": state(states["train"], np),
        "bd_test": state(states["test"], np),
    }
    torch.save(result, HERE / "attack_result.pt")
    print(f"wrote {HERE / 'attack_result.pt'}")


if __name__ == "__main__":
    main()
