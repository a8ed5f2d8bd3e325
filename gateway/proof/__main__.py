"""``python -m sekisho.gateway.proof``: the command ``sekisho prove``."""

from sekisho.gateway.cli_prove import prove

if __name__ == "__main__":
    prove(prog_name="sekisho prove")
