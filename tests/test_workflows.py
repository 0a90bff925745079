"""What runs on the host of the repository: strangers' pull requests are read as data, without rights or secrets."""

import re

import pytest
import yaml

WORKFLOWS = ("ci", "submission")


@pytest.fixture(scope="module", params=WORKFLOWS)
def workflow(root, request):
    return load(root, request.param)


@pytest.fixture(scope="module")
def submission(root):
    return load(root, "submission")


def load(root, name):
    found = yaml.safe_load((root / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))
    # YAML 1.1 reads the key "on" as true.
    return {("on" if key is True else key): value for key, value in found.items()}


def steps_of(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def strings_in(value):
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return [text for item in value for text in strings_in(item)]
    return [str(value)]


def commands_of(workflow):
    return [line for step in steps_of(workflow) for line in step.get("run", "").splitlines()]


def test_every_workflow_is_tested_here(root):
    assert sorted(path.stem for path in (root / ".github" / "workflows").iterdir()) == sorted(WORKFLOWS)


def test_a_workflow_may_read_the_repository_and_nothing_else(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())


def test_a_workflow_knows_no_secret_and_runs_no_pull_request_with_the_rights_of_the_base(workflow):
    assert set(workflow["on"]) <= {"push", "pull_request"}
    texts = strings_in(workflow)
    assert not [text for text in texts if re.search(r"secrets|github\.token|GITHUB_TOKEN|inherit", text)]


def test_no_text_of_a_stranger_is_pasted_into_a_command(workflow):
    assert not [line for line in commands_of(workflow) if "${{" in line]
    # Titles, branches and names of people may hold anything; numbers and hashes may not.
    used = {name for text in strings_in(workflow) for name in re.findall(r"\$\{\{\s*(.*?)\s*\}\}", text)}
    assert used <= {
        "github.ref",
        "github.event.pull_request.number",
        "github.event.pull_request.base.sha",
        "github.event.pull_request.head.sha",
    }


def test_a_checkout_leaves_no_credentials_behind(workflow):
    checkouts = [step for step in steps_of(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_actions_are_the_hosts_own_and_pinned_to_a_version(workflow):
    for step in steps_of(workflow):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", step["uses"])


def test_every_job_ends(workflow):
    assert all(0 < job["timeout-minutes"] <= 40 for job in workflow["jobs"].values())


def test_every_make_target_of_a_workflow_is_there(workflow, root):
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = [name for line in commands_of(workflow) for name in re.findall(r"\bmake ([a-z]+)", line)]
    assert used
    assert set(used) <= targets


def test_every_change_is_linted_tested_and_looked_at_in_a_browser(root):
    commands = commands_of(load(root, "ci"))
    assert {"make lint", "make test", "make browser"} <= set(commands)
    assert any("install" in line and "chromium" in line for line in commands)


def test_a_submission_is_checked_by_the_code_of_the_base_branch(submission):
    steps = steps_of(submission)
    (checkout,) = (step for step in steps if step.get("uses", "").startswith("actions/checkout@"))
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert checkout["with"]["fetch-depth"] == 0


def test_what_a_submission_changes_is_fetched_and_never_checked_out(submission):
    git = [line.strip() for line in commands_of(submission) if "git" in line]
    assert any(line.startswith("git fetch ") and '"refs/pull/$NUMBER/head"' in line for line in git)
    assert all(re.match(r"git (fetch|cat-file) ", line) for line in git)


def test_a_submission_is_installed_from_before_it_is_fetched(submission):
    names = [step.get("uses") or step["run"] for step in steps_of(submission)]
    installed = next(number for number, name in enumerate(names) if "make setup" in name)
    fetched = next(number for number, name in enumerate(names) if "git fetch" in name)
    assert installed < fetched == len(names) - 2


def test_a_submission_is_validated_between_its_base_and_its_head(submission):
    last = steps_of(submission)[-1]
    assert last["run"] == '.venv/bin/oddpair validate --repository . --base "$BASE" --head "$HEAD"'
    assert last["env"] == {
        "BASE": "${{ github.event.pull_request.base.sha }}",
        "HEAD": "${{ github.event.pull_request.head.sha }}",
    }


def test_the_verb_that_a_workflow_runs_takes_what_it_is_given(root):
    from typer.main import get_group

    from oddpair.cli import app

    options = {name for option in get_group(app).commands["validate"].params for name in option.opts}
    assert {"--repository", "--base", "--head"} <= options


def test_only_what_touches_the_submissions_is_validated(submission):
    assert submission["on"] == {"pull_request": {"paths": ["benchmarks/submissions/**"]}}
