"""What the workflows of GitHub may do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

WORKFLOWS = Path(__file__).parents[1] / ".github" / "workflows"
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in WORKFLOWS.glob("*.yml")}


def test_actions_of_others_are_pinned_to_a_commit() -> None:
    used = re.findall(r"\buses: (?!\./)(.*)", "\n".join(TEXTS.values()))
    assert used
    for one in used:
        assert re.fullmatch(r"\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)


def test_only_the_job_that_runs_none_of_our_code_may_publish() -> None:
    jobs: dict[str, Any] = pytest.importorskip("yaml").safe_load(TEXTS["release.yml"])["jobs"]
    writing = [name for name, job in jobs.items() if "write" in job.get("permissions", {}).values()]
    assert writing == ["publish"]
    assert jobs["publish"]["environment"] == "pypi"
    assert set(jobs["publish"]["needs"]) == jobs.keys() - {"publish"}
    assert not [step for step in jobs["publish"]["steps"] if "checkout" in step.get("uses", "")]
    assert "secrets." not in TEXTS["release.yml"]
