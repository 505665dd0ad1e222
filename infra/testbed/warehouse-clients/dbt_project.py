"""dbt: debug, seed, and an incremental model run twice: dbt_project.py PORT USER PASSWORD DATABASE."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from dbt.cli.main import dbtRunner

for name, value in zip(["PORT", "USER", "PASSWORD", "DATABASE"], sys.argv[1:]):
    os.environ[f"WAREHOUSE_{name}"] = value
os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"

with tempfile.TemporaryDirectory() as folder:
    # dbt writes beside its project.
    project = shutil.copytree(Path(__file__).parent / "dbt", Path(folder) / "dbt")
    where = ["--project-dir", str(project), "--profiles-dir", str(project)]
    for command in ["debug", "seed", "run", "run"]:
        result = dbtRunner().invoke([command, *where, "--no-use-colors"])
        assert result.success, f"dbt {command}: {result.exception or result.result}"
