"""Each finding is there where its fault is, and the audit of a folder without faults finds nothing."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from vae_jax.audit_data import audit_images, run
from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.workdir import mark_output


def open_pixels(path):
    return np.asarray(Image.open(path)).copy()


def edit(folder, pattern, change):
    """Changes the pixels of all images of a pattern."""
    for path in sorted(folder.glob(pattern)):
        Image.fromarray(change(open_pixels(path))).save(path)


def test_a_folder_without_faults_has_no_findings(make_folder, audit):
    assert audit(make_folder()) == {}


def test_a_folder_with_an_official_test_split_and_masks_has_no_findings(make_folder, audit):
    folder = make_folder({"train/good": 50, "test/good": 20, "test/bad": 20})
    mask = np.zeros((64, 64), np.uint8)
    mask[20:30, 20:40] = 255
    (folder / "ground_truth/bad").mkdir(parents=True)
    for i in range(20):
        Image.fromarray(mask).save(folder / f"ground_truth/bad/{i:03}_mask.png")
    assert audit(folder) == {}


# Refusals: the audit goes on.


def test_unreadable_images_are_named_and_the_others_audited(make_folder, audit):
    folder = make_folder()
    (folder / "good/000.png").write_bytes(b"no image")
    (folder / "good/001.png").write_bytes((folder / "good/001.png").read_bytes()[:200])
    finding = audit(folder)["unreadable"]
    assert finding["severity"] == "refusal"
    assert finding["title"] == "2 unreadable images"
    assert finding["examples"][0] == "good/000.png: not an image"
    assert audit(folder, skip_corrupt=True)["unreadable"]["severity"] == "warning"


def test_a_role_without_images_is_a_finding(make_folder, audit):
    folder = make_folder({"train/good": 50, "test/bad": 20})
    finding = audit(folder)["empty_role"]
    assert finding["severity"] == "refusal"
    assert "no normal image is left for test" in finding["text"]


def test_a_folder_without_a_normal_class_is_audited_by_class(make_folder, audit):
    folder = make_folder({"screws": 20, "nuts": 20})
    assert "name the normal classes" in audit(folder)["classes"]["text"]
    assert [c["count"] for c in audit.result["classes"].values()] == [20, 20]
    assert audit.result["trivial_features"] == []


def test_a_class_that_does_not_exist_is_a_finding(make_folder, audit):
    finding = audit(make_folder(), normal_classes=("godo",))["classes"]
    assert "'godo'" in finding["text"]


def test_an_image_outside_the_classes_is_a_finding_about_the_layout(make_folder, audit):
    folder = make_folder()
    shutil.copy(folder / "good/000.png", folder / "000.png")
    assert "not in the folder of a class" in audit(folder)["layout"]["text"]


def test_a_table_of_groups_with_a_mistake_is_a_finding(make_folder, audit):
    folder = make_folder()
    (folder / "groups.csv").write_text("file,group\ngood/nothing.png,1\n")
    assert "does not exist" in audit(folder)["groups"]["text"]
    assert audit.result["images"] == 80


def test_images_that_look_like_masks_are_a_finding(make_folder, audit):
    folder = make_folder()
    for i in range(60):
        pixels = np.zeros((64, 64), np.uint8)
        pixels[10:20] = 255
        Image.fromarray(pixels).save(folder / f"good/{i:03}_plan.png")
    assert "looks like the mask" in audit(folder)["mask_like_images"]["text"]


def test_contradicting_fields_of_the_framing_are_a_finding(make_folder, audit):
    assert (
        "data.tile_stride" in audit(make_folder(), framing="pad", tile_stride=8)["framing"]["text"]
    )


def test_ten_bits_in_sixteen_are_a_finding(make_folder, audit):
    folder = make_folder()
    for path in folder.glob("*/*.png"):
        Image.fromarray(open_pixels(path)[..., 0].astype(np.uint16) * 4).save(path)
    assert "data.intensity" in audit(folder)["bit_depth"]["text"]
    assert "bit_depth" not in audit(folder, intensity="window:0,1023")
    assert "bit_depth" not in audit(folder, intensity="percentile:0.1,99.9")


def test_a_folder_without_images_cannot_be_audited(tmp_path, audit):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no images"):
        audit(tmp_path / "empty")
    with pytest.raises(UserError, match="is not a folder"):
        audit(tmp_path / "nowhere")


def test_output_of_this_program_is_not_audited(make_folder, audit):
    folder = make_folder()
    mark_output(folder)
    with pytest.raises(UserError, match="written by this program"):
        audit(folder)


def test_a_folder_of_unreadable_images_is_an_error(make_folder, audit):
    folder = make_folder({"good": 3})
    for path in folder.glob("*/*"):
        path.write_bytes(b"no image")
    with pytest.raises(UserError, match="none of 3 images can be read"):
        audit(folder)


# Duplicates and groups.


def test_copies_of_one_class_have_one_role(make_folder, audit):
    folder = make_folder()
    shutil.copy(folder / "good/000.png", folder / "good/copy.png")
    Image.open(folder / "good/001.png").save(folder / "good/copy.bmp")
    findings = audit(folder)
    assert findings["exact_duplicates"]["title"] == "2 exact copies"
    assert sorted(findings["exact_duplicates"]["examples"]) == [
        "good/000.png = good/copy.png",
        "good/001.png = good/copy.bmp",
    ]
    assert "copies_in_test" not in findings


def test_training_images_with_a_copy_in_test_are_counted(make_folder, audit):
    folder = make_folder({"train/good": 50, "test/good": 20, "test/bad": 20})
    shutil.copy(folder / "train/good/000.png", folder / "test/good/copy.png")
    findings = audit(folder)
    assert (
        "1 normal images outside the test split are not used"
        in findings["exact_duplicates"]["text"]
    )
    assert "copies_in_test" not in findings


def test_an_image_that_is_both_normal_and_abnormal_is_named(make_folder, audit):
    folder = make_folder()
    shutil.copy(folder / "good/000.png", folder / "bad/copy.png")
    assert audit(folder)["contradictory_copies"]["examples"] == ["bad/copy.png = good/000.png"]


def test_copies_in_a_dataset_without_groups_of_copies_would_be_refused(make_folder, audit):
    folder = make_folder({"normal-cecum": 60, "polyps": 20})
    for i in range(30):
        shutil.copy(folder / f"normal-cecum/{i:03}.png", folder / f"normal-cecum/copy_{i}.png")
    fields = {"dataset": "kvasir", "normal_classes": ("normal-cecum",)}
    assert audit(folder, **fields)["copies_in_test"]["severity"] == "refusal"
    assert audit(folder, **fields)["copies_among_roles"]["severity"] == "warning"
    allowed = audit(folder, allow_duplicates=True, **fields)["copies_in_test"]
    assert allowed["severity"] == "warning"


def test_near_duplicates_in_two_roles_lead_to_a_proposal(make_folder, audit):
    folder = make_folder()
    for i in range(20):
        pixels = open_pixels(folder / f"good/{i:03}.png")
        darker = (0.9 * np.roll(pixels, 1, axis=1)).astype(np.uint8)
        Image.fromarray(darker).save(folder / f"good/again_{i:03}.png")
    finding = audit(folder)["near_duplicates_across_roles"]
    assert "--config.data.group_near_duplicates=true" in finding["text"]
    grouped = audit(folder, group_near_duplicates=True)
    assert "near_duplicates_across_roles" not in grouped
    assert grouped["near_duplicates"]["severity"] == "notice"


def test_a_normal_image_that_nearly_agrees_with_an_abnormal_one_is_named(make_folder, audit):
    folder = make_folder()
    pixels = open_pixels(folder / "good/000.png")
    pixels[30:33, 30:33] = 255
    Image.fromarray(pixels).save(folder / "bad/scratch.png")
    finding = audit(folder)["near_duplicates_across_labels"]
    assert finding["examples"] == ["bad/scratch.png ~ good/000.png"]


def test_groups_on_both_sides_of_the_test_split_are_counted(make_folder, audit):
    folder = make_folder({"train/good": 50, "test/good": 20, "test/bad": 20})
    (folder / "groups.csv").write_text("file,group\ntrain/good/000.png,a\ntest/good/000.png,a\n")
    finding = audit(folder)["straddling_groups"]
    assert finding["title"] == "1 group on both sides of the test split"
    assert finding["examples"] == ["train/good/000.png"]


def test_names_that_begin_alike_on_both_sides_of_the_test_split_are_found(make_folder, audit):
    folder = make_folder({"train/good": 50, "test/good": 20, "test/bad": 20})
    for path in sorted(folder.glob("*/good/*.png")):
        path.rename(path.with_name(f"person{int(path.stem)}_{path.parts[-3]}.png"))
    finding = audit(folder)["shared_names"]
    assert "personN: 20" in finding["text"]
    assert finding["severity"] == "warning"


# Shortcuts.


def test_the_width_of_the_file_is_a_shortcut(make_folder, audit):
    folder = make_folder()
    edit(folder, "bad/*.png", lambda pixels: pixels[:, :60])
    finding = audit(folder, framing="stretch")["shortcut"]
    assert finding["title"].startswith("anomalies are separated by width of the file (1.000)")


def test_brightness_is_a_shortcut_of_the_content(make_folder, audit):
    folder = make_folder()
    edit(folder, "bad/*.png", lambda pixels: pixels // 3 * 2)
    findings = audit(folder)
    text = findings["content_shortcut"]["text"]
    assert re.search(r"mean brightness 1\.000 \[0\.\d+, 1\.000\]", text)
    assert "shortcut" not in findings


def test_a_file_format_of_its_own_is_a_shortcut(make_folder, audit):
    folder = make_folder()
    for path in folder.glob("bad/*.png"):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    findings = audit(folder)
    assert (
        "JPEG: 0% of the normal images, 100% of the abnormal ones"
        in (findings["file_format_differs"]["text"])
    )
    assert "strength of the JPEG compression" in findings["shortcut"]["text"]


def test_grey_images_among_coloured_ones_are_a_shortcut(make_folder, audit):
    folder = make_folder()
    edit(folder, "bad/*.png", lambda pixels: pixels[..., 0])
    findings = audit(folder)
    assert "kind_differs" in findings
    assert "colour in place of grey" in findings["shortcut"]["text"]


@pytest.mark.parametrize("colour", [(0, 0, 0), (10, 120, 30)])
def test_a_box_in_the_corner_of_one_class_is_a_shortcut(make_folder, audit, colour):
    def draw_box(pixels):
        pixels[40:, :22] = colour
        return pixels

    folder = make_folder()
    edit(folder, "good/*.png", draw_box)
    findings = audit(folder)
    assert findings["corner_box"]["title"] == "a box in the lower left corner"
    assert findings["corner_box"]["severity"] == "warning"
    assert "0% of bad, 100% of good" in findings["corner_box"]["text"]
    assert "box in a corner of the visible part" in findings["shortcut"]["text"]


@pytest.mark.parametrize(("level", "kind"), [(4, "dark_frame"), (255, "white_frame")])
def test_a_frame_is_named_and_how_much_of_it_is_in_view(make_folder, audit, level, kind):
    def draw_frame(pixels):
        framed = np.full_like(pixels, level)
        framed[8:-8, 8:-8] = pixels[8:-8, 8:-8]
        return framed

    folder = make_folder()
    edit(folder, "*/*.png", draw_frame)
    text = audit(folder, crop=0.7)[kind]["text"]
    assert "100% of bad, 100% of good" in text
    assert "43.8% of an image on average, and 0.0% of the part" in text


# Contents.


@pytest.mark.parametrize(("level", "kind"), [(0, "constant"), (128, "constant"), (255, "constant")])
def test_images_of_one_grey_level_are_named(make_folder, audit, level, kind):
    folder = make_folder()
    edit(folder, "good/003.png", lambda pixels: np.full_like(pixels, level))
    assert audit(folder)[f"{kind}_images"]["examples"] == ["good/003.png"]


@pytest.mark.parametrize(("level", "kind"), [(2, "black"), (254, "white")])
def test_images_that_are_nearly_black_or_white_are_named(make_folder, audit, level, kind):
    def leave_a_pixel(pixels):
        pixels[1:] = level
        pixels[:, 1:] = level
        return pixels

    folder = make_folder()
    edit(folder, "good/003.png", leave_a_pixel)
    assert audit(folder)[f"{kind}_images"]["examples"] == ["good/003.png"]


def test_a_saturated_image_among_others_is_named(make_folder, audit):
    def saturate(pixels):
        pixels[:40] = 255
        return pixels

    folder = make_folder()
    edit(folder, "good/003.png", saturate)
    assert audit(folder)["saturated_images"]["examples"] == ["good/003.png"]


# Masks and framing.


@pytest.fixture
def masked_folder(make_folder):
    """A folder with an official test split, whose anomalies are at the right of wide images."""
    folder = make_folder({"train/good": 50, "test/good": 20, "test/bad": 20})
    for number, path in enumerate(sorted(folder.glob("*/*/*.png"))):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(60, 200, (8, 16, 3), np.uint8))
        coarse.resize((128, 64), Image.Resampling.BICUBIC).save(path)
    (folder / "ground_truth/bad").mkdir(parents=True)
    for i in range(20):
        mask = np.zeros((64, 128), np.uint8)
        mask[20:30, 110:120] = 255
        Image.fromarray(mask).save(folder / f"ground_truth/bad/{i:03}_mask.png")
    return folder


def test_anomalies_out_of_view_are_counted(masked_folder, audit):
    findings = audit(masked_folder)
    assert findings["anomalies_out_of_view"]["title"] == "20 anomalies out of view"
    assert findings["out_of_view"]["title"] == "50% of the area of the images is out of view"
    masks = audit.result["masks"]
    assert (masks["files"], masks["images_with_mask"], masks["marked_out_of_view"]) == (20, 20, 1.0)
    assert {"anomalies_out_of_view", "out_of_view"}.isdisjoint(
        audit(masked_folder, framing="stretch")
    )


@pytest.mark.parametrize("framing", ["tiles", "auto"])
def test_tiles_show_the_whole_image_and_are_judged_as_one(masked_folder, audit, framing):
    assert audit(masked_folder, framing=framing) == {}
    assert audit.result["framing"]["framing"] == "tiles"
    assert audit.result["rows"] == audit.result["images"] == 90


def test_masks_that_are_missing_empty_or_unmatched_are_named(masked_folder, audit):
    masks = masked_folder / "ground_truth/bad"
    (masks / "000_mask.png").rename(masks / "900_mask.png")
    Image.fromarray(np.zeros((64, 128), np.uint8)).save(masks / "001_mask.png")
    findings = audit(masked_folder, framing="stretch")
    assert findings["unmatched_masks"]["examples"] == ["ground_truth/bad/900_mask.png"]
    assert findings["anomalies_without_mask"]["examples"] == ["test/bad/000.png"]
    assert findings["empty_masks"]["examples"] == ["test/bad/001.png"]


def test_masks_of_normal_images_that_mark_something_are_named(masked_folder, audit):
    (masked_folder / "ground_truth/good").mkdir()
    mask = masked_folder / "ground_truth/bad/000_mask.png"
    shutil.copy(mask, masked_folder / "ground_truth/good/000_mask.png")
    findings = audit(masked_folder, framing="stretch")
    assert findings["marked_normals"]["examples"] == ["test/good/000.png"]


def test_masks_that_mark_most_pixels_are_a_finding(masked_folder, audit):
    for path in masked_folder.glob("ground_truth/*/*"):
        Image.fromarray(255 - open_pixels(path)).save(path)
    findings = audit(masked_folder, framing="stretch")
    assert "--config.data.mask_values" in findings["mask_share"]["text"]


def test_images_that_shrink_a_lot_are_named(make_folder, audit):
    folder = make_folder()
    assert audit(folder, image_size=8)["shrunk"]["title"] == "images are shrunk 8.0 times"


def test_too_few_calibration_images_are_a_finding(make_folder, audit, audit_config):
    audit_config.scoring.false_alarm_rate = 0.01
    assert "needs 99 of them" in audit(make_folder())["too_few_calibration_images"]["text"]


def test_what_the_walk_passes_over_is_listed(make_folder, audit):
    folder = make_folder()
    (folder / "good/notes.txt").write_text("x")
    (folder / "good/scan.xyz").write_text("x")
    (folder / ".hidden").mkdir()
    (folder / "@eaDir").mkdir()
    findings = audit(folder)
    assert findings["other_files"]["title"] == "2 other files"
    assert findings["passed_over"]["title"] == "2 hidden entries"
    rest = audit.result["passed_over"]
    assert rest["suffixes"] == {".txt": 1, ".xyz": 1}
    assert rest["entries"] == {"@eaDir": 1, "hidden": 1}


def test_images_outside_the_splits_are_named(make_folder, audit):
    folder = make_folder({"train/good": 50, "test/good": 20, "test/bad": 20, "spare": 2})
    assert audit(folder)["unused_images"]["examples"] == ["spare/000.png", "spare/001.png"]


# Other datasets, and the mode.


@pytest.mark.slow
def test_the_embedded_digits_are_audited_without_a_folder(tmp_path):
    config = default()
    config.data.dir = str(tmp_path)
    _, result = audit_images(config)
    assert result["images"] == 1797
    assert not any(finding["severity"] == "refusal" for finding in result["findings"])
    assert {f["name"] for f in result["trivial_features"]} >= {"mean", "std", "compressed_size"}


def test_the_anomalies_of_another_dataset_are_audited_too(make_folder, audit):
    audit(make_folder({"good": 60}), anomaly_dataset="digits", anomaly_classes=("3",))
    assert audit.result["roles"]["test_anomaly"] == 183
    labels = {name: summary["label"] for name, summary in audit.result["classes"].items()}
    assert labels == {"digits/3": 1, "good": 0}


def test_the_mode_writes_both_files_and_prepares_nothing(
    make_folder, audit_config, tmp_path, capsys
):
    folder = make_folder()
    (folder / "good/000.png").write_bytes(b"no image")
    audit_config.data.manual_dir = str(folder)
    run(audit_config, tmp_path / "run")
    result = json.loads((tmp_path / "run/audit.json").read_text())
    assert result["verdict"] == "1 refusal (1 unreadable image)"
    assert "verdict: 1 refusal (1 unreadable image)" in capsys.readouterr().out
    assert result["verdict"] in (tmp_path / "run/audit.html").read_text()
    assert not list((tmp_path / "prepared").glob("*/*"))
