"""What cannot start says so in one sentence, and what is refused leaves nothing behind."""

from pathlib import Path

from tests.cli.running import relance


def test_a_redis_that_cannot_be_reached_is_told_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    answer = relance(
        "up", "--data", str(tmp_path / "d"), environment=environment | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    )
    assert answer.returncode == 1
    assert "Redis at 127.0.0.1:1/0 cannot be reached" in answer.stderr
    assert not (tmp_path / "d" / "connection.json").exists()


def test_a_refused_key_makes_no_workspace(environment: dict[str, str]) -> None:
    for name, workspace in (("", "Never made"), ("fine", "  ")):
        answer = relance("keys", "create", "--name", name, "--workspace", workspace, environment=environment)
        assert answer.returncode == 1, answer
        assert "needs a name of 1 to 200 characters" in answer.stderr
    listed = relance("keys", "list", environment=environment)
    assert "Never made" not in listed.stdout
