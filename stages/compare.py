"""Write one table of the fusion study, as the course requires: runs/compare/<table>.csv and .md."""

from typing import Literal

from pipeline.config.params import load_params
from pipeline.core.errors import run_command
from pipeline.core.files import write_text
from pipeline.core.runs import run_folder
from pipeline.report.cells import load_test_set, metrics_frame
from pipeline.report.fusion.comparisons import compare_downsampling, compare_fusions
from pipeline.report.fusion.tables import ablation_table, comparison_table

TABLES = {  # fusion: the fusions beside the leader; ablation: each downsampling beside that of the first cell
    "fusion": (compare_fusions, comparison_table),
    "ablation": (compare_downsampling, ablation_table),
}


def main(table: Literal["fusion", "ablation"]) -> None:
    compare, format_table = TABLES[table]
    study, folder = compare(load_params().matrix, load_test_set()), run_folder("compare")
    text = format_table(study)
    write_text(folder / f"{table}.csv", metrics_frame(study.cells).to_csv(lineterminator="\n"))
    write_text(folder / f"{table}.md", text)
    print(text)


if __name__ == "__main__":
    run_command(main)
