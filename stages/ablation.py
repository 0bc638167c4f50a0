"""Each downsampling against the first, fusion by fusion: runs/ablation/."""

from pipeline.artifacts import run_folder, write_text
from pipeline.config import load
from pipeline.errors import run
from pipeline.results import evidence, fusion_tables
from pipeline.results.cells import numbers, test_pairs


def main() -> None:
    params, folder = load(), run_folder("ablation")
    study = evidence.ablation(params.matrix, test_pairs())
    table = fusion_tables.ablation(study)
    write_text(folder / "ablation.csv", numbers(study.cells).to_csv(lineterminator="\n"))
    write_text(folder / "ablation.md", table)
    print(table)


if __name__ == "__main__":
    run(main)
