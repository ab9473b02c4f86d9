"""What must not be concluded from a comparison, as sentences for its reader."""

from collections.abc import Sequence

from vae_jax.comparison.paired import Difference
from vae_jax.comparison.settings import Setting

_CHOICE = (
    "All numbers are measured on test images. Whoever selects the best run or the best score from this "
    "page and reports its number makes a choice on test data."
)


def list_cautions(settings: Sequence[Setting], differences: Sequence[Difference]) -> list[str]:
    """Returns the sentences that apply to these settings and differences."""
    runs = [run for setting in settings for run in setting.runs]
    cautions = [_CHOICE]
    deciding = dict.fromkeys(setting.deciding for setting in settings)
    if len(deciding) > 1:
        cautions.append(
            f"The runs decide by different scores ({', '.join(deciding)}). Each run is compared by its own "
            "deciding score, which its config names; no score was chosen by its result."
        )
    single = sum(len(setting.runs) == 1 for setting in settings)
    if single:
        cautions.append(
            f"{single} of {len(settings)} settings {'has' if single == 1 else 'have'} one seed only. An "
            "interval over test images does not contain the variation between trainings."
        )
    if single < len(settings):
        cautions.append(
            "A seed also changes the split of the data, unless the dataset has an official one. Splits of "
            "the same images overlap, so an interval over seeds is narrower than one over new data."
        )
    names = dict.fromkeys((s.dataset, s.runs[0].results["dataset"]["name"]) for s in settings)
    repeated = [name for _, name in names]
    if any(repeated.count(name) > 1 for name in repeated if name != "folder"):
        cautions.append(
            "Some datasets have the same name, but other images or other abnormal classes. Each counts as "
            "a dataset of its own, although they are not independent."
        )
    if not differences and len(settings) > 1:
        cautions.append(
            "No two settings were tested on the same images with the same seed, so no difference between "
            "them has an interval. Two overlapping intervals show neither equality nor a difference."
        )
    if len(differences) > 1:
        cautions.append(
            f"There are {len(differences)} differences between runs. Their p-values are corrected by "
            "Holm's method for all of them; the intervals are not corrected."
        )
    unknown = {
        str(run.workdir)
        for difference in differences
        for run in (difference.first, difference.second)
        if not (difference.first.knows_groups or difference.second.knows_groups)
    }
    if unknown:
        cautions.append(
            f"{len(unknown)} of {len(runs)} runs were evaluated by an earlier version and do not say which "
            "test images belong to one group (patient, video, strip). Their differences count every image "
            "as independent: the intervals are too narrow if there are groups. --mode=evaluate corrects it."
        )
    return cautions
