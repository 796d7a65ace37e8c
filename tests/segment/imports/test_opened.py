import builtins
import io
import json
import os
from pathlib import Path

import nibabel as nib
import pytest
import SimpleITK as sitk  # noqa: N813
from test_slicer import image_of
from writers import by_name, traced, write_rtstruct

from petflame.errors import InputRefused
from petflame.segment.imports import files_of_import, import_segmentation


def names_of(path):
    return {p.name for p in files_of_import(path)}


def write(path, labels):
    if path.name.endswith((".nii", ".nii.gz")):
        nib.save(nib.Nifti1Image(labels.data, labels.grid.affine), path)
    elif path.suffix == ".dcm":
        write_rtstruct(path, {name: traced(mask) for name, mask in by_name(labels).items()})
    else:
        sitk.WriteImage(image_of(labels.data, labels.grid), str(path), useCompression=path.name.startswith("packed"))


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("map.nii", {"map.json"}),
        ("map.nii.gz", {"map.json"}),
        ("map.nrrd", {"map.json"}),
        ("read.seg.nrrd", {"read.json"}),
        ("map.nhdr", {"map.json", "map.raw"}),
        ("packed.nhdr", {"packed.json", "packed.raw.gz"}),
        ("map.mha", {"map.json"}),
        ("map.mhd", {"map.json", "map.raw"}),
        ("packed.mhd", {"packed.json", "packed.zraw"}),
        ("map.dcm", {"map.json"}),
    ],
)
def test_the_files_of_an_import_are_those_that_change_its_outcome(tmp_path, grids, truth, name, others):
    path = tmp_path / name
    write(path, truth["ct"])
    assert names_of(path) == {name, f"{name}.json", *others}
    before = import_segmentation(path, grids).labels.data
    both = [p for p in files_of_import(path) if p.suffix == ".json"]
    for beside in both:
        assert not beside.exists()
        beside.write_text("[")
        with pytest.raises(InputRefused):
            import_segmentation(path, grids)
        beside.unlink()
    assert (import_segmentation(path, grids).labels.data == before).all()
    assert set(tmp_path.iterdir()) == set(files_of_import(path)) - {*both}


@pytest.mark.parametrize("name", ["rois.json", "rois.xml"])
def test_an_export_of_rois_opens_the_names_beside_it(tmp_path, name):
    (tmp_path / name).write_text(json.dumps({"Images": []}))
    assert names_of(tmp_path / name) == {
        name,
        f"{name}.json",
        "rois.names.json" if name == "rois.json" else "rois.json",
    }


def test_a_folder_opens_every_file_in_it_and_what_their_headers_name(tmp_path, truth):
    folder = tmp_path / "edits"
    (folder / "deeper").mkdir(parents=True)
    write(folder / "deeper" / "map.mhd", truth["ct"])
    header = folder / "deeper" / "map.mhd"
    header.write_text(header.read_text().replace("map.raw", "../beside.raw"))
    (folder / "decisions.tsv").write_text("vessel\tdecision\n")
    os.symlink(folder, folder / "deeper" / "loop")
    assert {"decisions.tsv", "decisions.tsv.json", "map.mhd", "map.raw", "map.json", "beside.raw"} <= names_of(folder)
    assert all("loop" not in p.parts[:-1] for p in files_of_import(folder))


def test_a_missing_file_and_a_pipe_are_named_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.nhdr")
    assert names_of(tmp_path / "pipe.nhdr") == {"pipe.nhdr", "pipe.nhdr.json", "pipe.json"}
    assert names_of(tmp_path / "none.mhd") == {"none.mhd", "none.mhd.json", "none.json"}


def test_nothing_else_is_opened_in_the_folder(tmp_path, grids, truth, monkeypatch):
    path = tmp_path / "read.seg.nrrd"
    write(path, truth["ct"])
    (tmp_path / "read.nrrd.json").write_text("{")
    opened = set()

    def watch(real):
        def call(file, *args, **kwargs):
            opened.add(Path(str(file)).name)
            return real(file, *args, **kwargs)

        return call

    for module in (builtins, io):
        monkeypatch.setattr(module, "open", watch(open))
    import_segmentation(path, grids)
    assert {n for n in opened if n.startswith("read")} <= names_of(path)
