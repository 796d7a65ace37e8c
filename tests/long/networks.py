"""Write a folder of TotalSegmentator weights of the published layout with networks that were never trained.

Run with the interpreter of TotalSegmentator's environment: ``python networks.py FOLDER random|coded [--fine]``.

The folders, trainers, configurations, voxel sizes, class numbers and the kind of network (nnU-Net's PlainConvUNet,
built by nnU-Net from ``plans.json`` and loaded from ``checkpoint_final.pth``) are those that TotalSegmentator 2.18.0
asks for. What is in the networks is not TotalSegmentator's:

random
    Six stages of 32 to 320 features and patches of 128 voxels a side (nnU-Net's usual size for isotropic CT; 31
    million parameters), random numbers: what they label means nothing, what they cost does.
coded
    Two stages without normalisation, of one voxel's reach, whose numbers are set so that a class of `CODES` is found
    where the CT holds its code, `hu_of(name)`, and nowhere else. Where vessels are painted on a CT in these codes, the
    labels must come back at their places; everything but the network's judgement is the real thing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

# HU of the first class, and from one to the next; everything of a patient is below (metal apart).
FIRST_HU, STEP_HU, HALF_WIDTH_HU = 2000.0, 100.0, 3.0
# What one is, after the normalisation of the plans.
UNIT_HU = 100.0
# Classes that are painted, of all models together, a code for each. Between a vessel and
# what surrounds it resampling makes rims of lower codes: the cava comes before the veins that end it,
# and the neck, whose voxels are never those of a CT, last.
CODES = (
    *("clavicula_left", "clavicula_right", "vertebrae_C1", "vertebrae_C5", "vertebrae_T1", "vertebrae_T4"),
    *("esophagus", "thyroid_gland", "heart"),
    *("superior_vena_cava", "brachiocephalic_vein_left", "brachiocephalic_vein_right"),
    *("common_carotid_artery_right", "common_carotid_artery_left", "aorta"),
    *("internal_jugular_vein_right", "internal_jugular_vein_left"),
    *("internal_carotid_artery_right", "internal_carotid_artery_left"),
)


def hu_of(name: str) -> float:
    """Intensity in which a class is painted."""
    return FIRST_HU + STEP_HU * CODES.index(name)


def models(class_map: dict[str, Any], parts: dict[str, Any], fine: bool) -> list[dict[str, Any]]:
    """Every model that the vessels need: folder, trainer, configuration, voxel size (mm, z y x) and classes."""
    organs, heart = parts["class_map_part_organs"], parts["class_map_part_cardiac"]
    long_trainer = "nnUNetTrainer_4000epochs_NoMirroring"
    usual = {"trainer": "nnUNetTrainerNoMirroring", "configuration": "3d_fullres", "spacing": [1.5, 1.5, 1.5]}
    total = class_map["total"]
    found = [
        {
            **usual,
            "folder": "Dataset291_TotalSegmentator_part1_organs_1559subj",
            "classes": organs,
        },
        {
            **usual,
            "folder": "Dataset293_TotalSegmentator_part3_cardiac_1559subj",
            "classes": heart,
        },
        {
            "folder": "Dataset298_TotalSegmentator_total_6mm_1559subj",
            "trainer": long_trainer,
            "configuration": "3d_fullres",
            "spacing": [6.0, 6.0, 6.0],
            "classes": total,
        },
        {
            "folder": "Dataset776_headneck_bones_vessels_492subj",
            "trainer": "nnUNetTrainer_DASegOrd0_NoMirroring",
            "configuration": "3d_fullres_high",
            "spacing": [1.0, 0.75, 0.75],
            "classes": class_map["headneck_bones_vessels"],
        },
    ]
    if fine:
        folder = "Dataset297_TotalSegmentator_total_3mm_1559subj"
        found.append({**found[2], "folder": folder, "spacing": [3.0, 3.0, 3.0]})
    return found


def plans(model: dict[str, Any], coded: bool) -> dict[str, Any]:
    """Plans as nnU-Net 2.8 reads them."""
    stages = 2 if coded else 6
    patch = [128] * 3
    features = (
        [2 * sum(name in CODES for name in model["classes"].values())] * 2
        if coded
        else [min(32 * 2**n, 320) for n in range(stages)]
    )
    configuration = {
        "data_identifier": f"nnUNetPlans_{model['configuration']}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": patch,
        "spacing": model["spacing"],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "batch_dice": False,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": features,
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[1 if coded else 3] * 3] * stages,
                "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
                "n_conv_per_stage": [1 if coded else 2] * stages,
                "n_conv_per_stage_decoder": [1 if coded else 2] * (stages - 1),
                "conv_bias": True,
                "norm_op": None if coded else "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {} if coded else {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    for what, order in (("data", 3), ("seg", 1), ("probabilities", 1)):
        name = "resample_data_or_seg_to_shape"
        configuration[f"resampling_fn_{what}"] = name
        arguments = {"is_seg": what == "seg", "order": order, "order_z": 0, "force_separate_z": None}
        configuration[f"resampling_fn_{what}_kwargs"] = arguments
    # Of the coded network, all that a CT may hold; of the other, a range such as nnU-Net finds in CTs.
    low, high, mean, std = (-1024.0, 8000.0, 0.0, UNIT_HU) if coded else (-1000.0, 1500.0, -50.0, 400.0)
    intensity = {"mean": mean, "median": mean, "std": std, "min": low, "max": high}
    return {
        "dataset_name": model["folder"],
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": model["spacing"],
        "original_median_shape_after_transp": patch,
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {model["configuration"]: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {**intensity, "percentile_00_5": low, "percentile_99_5": high}
        },
    }


def set_codes(network: Any, classes: dict[int, str]) -> None:
    """Set a network's numbers so that a class scores above nought within `HALF_WIDTH_HU` of its code only."""
    import torch

    painted = {number: hu_of(name) / UNIT_HU for number, name in classes.items() if name in CODES}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        # The first stage holds both signs of the distance to each code. The leaky rectifier (slope 0.01) makes their
        # sum 0.99 times the distance; what comes from below in the U is nought.
        [first], [last] = (_convolutions(m) for m in (network.encoder.stages[0], network.decoder.stages[-1]))
        head = network.decoder.seg_layers[-1]
        skipped = last.in_channels // 2
        for n, (number, code) in enumerate(painted.items()):
            for channel, sign in ((2 * n, 1.0), (2 * n + 1, -1.0)):
                first.weight[channel, 0] = sign
                first.bias[channel] = -sign * code
                last.weight[n, skipped + channel] = -1 / 0.99
            last.bias[n] = HALF_WIDTH_HU / UNIT_HU
            head.weight[number, n] = 1.0
        unpainted = [number for number in range(1, head.out_channels) if number not in painted]
        head.bias[unpainted] = -1.0


