"""Write one table of the fusion study, as the course requires: runs/compare/<table>.csv and .md."""

from typing import Literal

from pipeline.config.params import load_params
from pipeline.core.errors import run_command
from pipeline.core.files import write_text
from pipeline.core.runs import run_folder
from pipeline.report.cells import load_test_set, metrics_frame
from pipeline.report.fusion.comparisons import compare_downsampling, compare_fusions
from pipeline.report.fusion.tables import ablation_table, comparison_table


def main(table: Literal["fusion", "ablation"]) -> None:
    matrix, test_set = load_params().matrix, load_test_set()
    if table == "fusion":  # the fusions beside the leader
        comparison = compare_fusions(matrix, test_set)
        cells, text = comparison.cells, comparison_table(comparison)
    else:  # each downsampling beside that of the first cell
        ablation = compare_downsampling(matrix, test_set)
        cells, text = ablation.cells, ablation_table(ablation)
    folder = run_folder("compare")
    write_text(folder / f"{table}.csv", metrics_frame(cells).to_csv(lineterminator="\n"))
    write_text(folder / f"{table}.md", text)
    print(text)


if __name__ == "__main__":
    run_command(main)
