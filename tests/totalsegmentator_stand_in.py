"""A package that looks like TotalSegmentator 2.18.0 and returns known masks."""

# The signature of TotalSegmentator 2.18.0, so that an argument it does not know fails here too.
STAND_IN = """
import json, os
import nibabel as nib
import numpy as np
from totalsegmentator.map_to_binary import class_map

calls = []


def totalsegmentator(input, output=None, ml=False, nr_thr_resamp=1, nr_thr_saving=6, fast=False, nora_tag="None",
                     preview=False, task="total", roi_subset=None, statistics=False, radiomics=False, crop_path=None,
                     body_seg=False, force_split=False, output_type="nifti", quiet=False, verbose=False, test=0,
                     skip_saving=False, device="gpu", license_number=None, statistics_exclude_masks_at_border=True,
                     no_derived_masks=False, v1_order=False, fastest=False, roi_subset_robust=None,
                     stats_aggregation="mean", remove_small_blobs=False, statistics_normalized_intensities=False,
                     robust_crop=False, higher_order_resampling_LEGACY=False, higher_order_resampling=False,
                     save_probabilities=None, debug=False, report=None, statistics_extra=False, save_lowres=False,
                     resampling_order=1, plans="nnUNetPlans", model_size="big"):
    if (roi_subset_robust or roi_subset) is not None and not task.startswith("total"):
        raise ValueError("roi_subset only works with task 'total' or 'total_mr'")
    with open(os.path.join(os.environ["TOTALSEG_HOME_DIR"], "config.json")) as stream:
        config = json.load(stream)
    weights = sorted(os.listdir(os.environ["TOTALSEG_WEIGHTS_PATH"]))
    calls.append({"task": task, "roi_subset": roi_subset, "device": device, "ml": ml, "config": config,
                  "weights": weights, "output": output,
                  "roi_subset_robust": roi_subset_robust, "robust_crop": robust_crop})
    image = nib.load(input)
    truth = np.load(os.environ["STAND_IN_TRUTH"])
    data = np.zeros(image.shape, np.uint8)
    wanted = roi_subset_robust or roi_subset or list(class_map[task].values())
    for number, name in class_map[task].items():
        if name in wanted and name in truth:
            data[truth[name]] = number
    result = nib.Nifti1Image(data, image.affine)
    if output is not None and ml and not skip_saving:
        nib.save(result, output)
    return result
"""
