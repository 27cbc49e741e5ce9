"""Why the recipes choose what they choose: shown with every plan."""

_UNSTATED = "the paper does not say"
_TRIED = "0.001 and 0.0001 scored alike in trials (ISBI 2012, V_Rand 0.88)"
_AS_EVER = "as in the default recipe, not tried otherwise"
LEFT_OPEN = {
    "learning_rate": f"{_UNSTATED}; {_TRIED}",
    "schedule": f"{_UNSTATED}; {_AS_EVER}",
    "warmup_steps": f"{_UNSTATED}; {_AS_EVER}",
    "weight_decay": _UNSTATED,
    "clip_norm": _UNSTATED,
    "averaging": _UNSTATED,
    "precision": f"{_UNSTATED}; what this computer computes fastest",
    "class_weights": "the paper balances the classes but gives no values; here the rarer a class, "
    "the more its pixels count",
    "dropout": "the paper gives no share; half in the network that its authors released",
    "geometry": "as in the paper, which leaves open how far to turn, and whether to mirror",
    "intensity": "the paper gives no numbers; contrast as in its successor, Falk et al. 2019",
}
"""Choices that the paper leaves open, with what was chosen."""
PAPER_REASONS = {
    "zoom": "as in the paper",
    "encoding": "as in the paper",
    "network": "as in the paper",
    "width": "64 in the paper",
    "negative_slope": "as in the paper",
    "batch_norm": "as in the paper",
    "crop": "one large tile rather than many small ones, 572 px in the paper",
    "batch": "as in the paper",
    "optimizer": "as in the paper",
    "momentum": "as in the paper",
    "weight_map": "as in the paper",
    "border_weight": "10 in the paper",
    "border_sigma_px": "about 5 in the paper",
    **LEFT_OPEN,
}
DEFAULT_REASONS = {
    "network": "as in the paper of 2015",
    "dropout": "the best of three (DIC-HeLa, mean AP after 500 steps 0.83; none 0.72, 50% 0.74)",
    "negative_slope": "else most of the deepest channels stop learning (DIC-HeLa, AP@0.5 after 500 "
    "steps 0.96 instead of 0.80)",
    "batch_norm": "learns faster (DIC-HeLa, mean AP after 200 steps 0.73 instead of 0.08)",
    "crop": "many steps with small tiles rather than few with large ones: at equal time DIC-HeLa, "
    "five images, SEG 0.880 instead of 0.849",
    "batch": "as in the paper",
    "optimizer": "fits the step to each weight, which suits short trainings; no other was tried",
    "learning_rate": "found by trials; half and twice as much score alike (DIC-HeLa, mean AP 0.84)",
    "weight_decay": "keeps the weights small; not tried otherwise",
    "warmup_steps": "the first steps of fresh weights are the wildest; no more than a tenth of all "
    "(ISBI 2012, 50 steps: V_Rand 0.857 instead of 0.806)",
    "schedule": "small steps at the end let the weights settle; not tried otherwise",
    "clip_norm": "so that one odd tile cannot undo what was learned",
    "averaging": "steadier than the last step's; a mean over more steps was no better (ISBI 2012)",
    "precision": "what this computer computes fastest",
    "class_weights": "rarer ones need no more weight (ISBI 2012, V_Rand 0.985 instead of 0.982)",
    "border_weight": "10 as in the paper, 50 as in Falk et al. 2019, 0 with more than two classes",
}
"""The scores are those of docs/lab-notes.md."""
WHY_DEFAULT_WIDTH = (
    "narrow networks make more steps: at equal work 24 beat 32 (ISBI 2012, V_Info 0.985 and 0.983)"
)
