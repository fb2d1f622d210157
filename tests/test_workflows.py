"""What contributors and maintainers are told is true: sessions, hooks, workflows, templates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FORMS = [GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml" for name in ("bug", "feature")]


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def parsed(path: Path) -> Any:
    return pytest.importorskip("yaml").safe_load(path.read_text(encoding="utf-8"))


def sessions() -> set[str]:
    return set(re.findall(r"^@nox\.session.*\ndef (\w+)\(", text("noxfile.py"), re.MULTILINE))


def test_contributors_are_told_of_every_session() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", text("CONTRIBUTING.md"), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == sessions()


@pytest.mark.parametrize(
    "path", ["CONTRIBUTING.md", "docs/release.md", ".ci/run", ".github/workflows/release.yml"]
)
def test_every_session_that_is_named_exists(path: str) -> None:
    pattern = r"(?:nox -s|^step \".*\" session|^ +(?:pytest_in \".*\" )?session) ((?:\w+ ?)+)"
    named = " ".join(re.findall(pattern, text(path), re.MULTILINE)).split()
    assert named
    assert set(named) <= sessions()


def test_hooks_run_the_tools_of_development() -> None:
    hooks = [
        hook for repo in parsed(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]
    ]
    tools = {hook["entry"].split()[0] for hook in hooks if hook["language"] != "pygrep"}
    assert tools == {".venv/bin/ruff"}  # so its version is that of pyproject.toml
    for hook in hooks:
        if hook["language"] == "pygrep":
            re.compile(hook["entry"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_jobs_may_do_little(path: Path) -> None:
    workflow = parsed(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", f"a/a@{'0' * 40}"))
    pins = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert all(re.fullmatch(r"\S+ # v\d+\.\d+\.\d+", pin) for pin in pins)


def test_only_the_job_that_runs_none_of_our_code_may_publish() -> None:
    jobs = parsed(GITHUB / "workflows" / "release.yml")["jobs"]
    writing = [name for name, job in jobs.items() if "write" in job.get("permissions", {}).values()]
    assert writing == ["publish"]
    assert jobs["publish"]["environment"] == "pypi"
    assert set(jobs["publish"]["needs"]) == jobs.keys() - {"publish"}
    assert not [step for step in jobs["publish"]["steps"] if "checkout" in step.get("uses", "")]
    assert "secrets." not in text(".github/workflows/release.yml")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_of_issues_are_such_as_github_reads(path: Path) -> None:
    form = parsed(path)
    assert {"name", "description", "body"} <= form.keys()
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(ids) == len(set(ids))
    for field in form["body"]:
        assert field["type"] in {"markdown", "textarea", "input", "dropdown", "checkboxes"}
        assert field["attributes"]


def test_weaknesses_are_not_reported_in_public() -> None:
    [link] = parsed(GITHUB / "ISSUE_TEMPLATE" / "config.yml")["contact_links"]
    assert "SECURITY.md" in link["about"]