def _convolutions(module: Any) -> list[Any]:
    import torch

    return [m for m in module.modules() if isinstance(m, torch.nn.Conv3d)]


def write(root: Path, kind: str, fine: bool) -> None:
    """Write every model's folder; of kind random the model of heart and vessels alone, with a coded one that crops."""
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from totalsegmentator.map_to_binary import class_map, class_map_5_parts

    torch.manual_seed(1)
    for model in models(class_map, class_map_5_parts, fine):
        # What the others cost is known from one; cropped by random labels it would be the whole image.
        coded = kind == "coded" or "_6mm_" in model["folder"]
        if kind == "random" and not coded and "_cardiac_" not in model["folder"]:
            continue
        document = plans(model, coded)
        labels = {"background": 0} | {name: number for number, name in model["classes"].items()}
        name = f"{model['trainer']}__nnUNetPlans__{model['configuration']}"
        folder = root / model["folder"] / name
        (folder / "fold_0").mkdir(parents=True)
        (folder / "plans.json").write_text(json.dumps(document, indent=1))
        data = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 0, "file_ending": ".nii.gz"}
        (folder / "dataset.json").write_text(json.dumps(data, indent=1))
        architecture = document["configurations"][model["configuration"]]["architecture"]
        network = get_network_from_plans(
            architecture["network_class_name"],
            architecture["arch_kwargs"],
            architecture["_kw_requires_import"],
            1,
            len(labels),
            deep_supervision=False,
        )
        if coded:
            set_codes(network, model["classes"])
        checkpoint = {
            "network_weights": network.state_dict(),
            "trainer_name": model["trainer"],
            "init_args": {"configuration": model["configuration"]},
            "inference_allowed_mirroring_axes": None,
        }
        torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("kind", choices=("random", "coded"))
    parser.add_argument("--fine", action="store_true", help="also the 3 mm model that crops")
    asked = parser.parse_args()
    write(asked.folder, asked.kind, asked.fine)
