"""Write everything on one page: runs/report/report.html, report.md, pictures/, model_card.md and summary.json."""

from tqdm import tqdm

from pipeline.config.params import load_params
from pipeline.core.errors import run_command
from pipeline.core.files import read_json, write_json, write_text
from pipeline.core.runs import RUNS, run_folder
from pipeline.report.build import TITLE, report_markdown
from pipeline.report.cells import load_test_set, read_metrics, seed_accuracies
from pipeline.report.dataset.section import data_section
from pipeline.report.fusion.section import fusion_section
from pipeline.report.model_card import model_cards
from pipeline.report.page import html
from pipeline.report.summary import summary
from pipeline.report.transfer.section import transfer_section


def main() -> None:
    params, folder = load_params(), run_folder("report")
    pictures = folder / "pictures"
    prepared, labels, evaluated = (
        read_json(RUNS / stage / "metrics.json") for stage in ("prepare", "labels", "evaluate")
    )
    test_set = load_test_set()
    with tqdm(total=3, desc="report", unit="section", disable=None) as bar:
        fusion = fusion_section(params.matrix, params.curve, test_set, pictures)
        bar.update()
        data = data_section(prepared, pictures)
        bar.update()
        transfer = transfer_section(evaluated, labels, data["chance"], pictures)
        bar.update()
    seeds = {"fusion": len(params.fusion.seeds), "transfer": len(params.seeds)}
    text = report_markdown(data, fusion, transfer, seeds, {"evaluate": evaluated, "labels": labels})
    write_text(folder / "report.md", text)
    write_text(folder / "report.html", html(text, folder, TITLE))
    leader = fusion["leader"]
    accuracies = evaluated["accuracies"] | {f"fusion/{leader}": seed_accuracies(leader, test_set)}
    write_text(
        folder / "model_card.md", model_cards(leader, params.fusion.seeds[0], params.seeds[0], prepared, accuracies)
    )
    write_json(folder / "summary.json", summary(leader, read_metrics([leader])[leader], evaluated))
    print(f"report: {folder / 'report.html'}")


if __name__ == "__main__":
    run_command(main)
