"""Runflow's contract, as strictly as it is known, on the sandbox's pictures and clock."""

from runapi_mcp.sandbox.runflow.vendor import RUNFLOW_PREFIX, RUNFLOW_SANDBOX_KEY, RunflowSandbox

__all__ = ["RUNFLOW_PREFIX", "RUNFLOW_SANDBOX_KEY", "RunflowSandbox"]
