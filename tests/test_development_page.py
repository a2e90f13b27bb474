# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of modules in docs/development.md is that of the folder."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_module_of_training_is_listed_and_no_other():
    page = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    section = page.split("## Inside training/", 1)[1].split("\n## ", 1)[0]
    listed = set(re.findall(r"\b\w+\.py\b", section))
    assert listed == {path.name for path in (ROOT / "solver" / "training").glob("*.py")} - {"__init__.py"}
