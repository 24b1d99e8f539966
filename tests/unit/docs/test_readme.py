"""What the README shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from dmm_testbed.topology import load_topology

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_topology_it_shows_is_one(tmp_path: Path) -> None:
    (shown,) = [block for block in blocks("yaml") if "plugin:" in block]
    file = tmp_path / "mine.yml"
    file.write_text(shown, encoding="utf-8")
    assert {"hub", "server", "mn11", "mn12"} <= set(load_topology(file).machines)


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    assert [t for t in targets if "://" not in t and not (ROOT / t).exists()] == []


def test_every_make_target_and_playbook_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z]+)", README)) <= targets
    playbooks = set(re.findall(r"playbooks/\w+\.yml", README))
    assert [name for name in playbooks if not (ROOT / name).is_file()] == []


def test_every_page_of_the_documentation_is_reachable_from_it() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages == set(re.findall(r"docs/[a-z]+\.md", README))
