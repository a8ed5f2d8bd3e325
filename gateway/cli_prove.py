"""``sekisho prove``: the no-loss proof on this machine.

*Strategy.* The command only speaks: what is done and judged is in :mod:`sekisho.gateway.proof`. Exit codes: 0 proved;
1 a violation was found (or, with ``--control``, was not found); 2 wrong usage; 3 the proof could not be carried out.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

__all__ = ["prove"]

_SHOWN: Final = 20
"""Violations that are printed; the report holds all."""
_WIDTH: Final = 160
_LOST: Final = "acknowledged and lost"


@click.command("prove")
@click.option("--cycles", default=200, show_default=True, help="Random kills.")
@click.option("--seconds", default=0.0, help="Go on with random kills for so long.")
@click.option("--points", default=5, show_default=True, help="Kills at each named crash point.")
@click.option("--senders", default=8, show_default=True, type=click.IntRange(1, 9), help="Senders at once.")
@click.option("--seed", type=int, help="Repeat the plan of an earlier run.")
@click.option(
    "--control", type=click.Choice(["hasty"]), help="Spoil the gateway (yes before the commit): losses must be found."
)
@click.option("--count/--no-count", "counted", default=None, help="Count synced commits with strace, if it is there.")
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), help="Keep all files in this new folder.")
def prove(
    cycles: int, seconds: float, points: int, senders: int, seed: int | None, control: str | None, *,
    counted: bool | None, report: Path | None,
) -> None:  # fmt: skip
    """Show on this machine that nothing acknowledged is lost and nothing happens twice.

    The gateway is started on loopback, loaded by senders that insist on their 250, killed at random moments and at
    named points, started again on the same data, and at the end audited: what senders were told, what receivers got
    and what the store holds. Takes about a minute and a half with the defaults.
    """
    from sekisho.gateway.proof.cycles import Failed, Plan  # noqa: PLC0415 - loads the whole gateway

    seed = secrets.randbelow(10**6) if seed is None else seed
    folder = report or Path(tempfile.mkdtemp(prefix="sekisho-proof-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    plan = Plan(folder, cycles, points, senders, seed, seconds, control or "")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)
    try:
        passed = _prove(plan)
        if counted or (counted is None and not control and shutil.which("strace")):
            passed = _count(folder, must=bool(counted)) and passed
    except Failed as error:
        click.echo(f"the proof could not be carried out: {error}")
        sys.exit(3)
    if report is None and passed:
        shutil.rmtree(folder)
    else:
        click.echo(f"everything is in {folder}")
    sys.exit(0 if passed else 1)


def _prove(plan: object) -> bool:
    """Run the plan and print the verdict; whether it is as it must be."""
    from sekisho.gateway.proof.cycles import Plan, prove  # noqa: PLC0415 - see above

    if not isinstance(plan, Plan):
        raise TypeError(plan)
    spoiled = f", control: {plan.control}" if plan.control else ""
    click.echo(f"no-loss proof: {plan.cycles} random kills, {plan.senders} senders, seed {plan.seed}{spoiled}")
    result = prove(plan, lambda line: click.echo(f"  {line}"))
    verdict = result.verdict
    for name, count in verdict.counts.items():
        click.echo(f"{count:10}  {name}")
    click.echo(f"{result.kills:10}  kills" + "".join(f"; {point}: {n}" for point, n in result.reached.items()))
    for kind, count in verdict.kinds.items():
        click.echo(f"VIOLATED: {kind}: {count}")
    for kind, text in verdict.violations[:_SHOWN]:
        click.echo(f"  {kind}: {text[:_WIDTH]}")
    kept = {
        "seed": plan.seed,
        "control": plan.control,
        "kills": result.kills,
        "points": dict(result.reached),
        "seconds": round(result.seconds, 1),
        "counts": verdict.counts,
        "violations": verdict.violations,
    }
    (plan.folder / "verdict.json").write_text(json.dumps(kept, indent=1), "utf-8")
    lost = verdict.kinds[_LOST]
    if plan.control:
        found = f"control run: the auditor found {lost} acknowledged requests lost, as it must"
        click.echo(found if lost else "control run FAILED: a gateway that says yes before the commit was not found out")
        return lost > 0
    if verdict.violations:
        click.echo(f"NOT PROVED: {len(verdict.violations)} violations; repeat with --seed {plan.seed}")
        return False
    click.echo(
        f"PROVED in {result.seconds:.0f} s: {verdict.counts['acknowledged']} acknowledged, 0 lost, 0 effects twice,"
        f" 0 replies under two Message-IDs, order kept, store sound"
    )
    return True


def _count(folder: Path, *, must: bool) -> bool:
    """Count synced commits and print the result; whether they are what they must be.

    Where strace may not trace, that is said; it is an error only if the count was asked for.
    """
    from sekisho.gateway.proof.cycles import Failed  # noqa: PLC0415 - see above
    from sekisho.gateway.proof.synced import count_syncs  # noqa: PLC0415 - see above

    try:
        counted = count_syncs(folder / "count")
    except Failed as error:
        if must:
            raise
        click.echo(f"synced commits were not counted: {error}")
        return True
    click.echo(str(counted))
    return counted.holds
