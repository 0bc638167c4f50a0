"""The RGB classifiers of the transfer chain by their keys in runs/ and by their names in the report."""

PROJECTOR_ONLY = "projector_only"  # tunings of stage classify
FULL = "full"

# net of stage labels -> its name in tables and figures
NETS = {
    "scratch": "from scratch",
    "probe": "linear probe",
    PROJECTOR_ONLY: "projector tuned",
    FULL: "fully tuned",
}
PRETRAINED = ("probe", PROJECTOR_ONLY, FULL)

# chain of the course's assessment -> its name in the table
CHAINS = {"untrained": "untrained", "zero-shot": "zero-shot", PROJECTOR_ONLY: "projector tuned", FULL: "fully tuned"}
