"""Protocol `opdc`: overlap-priority matching and the hierarchical IoU with its error breakdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.evaluation.protocol import RADIUS, Counts, Protocol, ratio

if TYPE_CHECKING:
    import numpy as np


class OPDCProtocol(Protocol):
    """Overlap priority with distance compensation (Pang et al., NeurIPS 2025, arXiv:2509.16888).

    Matching: `matching.match_overlap_first`. Besides the usual numbers, with tp matched pairs, fp
    predictions and fn targets that are left over:

        seg_iou   mean component IoU of the pairs
        loc_iou   tp / (tp + fp + fn)
        hiou      seg_iou * loc_iou

    The rest up to 1. For a pair with union area u, averaged over the pairs, so that seg_iou and
    these three add up to 1:

        seg_mrg_err   predicted pixels on other targets / u
        seg_itf_err   other false pixels / u
        seg_pcp_err   missed pixels / u

    For targets, over tp + fp + fn, so that loc_iou and these four add up to 1 ("linkable" means
    IoU >= 0.5 or centroid distance < 3 px):

        loc_s2m_err   targets left over although linkable: one prediction for several targets
        loc_m2s_err   predictions left over although linkable: several for one target
        loc_itf_err   predictions linkable to no target
        loc_pcp_err   targets linkable to no prediction

    Empty cases: a ratio 0/0 is 0, Pd of a set without targets NaN. Images without targets or
    without predictions are counted as they are: PyIRSTDMetrics 1.0.2 adds a false negative for
    each image without target and a false positive for each without prediction.
    """

    name = "opdc"
    version = 1
    radius = RADIUS
    rules = (
        "native image size, probability > 0.5, 8-connected components, overlap-priority matching "
        "(IoU >= 0.5 first, then centroid distance < 3 px), Fa = pixels of unmatched components / "
        "all pixels; hierarchical IoU with its errors"
    )
    source = (
        "Pang et al., NeurIPS 2025 (arXiv:2509.16888), PyIRSTDMetrics 1.0.2, without the phantom "
        "counts of its empty images"
    )

    def _count(self, predicted: np.ndarray, mask: np.ndarray) -> Counts:
        import numpy as np

        from benchmark.evaluation.matching import centroid_distances, match_overlap_first
        from datasets.components import label_components

        targets, target_labels = label_components(mask)
        predictions, prediction_labels = label_components(predicted)
        shared = np.zeros((len(targets), len(predictions)), np.int64)  # pixels
        both = predicted & mask
        np.add.at(shared, (target_labels[both] - 1, prediction_labels[both] - 1), 1)
        union = targets.area[:, None] + predictions.area[None] - shared
        iou = shared / union
        distance = centroid_distances(targets, predictions)
        pairs = match_overlap_first(distance, iou)

        on_others = shared.sum(axis=0) - shared  # predicted pixels on other targets
        false = predictions.area[None] - shared.sum(axis=0)  # on no target
        missed = targets.area[:, None] - shared
        linkable = (iou >= 0.5) | (distance < RADIUS)
        lone_targets = int((~linkable.any(axis=1)).sum())
        lone_predictions = int((~linkable.any(axis=0)).sum())
        where = tuple(np.array(pairs, int).reshape(-1, 2).T)
        hits, left = len(pairs), len(predictions) - len(pairs)

        def total(part: np.ndarray) -> float:
            return float((part / union)[where].sum())

        return Counts(
            targets=len(targets),
            hits=hits,
            false_components=left,
            false_alarm_pixels=int(predictions.area.sum() - predictions.area[where[1]].sum()),
            sums={
                "seg_iou": total(shared),
                "seg_mrg_err": total(on_others),
                "seg_itf_err": total(false),
                "seg_pcp_err": total(missed),
                "loc_s2m_err": len(targets) - hits - lone_targets,
                "loc_m2s_err": left - lone_predictions,
                "loc_itf_err": lone_predictions,
                "loc_pcp_err": lone_targets,
            },
        )

    def _more(self, total: dict[str, int]) -> dict[str, float]:
        pairs = total["hits"]
        components = total["targets"] + total["false_components"]  # tp + fp + fn
        seg_iou = ratio(self._sum("seg_iou"), pairs, 0.0)
        loc_iou = ratio(pairs, components, 0.0)
        seg = ("seg_mrg_err", "seg_itf_err", "seg_pcp_err")
        loc = ("loc_s2m_err", "loc_m2s_err", "loc_itf_err", "loc_pcp_err")
        return (
            {"hiou": seg_iou * loc_iou, "seg_iou": seg_iou, "loc_iou": loc_iou}
            | {key: ratio(self._sum(key), pairs, 0.0) for key in seg}
            | {key: ratio(self._sum(key), components, 0.0) for key in loc}
        )
