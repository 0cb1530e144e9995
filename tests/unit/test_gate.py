"""core/gate.c by itself: who waits, and what comes of it (check_gate.c)."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """check_gate.c, compiled."""
    program = tmp_path_factory.mktemp("gate") / "check_gate"
    command = ["cc", "-std=gnu11", "-D_GNU_SOURCE", "-pthread", f"-I{ROOT / 'core'}", "-o", program]
    subprocess.run([*command, ROOT / "tests" / "unit" / "check_gate.c"], check=True)
    return program


@pytest.mark.parametrize("check", ["free", "holders", "vain", "one_waits", "helped"])
def test_gate(program, check):
    """See there."""
    if check == "helped" and len(os.sched_getaffinity(0)) < 2:
        pytest.skip("nobody leaves while another one waits")
    subprocess.run([program, check], check=True, timeout=60)
